// One version on its way into the workers: what it is warmed up with, what it needs there, and what its first runs teach.
import { CostCurve, curveSizes } from '../batching/cost-curve.ts';
import type { BatchShape } from '../batching/queued-rows.ts';
import type { ScheduledModel } from '../batching/scheduling.ts';
import type { Settings } from '../config/settings.ts';
import { SetupError } from '../errors.ts';
import { blockEncoder } from '../features/block-encoder.ts';
import type { FeaturePipeline } from '../features/feature-pipeline.ts';
import { type EncodedRow, rowOf } from '../features/row.ts';
import { type RowEncoder, rowEncoder } from '../features/row-encoder.ts';
import { sampleRows } from '../features/sample-rows.ts';
import { readGolden } from '../models/golden.ts';
import type { ModelSpec } from '../models/model.ts';
import { tensorContract } from '../models/tensor-contract.ts';
import type { ServedModel, StoredScoreLimits } from '../scoring/served-model.ts';
import { Uses } from '../scoring/uses.ts';
import { findBatchingProblem, measureCost, runSamples, type WarmUpTarget, warmSession } from '../scoring/warm-up.ts';
import type { Logger } from '../telemetry/log.ts';
import { ModelStatistics } from '../telemetry/model-statistics.ts';
import type { Worker } from '../workers/worker.ts';
import type { SessionPlan } from '../workers/worker-pool.ts';

/** A latency budget that nobody set: this, or five runs of a single row if those take longer. */
const DEFAULT_BUDGET_MS = 10;
const DEFAULT_BUDGET_RUNS = 5;

/** Made-up rows a model is warmed up with where it brings no golden rows, and golden rows used at most. */
export const SAMPLE_ROWS = 32;

/** Whether batching would change scores nobody knows then, and a score that is right comes before one that is cheap. */
const UNCHECKED =
  'what batching does to its scores could not be checked, as its warm-up rows did not run together; golden rows in its model.yaml help';

const NOT_CHECKED = { problem: UNCHECKED, perRow: undefined };

/** What a run costs before anybody measured it, whatever its rows: wrong, so that large batches are tried, and corrected. */
const UNMEASURED_US = 1000;

/** One version on its way into the workers. */
export type Candidate = {
  spec: ModelSpec;
  session: number;
  encode: RowEncoder;
  target: WarmUpTarget | undefined;
};

/**
 * @param live whether calls that name no version are to get it
 * @throws SetupError for golden rows that the manifest's features refuse, of a live one
 */
export async function candidateOf(spec: ModelSpec, session: number, live: boolean): Promise<Candidate> {
  const encode = rowEncoder(spec.name, spec.rows);
  const rows = await warmUpRows(spec, encode, live);
  const target = rows.length === 0 ? undefined : { session, shape: shapeOf(spec), outputs: outputNames(spec), rows };
  return { spec, session, encode, target };
}

/** Golden rows hold for the live version; another one may have other features, and warms up with them where it takes them. */
async function warmUpRows(spec: ModelSpec, encode: RowEncoder, live: boolean): Promise<EncodedRow[]> {
  if (spec.golden === undefined || spec.rows.kind === 'unknown') return sampleRows(spec.rows, SAMPLE_ROWS);
  try {
    return await goldenRows(spec.golden.file, encode);
  } catch (error) {
    if (live) throw error;
    return sampleRows(spec.rows, SAMPLE_ROWS);
  }
}

async function goldenRows(file: string, encode: RowEncoder): Promise<EncodedRow[]> {
  const rows = (await readGolden(file)).map((golden) => {
    try {
      return encode(rowOf(golden.row));
    } catch (error) {
      throw new SetupError(`${file}:${golden.line}: ${(error as Error).message}`, error);
    }
  });
  const first = rows[0];
  return rows.filter((row) => row.shapeKey === first?.shapeKey).slice(0, SAMPLE_ROWS);
}

function shapeOf(spec: ModelSpec): BatchShape {
  const inputs = spec.rows.kind === 'features' ? spec.rows.inputs : spec.rows.kind === 'open' ? [spec.rows.input] : [];
  return {
    inputs: inputs.map(({ name, type, rowDims }) => ({ name, type, rowDims: rowDims.map((dim) => dim ?? 1) })),
    batchDimension: hasBatchDimension(spec),
  };
}

/** Whether the graph's inputs have a first dimension that stands for rows, be it fixed at one. */
function hasBatchDimension(spec: ModelSpec): boolean {
  const rank =
    spec.rows.kind === 'features'
      ? spec.rows.inputs[0]?.rowDims.length
      : spec.rows.kind === 'open'
        ? spec.rows.input.rowDims.length
        : 0;
  return spec.inputs[0]?.shape === undefined || spec.inputs[0].shape.length === (rank ?? 0) + 1;
}

