// What the scheduler gains over a fixed delay: arrivals in bursts, with the default (an idle worker never waits) and with
// batches that wait for a fixed time.

import { type LoadShape, MAX_IN_FLIGHT } from '../../src/bench/plan.ts';
import type { FlowReport } from '../../src/bench/report.ts';
import type { BenchModel } from '../harness/requests.ts';
import { startScorewire } from '../harness/servers.ts';
import { errorShare, inTurns, onlyFlow, type Scenario, type Suite } from '../harness/suite.ts';

const MODELS: readonly BenchModel[] = ['boosted-trees', 'slow-1ms'];
const FIXED_DELAYS_MS = [2, 5];
/** The mean rate; while a burst lasts, it is (ON_MS + OFF_MS) / ON_MS times as high: beyond the peak. */
const PEAK_SHARE = 0.4;
const ON_MS = 20;
const OFF_MS = 40;
const WARM_UP_FACTOR = 3;

export const bursts: Scenario = {
  name: 'bursts',
  title: 'arrivals in bursts: the scheduler against fixed delays',
  async run(suite: Suite) {
    for (const model of MODELS) await compareDelays(suite, model);
  },
};

async function compareDelays(suite: Suite, model: BenchModel): Promise<void> {
  const ratePerSecond = PEAK_SHARE * (await suite.peak(model));
  const arms = [undefined, ...FIXED_DELAYS_MS];
  const byArm = await inTurns(
    suite.settings.repetitions,
    arms.map(
      (delayMs) => (repetition: number) => measure(suite, model, delayMs, burstsOf(ratePerSecond, repetition + 1)),
    ),
  );
  arms.forEach((delayMs, arm) => {
    const flows = byArm[arm] as FlowReport[];
    const name = `${model}, ${delayMs === undefined ? 'scheduler' : `fixed ${delayMs} ms`}`;
    suite.figure(
      `${name}, p50`,
      'ms',
      flows.map(({ answers }) => answers.p50Us / 1000),
    );
    suite.figure(
      `${name}, p99`,
      'ms',
      flows.map(({ answers }) => answers.p99Us / 1000),
    );
    suite.figure(
      `${name}, answered`,
      'calls/s',
      flows.map(({ answeredPerSecond }) => answeredPerSecond),
    );
    suite.figure(`${name}, errors`, 'share', flows.map(errorShare));
  });
}

function burstsOf(ratePerSecond: number, seed: number): LoadShape {
  const arrivals = { process: 'bursts', ratePerSecond, onMs: ON_MS, offMs: OFF_MS, seed } as const;
  return { kind: 'open', arrivals, maxInFlight: MAX_IN_FLIGHT };
}

async function measure(
  suite: Suite,
  model: BenchModel,
  delayMs: number | undefined,
  shape: LoadShape,
): Promise<FlowReport> {
  const server = await startScorewire({ set: delayMs === undefined ? [] : [`batching.max_delay_ms=${delayMs}`] });
  try {
    const warmUpSeconds = WARM_UP_FACTOR * suite.settings.warmUpSeconds;
    return onlyFlow((await suite.load(server, [suite.flow(model, shape)], { warmUpSeconds })).flows);
  } finally {
    await server.stop();
  }
}
