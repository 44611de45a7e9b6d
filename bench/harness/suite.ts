// What a scenario gets to work with: settings, loads, figures, and what other scenarios have found.

import { type FlowPlan, type LoadShape, MAX_IN_FLIGHT } from '../../src/bench/plan.ts';
import type { FlowReport, LoadReport } from '../../src/bench/report.ts';
import { runLoad } from '../../src/bench/run-load.ts';
import { median } from '../../src/bench/statistics.ts';
import { type Figure, type Mark, makeFigure } from './figures.ts';
import { type BenchModel, countWrongScores, SCORE_PATH, type ScoreCalls, scoreCalls } from './requests.ts';
import type { ServerProcess } from './server-process.ts';
import { startScorewire } from './servers.ts';
import { CLIENT_CORE, HOST } from './settings.ts';

export interface SuiteSettings {
  /** The measured time of one load. */
  seconds: number;
  /** Load before each measured time. */
  warmUpSeconds: number;
  /** How often each thing is measured; those that are compared take turns in the order A B B A. */
  repetitions: number;
}

export interface Scenario {
  name: string;
  title: string;
  run(suite: Suite): Promise<void>;
}

/** One load as it was asked for and what came of it. */
export interface LoadRecord {
  scenario: string;
  server: string;
  report: LoadReport;
}

export interface LoadOptions {
  warmUpSeconds?: number;
  seconds?: number;
}

/** In flight at the closed-loop peak, and over how many connections. */
export const PEAK_IN_FLIGHT = 64;

const OPEN_CONNECTIONS = 4;
const DRAIN_SECONDS = 10;
const SAMPLE_EVERY = 97;
/** Of one core; more beside a load shows in its latencies. */
const NOISY_CPU_SHARE = 0.05;

export class Suite {
  readonly settings: SuiteSettings;
  readonly figures: Figure[] = [];
  readonly loads: LoadRecord[] = [];
  readonly notes: string[] = [];
  readonly #peaks = new Map<string, number[]>();
  readonly #calls = new Map<BenchModel, ScoreCalls>();
  #scenario = '';
  #answer: Uint8Array | undefined;

  constructor(settings: SuiteSettings) {
    this.settings = settings;
  }

  async run(scenario: Scenario): Promise<void> {
    this.#scenario = scenario.name;
    this.progress(scenario.title);
    await scenario.run(this);
  }

  /** A line for who watches. */
  progress(text: string): void {
    process.stderr.write(`[${this.#scenario}] ${text}\n`);
  }

  /** A remark that belongs to the results. */
  note(text: string): void {
    this.notes.push(`${this.#scenario}: ${text}`);
    this.progress(text);
  }