function outputNames(spec: ModelSpec): string[] {
  return spec.outputs.map((output) => output.name);
}

export function planOf({ spec, session, target }: Candidate, settings: Settings, log: Logger): SessionPlan {
  return {
    session,
    file: spec.file,
    source: spec.source,
    intraOpThreads: spec.intraOpThreads ?? settings.workers.threadsPerSession,
    defaults: spec.optionalInputs.map(({ name, value }) => ({ name, ...value })),
    warmUp: async (worker) => {
      await runSamples(worker, session, spec.warmUp, outputNames(spec)).catch((error: Error) => {
        if (!worker.alive) return;
        log.warn(
          { model: spec.name, version: spec.version, err: error.message },
          'the model could not run a sample of model_warmup in its config',
        );
      });
      if (target === undefined) return;
      await warmSession(worker, target).catch((error: Error) => {
        // One that went away says nothing of the model.
        if (!worker.alive) return;
        log.warn(
          { model: spec.name, version: spec.version, err: error.message },
          'the model could not run its warm-up rows; golden rows in its model.yaml help',
        );
      });
    },
  };
}

/** Finds out, in one worker, whether the model may be batched and what its batches cost. */
export async function measure(
  { spec, session, encode, target }: Candidate,
  worker: Worker,
  settings: Settings,
  features: FeaturePipeline,
  log: Logger,
): Promise<ServedModel> {
  let problem = spec.batching.supported ? '' : spec.batching.reason;
  let perRow: boolean | undefined;
  const wished = spec.maxBatchRows ?? settings.batching.maxRows;
  const sizes = curveSizes(wished);
  let cost = new CostCurve(
    sizes,
    sizes.map(() => UNMEASURED_US),
    0,
  );
  if (target !== undefined) {
    try {
      if (problem === '') {
        ({ problem, perRow } = await findBatchingProblem(worker, target).catch(() => NOT_CHECKED));
      }
      cost = await measureCost(worker, target, problem === '' ? wished : 1, settings.warmUp.budgetMs);
    } catch (error) {
      log.warn(
        { model: spec.name, version: spec.version, err: (error as Error).message },
        'the model could not be measured with its warm-up rows',
      );
    }
  }
  // Tensors are parted and put together only where that is known to change nothing.
  if (target === undefined && problem === '') ({ problem, perRow } = NOT_CHECKED);
  if (problem !== '') {
    log.info({ model: spec.name, version: spec.version, reason: problem }, 'rows of this model are run one by one');
  }
  const contract = tensorContract(spec, perRow);
  const budgetMs = spec.latencyBudgetMs ?? settings.batching.latencyBudgetMs;
  return {
    spec,
    session,
    encode,
    encodeBlock: blockEncoder(spec.rows, encode),
    batchingProblem: problem,
    maxRows: problem === '' ? wished : 1,
    maxDelayMs: problem === '' ? (spec.maxDelayMs ?? settings.batching.maxDelayMs) : 0,
    latencyBudgetMs: budgetMs ?? Math.max(DEFAULT_BUDGET_MS, Math.ceil(DEFAULT_BUDGET_RUNS * cost.predictMs(1))),
    tensorBudgetMs: budgetMs ?? Number.POSITIVE_INFINITY,
    cost,
    features,
    scope: { model: spec.name, version: spec.version, digest: spec.digest, view: spec.view },
    storedScores: storedScoreLimits(spec, settings),
    scoreOutputs: spec.score === undefined ? [] : [spec.score.output],
    outputNames: contract.outputs.map(({ name }) => name),
    contract,
    shape: shapeOf(spec),
    statistics: new ModelStatistics(),
    uses: new Uses(),
    loadedAtMs: Date.now(),
  };
}

function storedScoreLimits({ storedScores }: ModelSpec, { store }: Settings): StoredScoreLimits {
  return {
    freshForMs: 1000 * (storedScores.freshForSeconds ?? store.freshForSeconds),
    keptForMs: 1000 * (storedScores.keptForSeconds ?? store.keptForSeconds),
    writtenBackForMs: 1000 * (storedScores.writtenBackForSeconds ?? store.writtenBackForSeconds),
    writeBack: storedScores.writeBack ?? store.writeBack === 'on',
    allowStale: storedScores.allowStale,
  };
}

/** The model as the scheduler has it. */
export function scheduled(model: ServedModel): ScheduledModel {
  const { spec, session, maxRows, maxDelayMs, cost, shape } = model;
  return { name: spec.name, version: spec.version, session, maxRows, maxDelayMs, cost, ...shape };
}
