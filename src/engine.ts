// Everything but the ports: models loaded into warm workers, behind the scheduler, behind the scorer.

import { systemClock } from './batching/clock.ts';
import { CostCurve, curveSizes } from './batching/cost-curve.ts';
import type { BatchShape } from './batching/queued-rows.ts';
import { Scheduler } from './batching/scheduler.ts';
import type { Settings } from './config/settings.ts';
import { SetupError } from './errors.ts';
import { blockEncoder } from './features/block-encoder.ts';
import { FeaturePipeline } from './features/feature-pipeline.ts';
import type { FeatureStores } from './features/feature-stores.ts';
import { type EncodedRow, rowOf } from './features/row.ts';
import { type RowEncoder, rowEncoder } from './features/row-encoder.ts';
import { sampleRows } from './features/sample-rows.ts';
import { readGolden } from './models/golden.ts';
import type { ModelSpec } from './models/model.ts';
import { tensorContract } from './models/tensor-contract.ts';
import type { ScoreStore } from './scores/score-store.ts';
import { BulkScorer } from './scoring/bulk-scorer.ts';
import { ModelRegistry } from './scoring/model-registry.ts';
import { queueLimit } from './scoring/queue-limit.ts';
import { RealTime } from './scoring/real-time.ts';
import { Scorer } from './scoring/scorer.ts';
import type { ServedModel, StoredScoreLimits } from './scoring/served-model.ts';
import { SharedScores } from './scoring/shared-scores.ts';
import { StoredScores } from './scoring/stored-scores.ts';
import { TensorRuns } from './scoring/tensor-runs.ts';
import { Uses } from './scoring/uses.ts';
import { findBatchingProblem, measureCost, runSamples, type WarmUpTarget, warmSession } from './scoring/warm-up.ts';
import type { Logger } from './telemetry/log.ts';
import { type Metrics, type ModelCells, modelCells } from './telemetry/metrics.ts';
import { ModelStatistics } from './telemetry/model-statistics.ts';
import type { Worker } from './workers/worker.ts';
import { defaultWorkerCount } from './workers/worker-count.ts';
import { LoadFailed, type SessionPlan, WorkerPool } from './workers/worker-pool.ts';

/** A latency budget that nobody set: this, or five runs of a single row if those take longer. */
const DEFAULT_BUDGET_MS = 10;
const DEFAULT_BUDGET_RUNS = 5;

/** Made-up rows a model is warmed up with where it brings no golden rows, and golden rows used at most. */
const SAMPLE_ROWS = 32;

/** Whether batching would change scores nobody knows then, and a score that is right comes before one that is cheap. */
const UNCHECKED =
  'what batching does to its scores could not be checked, as its warm-up rows did not run together; golden rows in its model.yaml help';

const NOT_CHECKED = { problem: UNCHECKED, perRow: undefined };

/** What a run costs before anybody measured it, whatever its rows: wrong, so that large batches are tried, and corrected. */
const UNMEASURED_US = 1000;

export type Engine = {
  models: ModelRegistry;
  scheduler: Scheduler;
  scorer: Scorer;
  bulkScorer: BulkScorer;
  tensorRuns: TensorRuns;
  pool: WorkerPool;
  cells: (model: ServedModel) => ModelCells;
  /** Workers that have every model, and are warm. */
  readyWorkers: () => number;
  loadMs: number;
  warmUpMs: number;
  /** Ends the workers, each after the run that it has. */
  close(): Promise<void>;
};

export type EngineParts = {
  /** The live version by model, where it is not the highest. */
  live: ReadonlyMap<string, number>;
  metrics: Metrics;
  log: Logger;
  /** Absent: scores are not kept. */
  store?: ScoreStore | undefined;
  /** Absent: features come from requests, and from the time of day. */
  featureStores?: FeatureStores;
};

export type EngineEvents = {
  /** The number of ready workers changed, after start-up. */
  workersChanged(ready: number): void;
};

