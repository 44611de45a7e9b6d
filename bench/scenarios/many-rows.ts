// The other two ways in: a stream of items, and batches of many rows; and what single calls feel of a batch.

import type { FlowPlan } from '../../src/bench/plan.ts';
import type { LoadReport } from '../../src/bench/report.ts';
import type { Rpc } from '../../src/bench/rpc.ts';
import { batchRequest, SCORE_BATCH_PATH, SCORE_STREAM_PATH } from '../harness/requests.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startScorewire } from '../harness/servers.ts';
import { onlyFlow, PEAK_IN_FLIGHT, poisson, ratios, type Scenario, type Suite } from '../harness/suite.ts';

const ITEMS = 16;
const BATCH_ROWS = 4096;
const BATCHES_IN_FLIGHT = 2;
const SINGLE_PER_SECOND = 500;
const MAX_TAIL_FACTOR = 1.5;
const MIN_STREAM_GAIN = 3;

type Loads = {
  unary: LoadReport;
  one: LoadReport;
  many: LoadReport;
  bulk: LoadReport;
  quietMs: number;
  besideMs: number;
};

export const manyRows: Scenario = {
  name: 'many-rows',
  title: 'boosted-trees: items of a stream, and rows of a batch, beside single calls',
  async run(suite: Suite) {
    const all: Loads[] = [];
    for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
      const server = await startScorewire();
      try {
        all.push(await measure(suite, server, repetition + 1));
      } finally {
        await server.stop();
      }
    }
    const rate = (of: (loads: Loads) => LoadReport): number[] =>
      all.map((loads) => onlyFlow(of(loads).flows).answeredPerSecond);
    const cpu = (of: (loads: Loads) => LoadReport, rows = 1): number[] =>
      all.map((loads) => (of(loads).server?.cpuUsPerCall ?? Number.NaN) / rows);
    const single = rate(({ unary }) => unary);
    for (const [name, of] of [
      ['1 item a message', ({ one }: Loads) => one],
      [`${ITEMS} items a message`, ({ many }: Loads) => many],
    ] as const) {
      suite.figure(`stream, ${name}`, 'items/s', rate(of));
      suite.figure(`stream, ${name}, server CPU an item`, 'us', cpu(of));
      const gain = ratios(rate(of), single);
      suite.figure(`stream, ${name} / unary throughput`, 'ratio', gain, {
        relation: 'at least',
        value: MIN_STREAM_GAIN,
      });
    }
    const rows = rate(({ bulk }) => bulk).map((calls) => calls * BATCH_ROWS);
    suite.figure(`batches of ${BATCH_ROWS} rows`, 'rows/s', rows);
    suite.figure(
      `batches of ${BATCH_ROWS} rows, server CPU a row`,
      'us',
      cpu(({ bulk }) => bulk, BATCH_ROWS),
    );
    const quiet = all.map(({ quietMs }) => quietMs);
    const beside = all.map(({ besideMs }) => besideMs);
    suite.figure(`single calls at ${SINGLE_PER_SECOND}/s, p99`, 'ms', quiet);
    suite.figure(`the same beside batches, p99`, 'ms', beside);
    suite.figure('beside batches / alone, p99', 'ratio', ratios(beside, quiet), {
      relation: 'at most',
      value: MAX_TAIL_FACTOR,
    });
  },
};

async function measure(suite: Suite, server: ServerProcess, seed: number): Promise<Loads> {
  const closed = (inFlight: number, change: Partial<FlowPlan> = {}): FlowPlan => ({
    ...suite.flow('boosted-trees', { kind: 'closed', inFlight }),
    ...change,
  });
  const stream = (items: number): Rpc => ({ kind: 'stream', streams: 1, items });
  const streaming = { path: SCORE_STREAM_PATH, sampleEvery: 0 };
  const bulk = closed(BATCHES_IN_FLIGHT, {
    name: 'batches',
    path: SCORE_BATCH_PATH,
    rpc: { kind: 'bulk', rows: BATCH_ROWS },
    messages: [batchRequest('boosted-trees', BATCH_ROWS)],
    sampleEvery: 0,
  });
  const warmUpSeconds = 3 * suite.settings.warmUpSeconds;
  const loads = {
    unary: await suite.load(server, [closed(PEAK_IN_FLIGHT)], { warmUpSeconds }),
    one: await suite.load(server, [closed(PEAK_IN_FLIGHT, { ...streaming, rpc: stream(1) })], { warmUpSeconds }),
    many: await suite.load(server, [closed(ITEMS * ITEMS, { ...streaming, rpc: stream(ITEMS) })]),
    bulk: await suite.load(server, [bulk], { warmUpSeconds }),
  };
  const single = suite.flow('boosted-trees', poisson(SINGLE_PER_SECOND, seed));
  const quiet = onlyFlow((await suite.load(server, [single])).flows);
  // The batches from a process of their own: whoever writes half a megabyte can't send a single call in time.
  const [beside] = await Promise.all([suite.load(server, [single]), suite.load(server, [bulk])]);
  return {
    ...loads,
    quietMs: quiet.answers.p99Us / 1000,
    besideMs: onlyFlow(beside.flows).answers.p99Us / 1000,
  };
}
