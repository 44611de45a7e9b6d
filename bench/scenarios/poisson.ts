// Poisson arrivals at half of the echo's closed-loop peak, or of ours if that is lower: what callers feel who don't wait for each
// other.

import type { FlowReport } from '../../src/bench/report.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startEcho, startScorewire } from '../harness/servers.ts';
import {
  errorShare,
  inTurns,
  onlyFlow,
  PEAK_IN_FLIGHT,
  poisson,
  ratios,
  type Scenario,
  type Suite,
} from '../harness/suite.ts';

const PEAK_SHARE = 0.5;
const WARM_UP_FACTOR = 3;
const MAX_P99_MS = 10;

export const poissonArrivals: Scenario = {
  name: 'poisson',
  title: 'boosted-trees, Poisson arrivals at half of the lower peak, on ours and on the echo',
  async run(suite: Suite) {
    // Of the lower peak, so that both can bear it.
    const ratePerSecond = PEAK_SHARE * Math.min(await suite.peak('boosted-trees'), await echoPeak(suite));
    const arm = (start: () => Promise<ServerProcess>) => async (repetition: number) =>
      measure(suite, await start(), ratePerSecond, repetition);
    const [ours = [], echo = []] = await inTurns(suite.settings.repetitions, [
      arm(() => startScorewire()),
      arm(() => startEcho(suite.answer)),
    ]);
    suite.figure(
      'offered',
      'calls/s',
      ours.map(({ offeredPerSecond }) => offeredPerSecond ?? 0),
    );
    const p999 = (flows: readonly FlowReport[]): number[] => flows.map(({ answers }) => answers.p999Us);
    suite.figure('p99.9 / echo', 'ratio', ratios(p999(ours), p999(echo)), TAIL_MARK);
    for (const [name, flows] of [['', ours] as const, [', echo', echo] as const]) {
      const ms = (of: (flow: FlowReport) => number): number[] => flows.map((flow) => of(flow) / 1000);
      const isOurs = flows === ours;
      suite.figure(
        `p50${name}`,
        'ms',
        ms(({ answers }) => answers.p50Us),
      );
      suite.figure(
        `p99${name}`,
        'ms',
        ms(({ answers }) => answers.p99Us),
        isOurs ? BELOW_MARK : undefined,
      );
      suite.figure(
        `p99.9${name}`,
        'ms',
        ms(({ answers }) => answers.p999Us),
      );
      suite.figure(
        `slowest${name}`,
        'ms',
        ms(({ answers }) => answers.maxUs),
      );
      suite.figure(`errors${name}`, 'share', flows.map(errorShare), isOurs ? NO_ERRORS : undefined);
    }
  },
};

/** The echo's closed-loop peak, calls a second. */
async function echoPeak(suite: Suite): Promise<number> {
  const server = await startEcho(suite.answer);
  try {
    const flow = suite.flow('boosted-trees', { kind: 'closed', inFlight: PEAK_IN_FLIGHT });
    return onlyFlow((await suite.load(server, [flow])).flows).answeredPerSecond;
  } finally {
    await server.stop();
  }
}

const TAIL_MARK = { relation: 'at most', value: 1.3 } as const;
const BELOW_MARK = { relation: 'at most', value: MAX_P99_MS } as const;
const NO_ERRORS = { relation: 'at most', value: 0 } as const;

async function measure(suite: Suite, server: ServerProcess, ratePerSecond: number, seed: number): Promise<FlowReport> {
  try {
    const flow = suite.flow('boosted-trees', poisson(ratePerSecond, seed + 1));
    const { flows } = await suite.load(server, [flow], {
      warmUpSeconds: WARM_UP_FACTOR * suite.settings.warmUpSeconds,
    });
    return onlyFlow(flows);
  } finally {
    await server.stop();
  }
}