  figure(name: string, unit: string, values: number[], mark?: Mark): void {
    this.figures.push(makeFigure(this.#scenario, name, unit, values, mark));
  }

  calls(model: BenchModel): ScoreCalls {
    const calls = this.#calls.get(model) ?? scoreCalls(model);
    this.#calls.set(model, calls);
    return calls;
  }

  /** A flow of Score calls, one row each. */
  flow(model: BenchModel, shape: LoadShape): FlowPlan {
    const { messages } = this.calls(model);
    // Callers who don't wait for each other may be more at once than a connection carries.
    const connections = shape.kind === 'open' ? OPEN_CONNECTIONS : 1;
    return { name: model, path: SCORE_PATH, messages, connections, shape, sampleEvery: SAMPLE_EVERY };
  }

  /** Loads a server, and checks the sampled answers unless it is a floor. */
  async load(server: ServerProcess, flows: readonly FlowPlan[], options: LoadOptions = {}): Promise<LoadReport> {
    const report = await runLoad(
      {
        host: HOST,
        port: server.port,
        warmUpSeconds: options.warmUpSeconds ?? this.settings.warmUpSeconds,
        seconds: options.seconds ?? this.settings.seconds,
        drainSeconds: DRAIN_SECONDS,
        flows,
        serverPids: [server.pid],
      },
      CLIENT_CORE,
    );
    for (const flow of report.flows) {
      this.progress(`${server.name}: ${describeFlow(flow)}`);
      if (server.name === 'scorewire') this.#checkScores(flow);
    }
    if (report.client.limited) this.progress(`the client was the limit: ${report.client.reasons.join('; ')}`);
    this.loads.push({ scenario: this.#scenario, server: server.name, report: withoutSamples(report) });
    return report;
  }

  /** Why the figures of a scenario should not be trusted; empty where nothing speaks against them. */
  doubts(scenario: string): string[] {
    const reports = this.loads.filter((load) => load.scenario === scenario).map(({ report }) => report);
    const limited = reports.filter(({ client }) => client.limited).length;
    const others = Math.max(0, ...reports.map(({ othersCpuShare }) => othersCpuShare ?? 0));
    const doubts: string[] = [];
    if (limited > 0) doubts.push(`the client was the limit in ${limited} of ${reports.length} loads`);
    if (others > NOISY_CPU_SHARE) doubts.push(`other work took up to ${(100 * others).toFixed(0)} % of a core`);
    return doubts;
  }

  /** Remembers a closed-loop throughput for the scenarios that go by it. */
  addPeak(model: BenchModel, callsPerSecond: number): void {
    this.#peaks.set(model, [...(this.#peaks.get(model) ?? []), callsPerSecond]);
  }

  /** One of our server's real answers, for the echo to repeat; undefined while none has been seen. */
  get answer(): Uint8Array | undefined {
    return this.#answer;
  }

  /** Our server's closed-loop peak, calls a second; measured now if no scenario has yet. */
  async peak(model: BenchModel): Promise<number> {
    const known = this.#peaks.get(model);
    if (known !== undefined) return median(known);
    const server = await startScorewire();
    try {
      const { flows } = await this.load(server, [this.flow(model, { kind: 'closed', inFlight: PEAK_IN_FLIGHT })]);
      this.addPeak(model, onlyFlow(flows).answeredPerSecond);
    } finally {
      await server.stop();
    }
    return this.peak(model);
  }

  #checkScores(flow: FlowReport): void {
    const calls = this.#calls.get(flow.name as BenchModel);
    if (calls === undefined) return;
    if (flow.name === 'boosted-trees') this.#answer ??= flow.samples[0]?.answer;
    const wrong = countWrongScores(calls, flow.samples);
    if (wrong > 0)
      throw new Error(`${flow.name}: ${wrong} of ${flow.samples.length} sampled answers had a wrong score`);
  }
}

/** An open-loop shape of Poisson arrivals. */
export function poisson(ratePerSecond: number, seed: number): LoadShape {
  return { kind: 'open', arrivals: { process: 'poisson', ratePerSecond, seed }, maxInFlight: MAX_IN_FLIGHT };
}

/**
 * Runs every arm `repetitions` times, in the order A B C C B A A B C ..., so that a drift of the machine meets all alike.
 * Results by arm, then by repetition.
 */
export async function inTurns<T>(
  repetitions: number,
  arms: readonly ((repetition: number) => Promise<T>)[],
): Promise<T[][]> {
  const results: T[][] = arms.map(() => []);
  const forwards = [...arms.keys()];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const arm of repetition % 2 === 0 ? forwards : forwards.toReversed()) {
      results[arm]?.push((await arms[arm]?.(repetition)) as T);
    }
  }
  return results;
}

/** a / b by repetition: each ratio is of two runs that followed each other. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, repetition) => value / (b[repetition] as number));
}

export function onlyFlow(flows: readonly FlowReport[]): FlowReport {
  const [flow] = flows;
  if (flow === undefined || flows.length > 1) throw new Error(`one flow expected, found ${flows.length}`);
  return flow;
}

/** Calls of a flow that were not answered OK, as a share. */
export function errorShare(flow: FlowReport): number {
  return flow.calls === 0 ? 0 : (flow.refusals.count + flow.failures.count) / flow.calls;
}

function describeFlow({ name, shape, answeredPerSecond, answers, errors }: FlowReport): string {
  const load =
    shape.kind === 'closed'
      ? `${shape.inFlight} in flight`
      : `${shape.arrivals.process} ${Math.round(shape.arrivals.ratePerSecond)}/s`;
  const latency = `p50 ${(answers.p50Us / 1000).toFixed(2)} p99 ${(answers.p99Us / 1000).toFixed(2)} ms`;
  const failed = Object.entries(errors).map(([status, count]) => `, ${count} ${status}`);
  return `${name}, ${load}: ${Math.round(answeredPerSecond)}/s, ${latency}${failed.join('')}`;
}

function withoutSamples(report: LoadReport): LoadReport {
  return { ...report, flows: report.flows.map((flow) => ({ ...flow, samples: [] })) };
}
