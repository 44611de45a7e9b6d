// Blocks of rows beside batches of single rows.

import { describe, expect, test } from 'vitest';
import { type BulkBlock, BulkLane, type BulkSource, blockRows } from '../../../src/batching/bulk-lane.ts';
import { CostCurve } from '../../../src/batching/cost-curve.ts';
import type { BatchRunner, ScheduledModel } from '../../../src/batching/scheduling.ts';
import { ScorewireError } from '../../../src/errors.ts';
import type { RunReply, RunRequest } from '../../../src/workers/messages.ts';
import { RunFailed } from '../../../src/workers/worker.ts';

/** A worker that takes runs while it has others, and ends them in order, when a test says so. */
class QueueingWorker implements BatchRunner {
  readonly id = 1;
  readonly alive = true;
  readonly given: number[][] = [];
  readonly #open: ((error?: Error) => void)[] = [];

  run({ inputs }: Omit<RunRequest, 'kind'>): Promise<RunReply> {
    const rows = Array.from(inputs[0]?.data as Float32Array);
    this.given.push(rows);
    return new Promise((resolve, reject) => {
      this.#open.push((error) => {
        if (error !== undefined) reject(error);
        else
          resolve({
            kind: 'ran',
            runUs: 1,
            outputs: [{ type: 'float32', dims: [rows.length], data: Float32Array.from(rows) }],
          });
      });
    });
  }

  async end(error?: Error): Promise<void> {
    this.#open.shift()?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Blocks of `size` rows with the numbers from `from` on. */
class Source implements BulkSource {
  readonly session = 1;
  readonly seen: (number | string)[] = [];
  gaveUp: string | undefined;
  #left: number;
  #next: number;
  readonly #size: number;

  constructor(from: number, blocks: number, size: number) {
    this.#next = from;
    this.#left = blocks;
    this.#size = size;
  }

  next(): BulkBlock | undefined {
    if (this.#left-- <= 0) return undefined;
    const numbers = Float32Array.from({ length: this.#size }, () => this.#next++);
    return {
      rows: this.#size,
      inputs: [numbers],
      dims: undefined,
      outputNames: ['score'],
      done: (from, rows, reply) => {
        expect(Array.from(reply.outputs[0]?.data as Float32Array)).toEqual(
          Array.from(numbers.subarray(from, from + rows)),
        );
        this.seen.push(...numbers.subarray(from, from + rows));
      },
      failed: (from, rows, { reason }) => {
        for (const number of numbers.subarray(from, from + rows)) this.seen.push(`${number} ${reason}`);
      },
    };
  }

  giveUp({ reason }: ScorewireError): void {
    this.gaveUp = reason;
  }
}

function setUp(runUs: (rows: number) => number = () => 100) {
  const sizes = [1, 64];
  const model: ScheduledModel = {
    name: 'm',
    version: 1,
    session: 1,
    maxRows: 64,
    maxDelayMs: 0,
    cost: new CostCurve(sizes, sizes.map(runUs), 0),
    inputs: [{ name: 'x', type: 'float32', rowDims: [1] }],
    batchDimension: true,
  };
  const failures: unknown[] = [];
  const observer = {
    batchDone() {},
    batchFailed: (_: unknown, __: number, error: unknown) => failures.push(error),
    shed() {},
  };
  let freed = 0;
  const lane = new BulkLane(
    observer,
    () => model,
    () => freed++,
  );
  return { lane, worker: new QueueingWorker(), freed: () => freed, failures };
}

test('a worker has two short blocks at most, and gets the next one when one is done', async () => {
  const { lane, worker, freed } = setUp();
  const source = new Source(0, 5, 2);
  lane.add(source);
  lane.feed([worker], false);
  lane.feed([worker], false);
  expect(worker.given).toEqual([
    [0, 1],
    [2, 3],
  ]);
  await worker.end();
  expect(freed()).toBe(1);
  lane.feed([worker], false);
  expect(worker.given).toHaveLength(3);
  expect(source.seen).toEqual([0, 1]);
});

test('of blocks that take long a worker has one', () => {
  const { lane, worker } = setUp(() => 20_000);
  lane.add(new Source(0, 5, 2));
  lane.feed([worker], false);
  expect(worker.given).toHaveLength(1);
});

describe('beside calls of single rows', () => {
  // 256 rows are a block then, and half of them take half a millisecond.
  const PER_ROW_US = 3.9;
  const sizes = (worker: QueueingWorker): number[] => worker.given.map(({ length }) => length);

  test('a worker has one part of a block at a time, and all parts are run', async () => {
    const { lane, worker } = setUp((rows) => PER_ROW_US * rows);
    const source = new Source(0, 1, 256);
    lane.add(source);
    lane.feed([worker], true);
    lane.feed([worker], true);
    expect(sizes(worker)).toEqual([128]);
    await worker.end();
    expect(lane.waiting).toBe(true);
    lane.feed([worker], true);
    await worker.end();
    lane.feed([worker], true);
    expect(sizes(worker)).toEqual([128, 128]);
    expect(source.seen).toEqual(Array.from({ length: 256 }, (_, row) => row));
    expect(lane.waiting).toBe(false);
  });

  test('what is left when they are over is run as one', async () => {
    const { lane, worker } = setUp((rows) => PER_ROW_US * rows);
    lane.add(new Source(0, 2, 256));
    lane.feed([worker], true);
    await worker.end();
    lane.feed([worker], false);
    expect(sizes(worker)).toEqual([128, 128, 256]);
  });

  test('parts of a model with long runs are single rows', () => {
    const { lane, worker } = setUp(() => 20_000);
    lane.add(new Source(0, 1, 2));
    lane.feed([worker], true);
    expect(sizes(worker)).toEqual([1]);
  });

  test('a part that the model refuses is halved, and the others are run', async () => {
    const { lane, worker } = setUp((rows) => PER_ROW_US * rows);
    const source = new Source(0, 1, 130);
    lane.add(source);
    lane.feed([worker], true);
    await worker.end(new RunFailed('no'));
    await worker.end(new RunFailed('no'));
    for (let runs = 2; runs < worker.given.length; runs++) {
      await worker.end(worker.given[runs]?.includes(3) ? new RunFailed('no') : undefined);
      lane.feed([worker], true);
    }
    expect(source.seen.filter((row) => typeof row === 'string')).toEqual(['3 RUN_FAILED']);
    expect(source.seen).toHaveLength(130);
  });

  test('whoever leaves takes the parts along that nobody has', async () => {
    const { lane, worker } = setUp((rows) => PER_ROW_US * rows);
    const source = new Source(0, 1, 256);
    lane.add(source);
    lane.feed([worker], true);
    lane.remove(source);
    expect(lane.waiting).toBe(false);
    const other = new Source(0, 1, 256);
    lane.add(other);
    await worker.end();
    lane.feed([worker], true);
    lane.giveUp(() => new ScorewireError('unavailable', 'DRAINING', 'bye'));
    expect([other.gaveUp, lane.waiting]).toEqual(['DRAINING', false]);
  });
});

test('sources take turns', () => {
  const { lane, worker } = setUp();
  const other = new QueueingWorker();
  lane.add(new Source(0, 9, 1));
  lane.add(new Source(100, 9, 1));
  lane.feed([worker, other], false);
  expect([...worker.given, ...other.given].flat().sort((a, b) => a - b)).toEqual([0, 1, 100, 101]);
});

test('who has none is asked no more until it says so', () => {
  const { lane, worker } = setUp();
  const source = new Source(0, 1, 1);
  lane.add(source);
  lane.feed([worker], false);
  expect(lane.waiting).toBe(false);
  lane.add(source);
  lane.add(source);
  expect(lane.waiting).toBe(true);
  lane.feed([worker], false);
  expect(lane.waiting).toBe(false);
});

test('a block that the model refuses is halved until the row at fault stands alone', async () => {
  const { lane, worker } = setUp();
  const source = new Source(0, 1, 4);
  lane.add(source);
  lane.feed([worker], false);
  for (let runs = 0; runs < worker.given.length; runs++) {
    await worker.end(worker.given[runs]?.includes(2) ? new RunFailed('no') : undefined);
  }
  expect(worker.given).toEqual([[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]);
  expect(source.seen).toEqual([0, 1, '2 RUN_FAILED', 3]);
});

test('a worker that goes away takes its block with it, once', async () => {
  const { lane, worker } = setUp();
  const source = new Source(0, 1, 2);
  lane.add(source);
  lane.feed([worker], false);
  await worker.end(new ScorewireError('unavailable', 'WORKER_EXITED', 'gone'));
  expect(worker.given).toHaveLength(1);
  expect(source.seen).toEqual(['0 WORKER_EXITED', '1 WORKER_EXITED']);
});

test('giving up tells every source', () => {
  const { lane } = setUp();
  const source = new Source(0, 1, 2);
  lane.add(source);
  lane.giveUp(() => new ScorewireError('unavailable', 'DRAINING', 'bye'));
  expect(source.gaveUp).toBe('DRAINING');
  expect(lane.waiting).toBe(false);
});

test.each([
  ['one row a run where batches are not allowed', 1, () => 5, 1],
  ['no more than the best batch where that takes its time', 64, (rows: number) => 15 * rows, 64],
  ['more where a run stays short', 64, (rows: number) => 1.5 * rows, 256],
])('%s', (_, maxRows, runUs, expected) => {
  const sizes = [1, 64];
  expect(blockRows({ maxRows, cost: new CostCurve(sizes, sizes.map(runUs), 0) })).toBe(expected);
});
