// What a run of `scorewire bench` leaves behind, as JSON: enough to be compared with another one, a year later.

import { readFileSync } from 'node:fs';
import { BenchError } from './bench-error.ts';
import { LatencyHistogram } from './histogram.ts';
import type { Machine } from './machine.ts';
import { errorShare, type FlowReport, flowOf, isHeldBack } from './report.ts';
import { callsUnit, type Rpc, rowsOf } from './rpc.ts';
import type { RunSettings, ScenarioResult } from './scenario.ts';

/** Goes up with each change that a reader of the old one would misunderstand. */
export const SCHEMA = 'scorewire-bench/1';

export interface BenchResult {
  schema: typeof SCHEMA;
  /** ISO 8601, UTC. */
  startedAt: string;
  /** Whatever the user calls it, such as a commit. */
  label: string;
  /** The generator's machine; the server's too where it is on loopback. */
  machine: Machine;
  /** The commit of the folder in which the command ran, and whether there were changes beside it; undefined outside a checkout. */
  commit: string | undefined;
  changed: boolean | undefined;
  target: {
    address: string;
    api: string;
    model: string;
    version: string;
    digest: string | undefined;
    requestBytes: number;
    /** SHA-256 over all requests: equal ones are the same rows. */
    requestsDigest: string;
  };
  settings: Omit<RunSettings, 'address' | 'api' | 'model'>;
  scenarios: ScenarioResult[];
  /** Limits that were broken, a line each; undefined where none were set. */
  broken: string[] | undefined;
}

/** One figure of a scenario, by repetition. */
export interface Metric {
  name: string;
  unit: string;
  better: 'higher' | 'lower';
  /** Noisy ones are shown and not judged. */
  judged: boolean;
  values: number[];
}

/** The figures of a scenario that two runs can be compared by. */
export function metricsOf({ name, reports, found }: ScenarioResult): Metric[] {
  const flows = reports.map(flowOf);
  if (found !== undefined) {
    const rpc = flows[0]?.rpc;
    const highest = metric('highest rate', callsUnit(rpc), 'higher', [found.ratePerSecond]);
    return [highest, ...rowsMetric(rpc, highest, false)];
  }
  const latency = (percentile: number) =>
    flows.map(({ answers }) => LatencyHistogram.decode(answers.histogram).percentileUs(percentile));
  const metrics: Metric[] = [];
  const answered = flows.map(({ answeredPerSecond }) => answeredPerSecond);
  // An open loop's throughput is what was asked of it, until the server falls behind.
  const rpc = flows[0]?.rpc;
  const unit = callsUnit(rpc);
  const throughput = metric(name === 'server' ? 'answered' : 'throughput', unit, 'higher', answered, name !== 'server');
  metrics.push(throughput, ...rowsMetric(rpc, throughput, throughput.judged));
  // Where nothing was answered there is no latency, and not one of 0.
  if (flows.every(({ answers }) => answers.count > 0)) {
    metrics.push(metric('p50', 'us', 'lower', latency(50)));
    // MLPerf's figure of a single stream.
    if (name === 'single-stream') metrics.push(metric('p90', 'us', 'lower', latency(90)));
    metrics.push(metric('p99', 'us', 'lower', latency(99)));
    metrics.push(metric('p99.9', 'us', 'lower', latency(99.9), false));
  }
  const cpu = reports.map(({ server }) => server?.cpuUsPerCall);
  if (cpu.every((us) => us !== undefined)) metrics.push(metric('server CPU a call', 'us', 'lower', cpu as number[]));
  metrics.push(metric('errors', 'share', 'lower', flows.map(errorShare)));
  return metrics;
}

/** Rows a second beside calls a second, where a call has many: with other batches than before, they are what compares. */
function rowsMetric(rpc: Rpc | undefined, { values }: Metric, judged: boolean): Metric[] {
  if (rpc?.kind !== 'bulk') return [];
  return [
    metric(
      'rows',
      'rows/s',
      'higher',
      values.map((value) => value * rowsOf(rpc)),
      judged,
    ),
  ];
}