/** One version on its way into the workers. */
type Candidate = {
  spec: ModelSpec;
  session: number;
  encode: RowEncoder;
  target: WarmUpTarget | undefined;
};

/**
 * Loads every model into every worker, warms them up and measures them; resolves when all can be served.
 * @throws SetupError for golden rows that the manifest's features refuse, and a model that onnxruntime can't load.
 */
export async function startEngine(
  settings: Settings,
  specs: readonly ModelSpec[],
  { live, metrics, log, store, featureStores }: EngineParts,
  events: EngineEvents,
): Promise<Engine> {
  const candidates = await Promise.all(
    specs.map((spec, index) => {
      const highest = specs[index + 1]?.name !== spec.name;
      const chosen = live.get(spec.name);
      return candidateOf(spec, index + 1, chosen === undefined ? highest : chosen === spec.version);
    }),
  );
  const cells = new Map(
    specs.map((spec, index) => [
      index + 1,
      modelCells(metrics, spec.name, String(spec.version), spec.task === 'regression' ? 'value' : 'probability'),
    ]),
  );
  const cellsOf = (session: number) => cells.get(session) as ModelCells;
  const statistics = new Map<number, ModelStatistics>();
  let scheduling = false;
  let started = false;
  const scheduler = new Scheduler(systemClock, {
    batchDone: (model, rows, runUs) => {
      if (!started) return;
      cellsOf(model.session).inference.record(runUs / 1e6);
      cellsOf(model.session).batchRows.record(rows);
      statistics.get(model.session)?.executed(rows, runUs);
    },
    batchFailed: (model, rows, error) => {
      log.warn({ model: model.name, version: model.version, rows, err: error }, 'a run failed');
    },
    shed: (model, reason) => metrics.shed.cell({ model: model.name, reason }).add(1),
  });

  const ready = new Set<Worker>();
  const workersChanged = () => {
    if (started) events.workersChanged(ready.size);
  };
  const pool = new WorkerPool(
    candidates.map((candidate) => planOf(candidate, settings, log)),
    {
      ready: (worker) => {
        ready.add(worker);
        if (!scheduling) return;
        log.info({ worker: worker.id }, 'a worker was replaced');
        scheduler.addWorker(worker);
        workersChanged();
      },
      gone: (worker) => {
        ready.delete(worker);
        scheduler.removeWorker(worker);
        metrics.workerRestarts.cell().add(1);
        log.error({ worker: worker.id }, 'a worker exited; another one is starting');
        workersChanged();
      },
      sessionCreated: (plan) => cellsOf(plan.session).sessionsCreated.add(1),
      replacementFailed: (error, retryMs) => log.error({ err: error, retryMs }, 'a worker could not be replaced'),
    },
  );

  const models = new ModelRegistry(live);
  const startMs = performance.now();
  const { count } = settings.workers;
  try {
    await pool.start(count === 'auto' ? defaultWorkerCount() : count);
    const loadedMs = performance.now();
    // One worker measures for all: the others stay quiet meanwhile, and all are alike.
    const [first] = ready;
    for (const candidate of candidates) {
      const model = await measure(candidate, first as Worker, settings, featureStores, log);
      models.add(model);
      statistics.set(model.session, model.statistics);
      scheduler.addModel(scheduled(model), queueLimit(model.spec, settings.limits.maxQueueRows));
      metrics.queueDepth.observe({ model: model.spec.name, version: String(model.spec.version) }, () =>
        scheduler.queueDepth(model.session),
      );
    }
    scheduling = true;
    for (const worker of ready) scheduler.addWorker(worker);
    const stored = new StoredScores(store, settings.store.timeoutMs, {
      cells: (model) => cellsOf(model.session).lookUps,
      writeBackFailed: ({ spec }, scores) => metrics.writeBackFailures.cell({ model: spec.name }).add(scores),
    });
    const realTime = new RealTime(scheduler, settings.features.timeoutMs);
    const shared = new SharedScores(realTime, (answer) => stored.writeBack(answer.model, [answer]));
    const scorer = new Scorer(models, { stored, shared, realTime });
    for (const model of models.all()) if (models.isLive(model)) await rehearse(scorer, model);
    started = true;
    metrics.workers.observe({ state: 'ready' }, () => ready.size);
    metrics.workers.observe({ state: 'starting' }, () => pool.workers.size - ready.size);
    return {
      models,
      scheduler,
      scorer,
      bulkScorer: new BulkScorer(models, scheduler, stored),
      tensorRuns: new TensorRuns(scheduler),
      pool,
      cells: (model) => cellsOf(model.session),
      readyWorkers: () => ready.size,
      loadMs: loadedMs - startMs,
      warmUpMs: performance.now() - loadedMs,
      close: () => pool.close(),
    };
  } catch (error) {
    await pool.close();
    throw error instanceof LoadFailed ? new SetupError(error.message, error) : error;
  }
}

