import { describe, expect, it } from 'vitest';
import type { EncodedRow } from '../../../src/features/row.ts';
import {
  findBatchingProblem,
  measureCost,
  runSamples,
  type WarmUpTarget,
  warmSession,
} from '../../../src/scoring/warm-up.ts';
import type { Tensor } from '../../../src/tensor.ts';
import type { RunRequest } from '../../../src/workers/messages.ts';
import { RunFailed, type Worker } from '../../../src/workers/worker.ts';

/** More time than any of this takes, in milliseconds. */
const AGES_MS = 1e9;

/** A worker that knows one model: a function of its rows, and of how long they take. */
function workerOf(outputs: (rows: number[]) => Tensor[], runUs: (rows: number) => number = () => 1) {
  const sizes: number[] = [];
  const run = async (request: Omit<RunRequest, 'kind'>) => {
    const rows = Array.from(request.inputs[0]?.data as Float32Array);
    sizes.push(rows.length);
    return { kind: 'ran' as const, outputs: outputs(rows), runUs: runUs(rows.length) };
  };
  return { worker: { run } as unknown as Worker, sizes };
}

const row = (value: number): EncodedRow => ({ inputs: [new Float32Array([value])], dims: undefined, shapeKey: '' });

function target(outputs: string[] = ['score'], values: number[] = [1, 2, 3, 4, 5]): WarmUpTarget {
  const shape = { inputs: [{ name: 'x', type: 'float32' as const, rowDims: [1] }], batchDimension: true };
  return { session: 1, shape, outputs, rows: values.map(row) };
}

const column = (values: number[]): Tensor => ({
  type: 'float32',
  dims: [values.length, 1],
  data: Float32Array.from(values),
});
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

it('a fresh session runs single rows before it counts as warm', async () => {
  const { worker, sizes } = workerOf((rows) => [column(rows)]);
  await warmSession(worker, target());
  expect(sizes).toEqual([1, 1, 1]);
});

describe('samples that a config brings', () => {
  const sample = (name: string, values: number[], count: number) => ({
    name,
    count,
    inputs: new Map([['x', column(values)]]),
  });

  it('are run in turn, each as often as it says', async () => {
    const { worker, sizes } = workerOf((rows) => [column(rows)]);
    await runSamples(worker, 1, [sample('one', [1], 2), sample('three', [1, 2, 3], 1)], ['score']);
    expect(sizes).toEqual([1, 1, 3]);
  });

  it('that the model refuses are told by name', async () => {
    const worker = { run: () => Promise.reject(new RunFailed('index out of range')) } as unknown as Worker;
    await expect(runSamples(worker, 1, [sample('far', [9], 1)], ['score'])).rejects.toThrow('far: index out of range');
  });
});

describe('the cost of batches', () => {
  it('is measured at 1, 2, 4 ... and the largest batch, three times each', async () => {
    const { worker, sizes } = workerOf(
      (rows) => [column(rows)],
      (rows) => 100 + rows,
    );
    const cost = await measureCost(worker, target(), 12, AGES_MS);
    expect(sizes).toEqual([1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 12, 12, 12]);
    for (const rows of [1, 2, 4, 8, 12]) expect(cost.runUs(rows)).toBeCloseTo(100 + rows, 9);
  });

  it('is the least of the three: noise only ever adds', async () => {
    let runs = 0;
    const { worker } = workerOf(
      (rows) => [column(rows)],
      () => [5000, 100, 900][runs++ % 3] as number,
    );
    expect((await measureCost(worker, target(), 4, AGES_MS)).runUs(2)).toBeCloseTo(100, 9);
  });

  it('is taken for proportional to the rows where there is no time but for a single one', async () => {
    const { worker, sizes } = workerOf(
      (rows) => [column(rows)],
      (rows) => 1000 * rows,
    );
    const cost = await measureCost(worker, target(), 64, 0);
    expect(sizes).toEqual([1]);
    for (const rows of [1, 2, 64]) expect(cost.runUs(rows)).toBeCloseTo(1000 * rows, 6);
    expect(Number.isFinite(cost.predictMs(64))).toBe(true);
  });

  it('goes on along the last two sizes where the time ends later', async () => {
    // A run of 8 rows would take far longer than there is time; those before take none of it.
    const { worker, sizes } = workerOf(
      (rows) => [column(rows)],
      (rows) => (rows < 4 ? rows : 1e12 * rows),
    );
    const cost = await measureCost(worker, target(), 64, 1e7);
    expect(new Set(sizes)).toEqual(new Set([1, 2, 4]));
    const slope = (cost.runUs(4) - cost.runUs(2)) / 2;
    expect(cost.runUs(64) / (cost.runUs(4) + 60 * slope)).toBeCloseTo(1, 6);
  });

  it('is that of a single row for a model that takes no more', async () => {
    const { worker, sizes } = workerOf(
      (rows) => [column(rows)],
      () => 70,
    );
    const cost = await measureCost(worker, target(), 1, AGES_MS);
    expect(new Set(sizes)).toEqual(new Set([1]));
    expect([cost.sizes, cost.kneeRows]).toEqual([[1], 1]);
  });
});

