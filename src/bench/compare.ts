// Two results of `scorewire bench`, side by side: what got worse, by how much, and how sure that is.

import { type BenchResult, doubtsOf, type Metric, metricsOf } from './result.ts';
import type { Rpc } from './rpc.ts';
import { mean, variance } from './statistics.ts';

export interface Comparison {
  scenario: string;
  metric: Metric;
  before: number;
  after: number;
  /** How much worse, as a share of before: 0.1 is 10 % slower, negative is better. Of errors: their difference. */
  worseBy: number;
  /** 95 % confidence interval of `worseBy`; undefined where a side was measured once. */
  interval: [low: number, high: number] | undefined;
  /** Beyond the limit, and not by chance as far as the interval tells. */
  regressed: boolean;
}

export interface ComparedResults {
  comparisons: Comparison[];
  /** Scenarios and figures of the first that the second doesn't have. */
  missing: string[];
  /** Why the two may not be comparable. */
  warnings: string[];
}

/** A share of calls that fails beyond what failed before, at most. */
const MAX_MORE_ERRORS = 0.001;

/** @param maxRegression as a share: 0.1 allows 10 % */
export function compareResults(before: BenchResult, after: BenchResult, maxRegression: number): ComparedResults {
  const comparisons: Comparison[] = [];
  const missing: string[] = [];
  const sameRate = before.settings.ratePerSecond === after.settings.ratePerSecond;
  for (const scenario of before.scenarios) {
    const other = after.scenarios.find(({ name }) => name === scenario.name);
    if (other === undefined) {
      missing.push(scenario.name);
      continue;
    }
    const others = metricsOf(other);
    for (const metric of metricsOf(scenario)) {
      const found = others.find(({ name }) => name === metric.name);
      if (metric.values.length === 0) continue;
      if (found === undefined || found.values.length === 0) {
        missing.push(`${scenario.name}, ${metric.name}`);
        continue;
      }
      // Under different rates latencies say nothing of the server; a search is as coarse as its last step.
      const judged = metric.judged && (scenario.name !== 'server' || sameRate);
      const slack = scenario.name === 'find-max' ? before.settings.precision + after.settings.precision : 0;
      comparisons.push(compareMetric(scenario.name, { ...metric, judged }, found.values, maxRegression + slack));
    }
  }
  return { comparisons, missing, warnings: warningsOf(before, after) };
}

function compareMetric(scenario: string, metric: Metric, after: readonly number[], limit: number): Comparison {
  const before = metric.values;
  const [a, b] = [mean(before), mean(after)];
  const shared = { scenario, metric, before: a, after: b };
  if (metric.unit === 'share') {
    return { ...shared, worseBy: b - a, interval: undefined, regressed: metric.judged && b - a > MAX_MORE_ERRORS };
  }
  // On logarithms, so that a ratio's interval comes out.
  const logs = (values: readonly number[]) => values.map((value) => Math.log(Math.max(value, Number.MIN_VALUE)));
  const worse = (logRatio: number) => (metric.better === 'lower' ? 1 : -1) * Math.expm1(logRatio);
  const interval = welchInterval(logs(before), logs(after))
    ?.map(worse)
    .sort((low, high) => low - high) as [number, number] | undefined;
  const worseBy = worse(mean(logs(after)) - mean(logs(before)));
  const regressed = metric.judged && worseBy > limit && (interval === undefined || interval[0] > 0);
  return { ...shared, worseBy, interval, regressed };
}

/**
 * 95 % confidence interval of the difference of two means (b - a), with unequal variances: Welch's t interval with the
 * Welch-Satterthwaite degrees of freedom (Biometrika 34, 1947). Undefined for fewer than two values on a side.
 */
export function welchInterval(a: readonly number[], b: readonly number[]): [number, number] | undefined {
  if (a.length < 2 || b.length < 2) return undefined;
  const [va, vb] = [variance(a) / a.length, variance(b) / b.length];
  const difference = mean(b) - mean(a);
  const error = Math.sqrt(va + vb);
  if (error === 0) return [difference, difference];
  const freedom = (va + vb) ** 2 / (va ** 2 / (a.length - 1) + vb ** 2 / (b.length - 1));
  const half = tQuantile(freedom) * error;
  return [difference - half, difference + half];
}

/** Student's t at 97.5 %, for 1 to 30 degrees of freedom; fewer are rounded down, which widens the interval. */
const T_975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

function tQuantile(freedom: number): number {
  const row = Math.max(1, Math.floor(freedom));
  return row > T_975.length ? 1.96 + 2.4 / row : (T_975[row - 1] as number);
}

/** What results say nothing of that are older than the choice. */
const UNARY: Rpc = { kind: 'unary' };

function warningsOf(before: BenchResult, after: BenchResult): string[] {
  const warnings: string[] = [];
  const differ = (what: string, a: unknown, b: unknown): void => {
    if (JSON.stringify(a) !== JSON.stringify(b)) {
      warnings.push(`not the same ${what}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`);
    }
  };
  differ('machine', [before.machine.cpu, before.machine.cores], [after.machine.cpu, after.machine.cores]);
  differ('model', before.target.model, after.target.model);
  differ('API', before.target.api, after.target.api);
  differ('rpc', before.settings.rpc ?? UNARY, after.settings.rpc ?? UNARY);
  differ('requests', before.target.requestsDigest, after.target.requestsDigest);
  for (const [side, result] of [
    ['before', before],
    ['after', after],
  ] as const) {
    for (const scenario of result.scenarios) {
      for (const doubt of doubtsOf(scenario)) warnings.push(`${side}, ${scenario.name}: ${doubt}`);
    }
  }
  for (const key of ['ratePerSecond', 'inFlight', 'offlineInFlight', 'connections', 'processes', 'bound'] as const) {
    differ(key, before.settings[key], after.settings[key]);
  }
  return warnings;
}
