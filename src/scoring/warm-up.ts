// What a model's first runs teach: what a batch costs, and whether batching leaves its scores alone.
import { CostCurve, curveSizes } from '../batching/cost-curve.ts';
import { joinRows } from '../batching/join-rows.ts';
import type { BatchShape } from '../batching/queued-rows.ts';
import type { EncodedRow } from '../features/row.ts';
import { outliersOf } from '../features/sample-rows.ts';
import type { WarmUpSample } from '../models/model.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import type { RunReply } from '../workers/messages.ts';
import { RunFailed, type Worker } from '../workers/worker.ts';

/** What warm-up needs to know of a session. */
export type WarmUpTarget = {
  session: number;
  shape: BatchShape;
  outputs: readonly string[];
  /** At least one row that the model can run; all of one shape. */
  rows: readonly EncodedRow[];
};

/** Runs in a fresh worker before it counts as warm; allocations and lazy initialisation are over by then. */
const RUNS_TO_WARM = 3;

/** Each point of the cost curve is the least of so many runs, where the time allows: noise only ever adds. */
const RUNS_A_POINT = 3;

/** Rows that are run among outliers; each is also run alone. */
const CHECKED_ROWS = 4;

/** Differences that count as the same score: rounding may differ between a matrix of one row and one of many. */
const ABSOLUTE_TOLERANCE = 1e-5;
const RELATIVE_TOLERANCE = 1e-4;

/** Rejects with RunFailed if the model can't run the sample rows. */
export async function warmSession(worker: Worker, target: WarmUpTarget): Promise<void> {
  for (let i = 0; i < RUNS_TO_WARM; i++) await runRows(worker, target, rowsFor(target, 1));
}

/** Runs what a config asks for. Rejects with RunFailed if the model can't run it, with the sample's name in front. */
export async function runSamples(
  worker: Worker,
  session: number,
  samples: readonly WarmUpSample[],
  outputs: readonly string[],
): Promise<void> {
  for (const { name, count, inputs } of samples) {
    const named = [...inputs].map(([input, tensor]) => ({ name: input, ...tensor }));
    for (let i = 0; i < count; i++) {
      await worker.run({ session, inputs: named, outputs }).catch((error: Error) => {
        throw new RunFailed(`${name}: ${error.message}`, { cause: error });
      });
    }
  }
}

/**
 * Measures what a run costs at 1, 2, 4 ... `maxRows` rows. Sizes that would take more than `budgetMs` in all are not
 * run: the line through the last two points, or through the origin, stands in for them until serving corrects it.
 */
export async function measureCost(
  worker: Worker,
  target: WarmUpTarget,
  maxRows: number,
  budgetMs: number,
): Promise<CostCurve> {
  const sizes = curveSizes(maxRows);
  const runUs: number[] = [];
  let overheadUs = Number.POSITIVE_INFINITY;
  const endMs = performance.now() + budgetMs;
  for (const size of sizes) {
    // A single row is run however short the time is: the rest goes by what it took.
    const forecastUs = runUs.length === 0 ? 0 : extrapolate(sizes, runUs, size);
    if (runUs.length > 0 && performance.now() + forecastUs / 1000 > endMs) {
      runUs.push(forecastUs);
      continue;
    }
    const rows = rowsFor(target, size);
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < RUNS_A_POINT; i++) {
      const start = performance.now();
      const reply = await runRows(worker, target, rows);
      least = Math.min(least, reply.runUs);
      overheadUs = Math.min(overheadUs, (performance.now() - start) * 1000 - reply.runUs);
      if (performance.now() + least / 1000 > endMs) break;
    }
    runUs.push(least);
  }
  return new CostCurve(sizes, runUs, overheadUs);
}

function extrapolate(sizes: readonly number[], runUs: readonly number[], size: number): number {
  const last = runUs.length - 1;
  const lastUs = runUs[last] as number;
  if (last === 0) return lastUs * size;
  const slope = (lastUs - (runUs[last - 1] as number)) / ((sizes[last] as number) - (sizes[last - 1] as number));
  return lastUs + slope * (size - (sizes[last] as number));
}

/** Why a model must not be batched; '' where it may. `perRow`: whether its outputs have one entry a row. */
export type BatchingProblem = { problem: string; perRow: boolean };

/**
 * Runs rows alone and among outliers, and compares all outputs: a model that takes a scale, a mean or a rank over the
 * whole tensor gives a row another score in another company.
 */
export async function findBatchingProblem(worker: Worker, target: WarmUpTarget): Promise<BatchingProblem> {
  const checked = rowsFor(target, CHECKED_ROWS);
  const outliers = outliersOf(checked);
  // Outliers on both sides, so that a model which looks back or ahead is found as well.
  const together = [...outliers, ...checked, ...outliers];
  const batch = await runRows(worker, target, together);
  for (const [index, row] of checked.entries()) {
    const alone = await runRows(worker, target, [row]);
    for (const [output, name] of target.outputs.entries()) {
      const one = alone.outputs[output] as Tensor;
      const all = batch.outputs[output] as Tensor;
      if (all.dims[0] !== together.length) {
        const dims = all.dims.join(',');
        return {
          problem: `output ${name} has dimensions [${dims}] for ${together.length} rows: not one entry a row`,
          perRow: false,
        };
      }
      const apart = largestDifference(one, all, outliers.length + index);
      if (apart !== undefined) {
        return { problem: `a row's ${name} changes with the rows beside it (by ${apart})`, perRow: true };
      }
    }
  }
  return { problem: '', perRow: true };
}

/** Undefined where row `index` of `all` equals `one`. */
function largestDifference(one: Tensor, all: Tensor, index: number): string | undefined {
  const width = elementCount(one.dims);
  let largest = 0;
  for (let i = 0; i < width; i++) {
    const a = one.data[i] as number | bigint | string;
    const b = all.data[index * width + i] as number | bigint | string;
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (typeof a !== 'number' || typeof b !== 'number') return `${a} instead of ${b}`;
    const apart = Math.abs(a - b);
    if (!(apart <= ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * Math.abs(a))) largest = Math.max(largest, apart);
  }
  return largest === 0 ? undefined : largest.toPrecision(3);
}

function rowsFor(target: WarmUpTarget, count: number): EncodedRow[] {
  return Array.from({ length: count }, (_, i) => target.rows[i % target.rows.length] as EncodedRow);
}

function runRows(worker: Worker, target: WarmUpTarget, rows: readonly EncodedRow[]): Promise<RunReply> {
  return worker.run({
    session: target.session,
    inputs: joinRows(target.shape, rows.map(alone)),
    outputs: target.outputs,
  });
}

function alone({ inputs, dims }: EncodedRow) {
  return { rows: 1, inputs, dims, shape: undefined };
}