async function candidateOf(spec: ModelSpec, session: number, live: boolean): Promise<Candidate> {
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

function planOf({ spec, session, target }: Candidate, settings: Settings, log: Logger): SessionPlan {
  return {
    session,
    file: spec.file,
    source: spec.source,
    intraOpThreads: spec.intraOpThreads ?? settings.workers.threadsPerSession,
    defaults: spec.optionalInputs.map(({ name, value }) => ({ name, ...value })),
    warmUp: async (worker) => {
      await runSamples(worker, session, spec.warmUp, outputNames(spec)).catch((error: Error) => {
        log.warn(
          { model: spec.name, version: spec.version, err: error.message },
          'the model could not run a sample of model_warmup in its config',
        );
      });
      if (target === undefined) return;
      await warmSession(worker, target).catch((error: Error) => {
        log.warn(
          { model: spec.name, version: spec.version, err: error.message },
          'the model could not run its warm-up rows; golden rows in its model.yaml help',
        );
      });
    },
  };
}

/**
 * Scores golden rows before anyone is let in, by the way that calls take: what V8 compiles lazily is compiled then, and
 * the first caller doesn't pay for it. What comes out is for `scorewire check` to judge.
 */
async function rehearse(scorer: Scorer, { spec }: ServedModel): Promise<void> {
  if (spec.golden === undefined || spec.score === undefined) return;
  for (const golden of (await readGolden(spec.golden.file)).slice(0, SAMPLE_ROWS)) {
    await new Promise<void>((resolve) => {
      scorer.score(
        {
          model: spec.name,
          version: undefined,
          entityId: '',
          row: rowOf(golden.row),
          outputNames: [],
          receivedMs: performance.now(),
          deadlineMs: Number.POSITIVE_INFINITY,
          abandoned: () => false,
        },
        () => resolve(),
      );
    });
  }
}

/** Finds out, in one worker, whether the model may be batched and what its batches cost. */
async function measure(
  { spec, session, encode, target }: Candidate,
  worker: Worker,
  settings: Settings,
  featureStores: EngineParts['featureStores'],
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
      if (problem === '' && wished > 1) {
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
  return {
    spec,
    session,
    encode,
    encodeBlock: blockEncoder(spec.rows, encode),
    batchingProblem: problem,
    maxRows: problem === '' ? wished : 1,
    maxDelayMs: problem === '' ? (spec.maxDelayMs ?? settings.batching.maxDelayMs) : 0,
    latencyBudgetMs:
      spec.latencyBudgetMs ??
      settings.batching.latencyBudgetMs ??
      Math.max(DEFAULT_BUDGET_MS, Math.ceil(DEFAULT_BUDGET_RUNS * cost.predictMs(1))),
    cost,
    features: featureStores?.pipeline(spec) ?? new FeaturePipeline(spec.name, spec.rows, spec.featureView, undefined),
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

function scheduled(model: ServedModel) {
  const { spec, session, maxRows, maxDelayMs, cost, shape } = model;
  return { name: spec.name, version: spec.version, session, maxRows, maxDelayMs, cost, ...shape };
}
