// Unary calls of one row in a closed loop: our server and the grpc-js echo, in turns.

import type { FlowReport, LoadReport } from '../../src/bench/report.ts';
import type { Mark } from '../harness/figures.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startEcho, startScorewire } from '../harness/servers.ts';
import { errorShare, inTurns, onlyFlow, PEAK_IN_FLIGHT, ratios, type Scenario, type Suite } from '../harness/suite.ts';

const IN_FLIGHT = [1, 8, PEAK_IN_FLIGHT];
/** A server just started has compiled nothing yet. */
const FIRST_WARM_UP_FACTOR = 3;
const MIN_THROUGHPUT_RATIO = 0.65;
const MAX_P50_ABOVE_ECHO_US = 150;

/** One start of a server: a report for each count in flight. */
type Block = Map<number, LoadReport>;

export const unary: Scenario = {
  name: 'unary',
  title: 'boosted-trees, one row a call, closed loop, against the grpc-js echo',
  async run(suite: Suite) {
    const [ours = [], echo = []] = await inTurns<Block>(suite.settings.repetitions, [
      async () => measureBlock(suite, await startScorewire()),
      async () => measureBlock(suite, await startEcho(suite.answer)),
    ]);
    for (const block of ours) suite.addPeak('boosted-trees', throughput(block, PEAK_IN_FLIGHT));
    for (const inFlight of IN_FLIGHT) compare(suite, inFlight, ours, echo);
  },
};

async function measureBlock(suite: Suite, server: ServerProcess): Promise<Block> {
  try {
    const block: Block = new Map();
    // The most in flight first: it warms the server up best.
    for (const inFlight of IN_FLIGHT.toReversed()) {
      const factor = block.size === 0 ? FIRST_WARM_UP_FACTOR : 1;
      const flow = suite.flow('boosted-trees', { kind: 'closed', inFlight });
      block.set(inFlight, await suite.load(server, [flow], { warmUpSeconds: factor * suite.settings.warmUpSeconds }));
    }
    return block;
  } finally {
    await server.stop();
  }
}

function compare(suite: Suite, inFlight: number, ours: readonly Block[], echo: readonly Block[]): void {
  const rate = (blocks: readonly Block[]): number[] => blocks.map((block) => throughput(block, inFlight));
  const latency = (blocks: readonly Block[], of: (flow: FlowReport) => number): number[] =>
    blocks.map((block) => of(flowOf(block, inFlight)) / 1000);
  const name = (what: string): string => `${inFlight} in flight, ${what}`;
  const most = inFlight === PEAK_IN_FLIGHT;

  suite.figure(name('throughput'), 'calls/s', rate(ours));
  suite.figure(name('throughput, echo'), 'calls/s', rate(echo));
  suite.figure(name('throughput / echo'), 'ratio', ratios(rate(ours), rate(echo)), most ? throughputMark : undefined);
  suite.figure(
    name('p50'),
    'ms',
    latency(ours, ({ answers }) => answers.p50Us),
  );
  suite.figure(
    name('p50, echo'),
    'ms',
    latency(echo, ({ answers }) => answers.p50Us),
  );
  suite.figure(
    name('p99'),
    'ms',
    latency(ours, ({ answers }) => answers.p99Us),
  );
  suite.figure(
    name('p99, echo'),
    'ms',
    latency(echo, ({ answers }) => answers.p99Us),
  );
  if (inFlight === 1) {
    const above = ours.map((block, repetition) => {
      const floor = flowOf(echo[repetition] as Block, inFlight).answers.p50Us;
      return flowOf(block, inFlight).answers.p50Us - floor;
    });
    suite.figure(name('p50 above echo'), 'us', above, { relation: 'at most', value: MAX_P50_ABOVE_ECHO_US });
  }
  cpuFigures(suite, name, inFlight, ours, echo);
  suite.figure(
    name('errors'),
    'share',
    ours.map((block) => errorShare(flowOf(block, inFlight))),
    NO_ERRORS,
  );
}

const throughputMark: Mark = { relation: 'at least', value: MIN_THROUGHPUT_RATIO };
const NO_ERRORS: Mark = { relation: 'at most', value: 0 };

function cpuFigures(
  suite: Suite,
  name: (what: string) => string,
  inFlight: number,
  ours: readonly Block[],
  echo: readonly Block[],
): void {
  const cpu = (blocks: readonly Block[]): number[] =>
    blocks.map((block) => block.get(inFlight)?.server?.cpuUsPerCall ?? Number.NaN);
  if ([...cpu(ours), ...cpu(echo)].some(Number.isNaN)) return;
  suite.figure(name('server CPU a call'), 'us', cpu(ours));
  suite.figure(name('server CPU a call, echo'), 'us', cpu(echo));
  suite.figure(name('server CPU a call / echo'), 'ratio', ratios(cpu(ours), cpu(echo)));
}

function flowOf(block: Block, inFlight: number): FlowReport {
  return onlyFlow(block.get(inFlight)?.flows ?? []);
}

function throughput(block: Block, inFlight: number): number {
  return flowOf(block, inFlight).answeredPerSecond;
}