function metric(name: string, unit: string, better: Metric['better'], values: number[], judged = true): Metric {
  return { name, unit, better, judged, values };
}

/** Why figures of a scenario should not be trusted; empty where nothing speaks against them. */
export function doubtsOf({ reports, found }: ScenarioResult): string[] {
  const reasons = new Set(reports.flatMap(({ client }) => client.reasons));
  const doubts = [...reasons].map((reason) => `the client is the limit: ${reason}`);
  if (found?.ratePerSecond === 0) doubts.push('no rate kept the bound');
  else if (found?.stoppedBy === 'client') doubts.push('the client was the limit before the server was: a lower bound');
  if (found?.stoppedBy === 'ceiling') doubts.push('the highest rate allowed was held: a lower bound');
  for (const flow of reports.map(flowOf)) {
    const doubt = heldBackDoubt(flow);
    if (doubt !== undefined && !doubts.includes(doubt)) doubts.push(doubt);
  }
  const others = Math.max(0, ...reports.map(({ othersCpuShare }) => othersCpuShare ?? 0));
  if (others > NOISY_CPU_SHARE) doubts.push(`other work took up to ${(100 * others).toFixed(0)} % of a core`);
  return doubts;
}

/** Calls that the peer's stream limit, or a lack of connections, kept from starting; undefined where they are few. */
function heldBackDoubt(flow: FlowReport): string | undefined {
  const { shape, calls, heldBack, answeredPerSecond, answers, connections } = flow;
  const [waited, limit] = missingPlace(flow);
  const cure = `${limit}; give it more than ${connections} connection${connections > 1 ? 's' : ''} (--connections)`;
  if (shape.kind === 'open') {
    return isHeldBack(flow) ? `${Math.round((100 * heldBack) / calls)} % of the ${waited}: ${cure}` : undefined;
  }
  // Little's law.
  const inFlight = (answeredPerSecond * answers.meanUs) / 1e6;
  return answers.count > 0 && shape.inFlight > MIN_CHECKED_IN_FLIGHT && inFlight < MIN_IN_FLIGHT_SHARE * shape.inFlight
    ? `only about ${Math.round(inFlight)} of ${shape.inFlight} calls were in flight: ${cure}`
    : undefined;
}

/** What calls have waited for, and what there is not enough of. */
function missingPlace({ protocol, rpc }: FlowReport): [waited: string, limit: string] {
  if (protocol === 'http1') return ['calls waited for a free connection', 'one call at a time on each'];
  if (rpc?.kind === 'stream') return ['items waited for a window', "the server's flow control"];
  return ['calls waited for a free stream', "the server's limit on streams"];
}

const MIN_CHECKED_IN_FLIGHT = 100;
const MIN_IN_FLIGHT_SHARE = 0.7;

/** Of one core; more beside a load shows in its latencies. */
const NOISY_CPU_SHARE = 0.1;

/** @throws BenchError for what is no result of ours */
export function readResult(file: string): BenchResult {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new BenchError(`${file}: can't be read: ${(error as Error).message}`);
  }
  let result: Partial<BenchResult> | null;
  try {
    result = JSON.parse(text) as Partial<BenchResult> | null;
  } catch {
    throw new BenchError(`${file}: not JSON`);
  }
  if (result?.schema !== SCHEMA) {
    throw new BenchError(`${file}: expected "schema": "${SCHEMA}", found ${JSON.stringify(result?.schema)}`);
  }
  try {
    // Whatever compare will look at: what is not there fails now, and by the file's name.
    const { machine, target, settings, scenarios } = result as BenchResult;
    for (const part of [machine.cpu, target.model, settings.connections, scenarios.length]) {
      if (part === undefined) throw new Error('a part is missing');
    }
    for (const scenario of scenarios) metricsOf(scenario);
  } catch (error) {
    throw new BenchError(`${file}: not a whole result: ${(error as Error).message}`);
  }
  return result as BenchResult;
}
