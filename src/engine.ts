// Everything but the ports: models loaded into warm workers, behind the scheduler, behind the scorer.
import { systemClock } from './batching/clock.ts';
import { Scheduler } from './batching/scheduler.ts';
import type { Settings } from './config/settings.ts';
import { SAMPLE_ROWS } from './engine/candidate.ts';
import { ModelMeters } from './engine/model-meters.ts';
import { type LoadFailures, ModelSet } from './engine/model-set.ts';
import type { FeatureStores } from './features/feature-stores.ts';
import { rowOf } from './features/row.ts';
import { readGolden } from './models/golden.ts';
import type { ModelSpec } from './models/model.ts';
import type { ScoreStore } from './scores/score-store.ts';
import { BulkScorer } from './scoring/bulk-scorer.ts';
import { ModelRegistry } from './scoring/model-registry.ts';
import { RealTime } from './scoring/real-time.ts';
import { Scorer } from './scoring/scorer.ts';
import type { ServedModel } from './scoring/served-model.ts';
import { SharedScores } from './scoring/shared-scores.ts';
import { StoredScores } from './scoring/stored-scores.ts';
import { TensorRuns } from './scoring/tensor-runs.ts';
import type { Logger } from './telemetry/log.ts';
import type { Metrics, ModelCells } from './telemetry/metrics.ts';
import type { Worker } from './workers/worker.ts';
import { defaultWorkerCount } from './workers/worker-count.ts';
import { WorkerPool } from './workers/worker-pool.ts';

export type Engine = {
  models: ModelRegistry;
  /** Loads and unloads while serving. */
  modelSet: ModelSet;
  /** What could not be loaded at the start. */
  failures: LoadFailures;
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
  /** The registry's index is not what it was. */
  modelsChanged?(): void;
};

/**
 * Loads every model into every worker, warms them up and measures them; resolves when all that can be served are, with those that
 * can't.
 */
export async function startEngine(
  settings: Settings,
  specs: readonly ModelSpec[],
  { live, metrics, log, store, featureStores }: EngineParts,
  events: EngineEvents,
): Promise<Engine> {
  let started = false;
  const scheduler = new Scheduler(systemClock, {
    batchDone: (model, rows, runUs) => {
      if (started) meters.ran(model.session, rows, runUs);
    },
    batchFailed: (model, rows, error) => {
      log.warn({ model: model.name, version: model.version, rows, err: error }, 'a run failed');
    },
    shed: (model, reason) => metrics.shed.cell({ model: model.name, reason }).add(1),
  });
  const meters = new ModelMeters(metrics, (session) => scheduler.queueDepth(session));

  let scheduling = false;
  const ready = new Set<Worker>();
  const workersChanged = () => {
    if (started) events.workersChanged(ready.size);
  };
  const pool = new WorkerPool({
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
    retired: (worker) => {
      ready.delete(worker);
      return scheduler.retireWorker(worker);
    },
    sessionCreated: (plan) => meters.created(plan.session),
    replacementFailed: (error, retryMs) => log.error({ err: error, retryMs }, 'a worker could not be replaced'),
  });

  const models = new ModelRegistry(live, () => events.modelsChanged?.());
  const modelSet = new ModelSet({ settings, models, scheduler, pool, meters, featureStores, log });
  const startMs = performance.now();
  const { count } = settings.workers;
  try {
    let loadedMs = startMs;
    const failures = await modelSet.start(count === 'auto' ? defaultWorkerCount() : count, specs, () => {
      loadedMs = performance.now();
      const [first] = ready;
      return first as Worker;
    });
    scheduling = true;
    for (const worker of ready) scheduler.addWorker(worker);
    const stored = new StoredScores(store, settings.store.timeoutMs, {
      cells: ({ spec }) => meters.cells(spec).lookUps,
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
      modelSet,
      failures,
      scheduler,
      scorer,
      bulkScorer: new BulkScorer(models, scheduler, stored),
      tensorRuns: new TensorRuns(scheduler),
      pool,
      cells: ({ spec }) => meters.cells(spec),
      readyWorkers: () => ready.size,
      loadMs: loadedMs - startMs,
      warmUpMs: performance.now() - loadedMs,
      close: () => pool.close(),
    };
  } catch (error) {
    await pool.close();
    throw error;
  }
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