describe('a model that batching would change', () => {
  const problem = async (
    outputs: (rows: number[]) => Tensor[],
    names = ['score'],
    values?: number[],
  ): Promise<string> => (await findBatchingProblem(workerOf(outputs).worker, target(names, values))).problem;

  it('is none that scores each row for itself', async () => {
    expect(await problem((rows) => [column(rows.map((value) => 3 * value - 1))])).toBe('');
  });

  it.each<[string, (rows: number[]) => number[]]>([
    ['a mean over the batch', (rows) => rows.map((value) => value - sum(rows) / rows.length)],
    [
      'a scale taken over the batch',
      (rows) => rows.map((value) => Math.round((127 * value) / Math.max(...rows.map(Math.abs)))),
    ],
    ['the row before', (rows) => rows.map((value, i) => value + (rows[i - 1] ?? 0))],
    ['the row after', (rows) => rows.map((value, i) => value + (rows[i + 1] ?? 0))],
    ['NaN in company', (rows) => rows.map((value) => (rows.length > 1 ? Number.NaN : value))],
  ])('is one that looks at others: %s', async (_, score) => {
    expect(await problem((rows) => [column(score(rows))])).toMatch(
      /^a row's score changes with the rows beside it \(by /,
    );
  });

  it('is found in any of its outputs', async () => {
    const found = await problem(
      (rows) => [column(rows), column(rows.map((value) => value / rows.length))],
      ['score', 'share'],
    );
    expect(found).toMatch(/^a row's share changes/);
  });

  it('is found in labels and texts', async () => {
    const labels = (rows: number[]): Tensor => ({
      type: 'int64',
      dims: [rows.length],
      data: BigInt64Array.from(rows, () => BigInt(rows.length > 1)),
    });
    expect(await problem((rows) => [labels(rows)])).toBe(
      "a row's score changes with the rows beside it (by 0 instead of 1)",
    );
    const texts = (rows: number[]): Tensor => ({
      type: 'string',
      dims: [rows.length],
      data: rows.map(() => (rows.length > 1 ? 'b' : 'a')),
    });
    expect(await problem((rows) => [texts(rows)])).toContain('a instead of b');
  });

  it('is one that doesn’t give one entry a row', async () => {
    expect(await problem((rows) => [column([sum(rows)])])).toBe(
      'output score has dimensions [1,1] for 12 rows: not one entry a row',
    );
  });

  it.each<[string, number]>([
    ['nothing, as it rounds otherwise', 1 + 1e-6],
    ['nothing, with large scores', 1 + 5e-5],
  ])('is not one that changes %s', async (_, factor) => {
    const score = (rows: number[]): number[] => rows.map((value) => value * (rows.length > 1 ? factor : 1));
    expect(await problem((rows) => [column(score(rows))], ['score'], [1000, 2000, 3000, 4000])).toBe('');
  });

  it('is not one that gives NaN alone and in company', async () => {
    expect(await problem((rows) => [column(rows.map(() => Number.NaN))])).toBe('');
  });
});
