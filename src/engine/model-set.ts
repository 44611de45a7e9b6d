// The versions that are served: brought into the workers and the queue beside those that are there, switched when warm, and
// released after their last request.
import type { Scheduler } from '../batching/scheduler.ts';
import type { Settings } from '../config/settings.ts';
import { FeaturePipeline } from '../features/feature-pipeline.ts';
import type { FeatureStores } from '../features/feature-stores.ts';
import type { ModelSpec } from '../models/model.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { queueLimit } from '../scoring/queue-limit.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Worker } from '../workers/worker.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';
import { scheduled } from './candidate.ts';
import { Loading } from './loading.ts';
import type { ModelMeters } from './model-meters.ts';

export type ModelSetParts = {
  settings: Settings;
  models: ModelRegistry;
  scheduler: Scheduler;
  pool: WorkerPool;
  meters: ModelMeters;
  /** Undefined: features come from requests, and from the time of day. */
  featureStores: FeatureStores | undefined;
  log: Logger;
};

/** Why versions could not be loaded: one line each. */
export type LoadFailures = ReadonlyMap<ModelSpec, string>;

export class ModelSet {
  readonly #parts: ModelSetParts;
  #lastSession = 0;

  constructor(parts: ModelSetParts) {
    this.#parts = parts;
  }

  /**
   * Loads the first versions, into workers that are started for them and have nothing else to do yet. Resolves with those that failed.
   * @param ready one of the workers that are warm
   */
  async start(count: number, specs: readonly ModelSpec[], ready: () => Worker): Promise<LoadFailures> {
    const { pool } = this.#parts;
    return this.#through(specs, async (loading) => {
      loading.refuse(await pool.start(count, loading.plans));
      // One worker measures for all: the others stay quiet meanwhile, and all are alike.
      if (loading.plans.length > 0) await loading.measure(ready(), loading.plans);
    });
  }

  /**
   * Loads versions while others are served; each takes the place of the one of its number, if there is one, when all of them are warm
   * in all workers. Resolves then, with those that failed: what they were to replace goes on.
   * @throws PoolClosed where the server shuts down meanwhile
   */
  async load(specs: readonly ModelSpec[]): Promise<LoadFailures> {
    const { models, pool } = this.#parts;
    for (const { name, version } of specs) {
      if (models.find(name, version) === undefined) models.note(name, version, 'LOADING');
    }
    try {
      return await this.#through(specs, async (loading) => {
        const { plans } = loading;
        if (plans.length === 0) return;
        loading.refuse(await pool.add(plans, (worker, loaded) => loading.measure(worker, loaded)));
      });
    } catch (error) {
      for (const { name, version } of specs) {
        if (models.state(name, version) === 'LOADING')
          models.note(name, version, 'UNAVAILABLE', 'a fault in the server');
      }
      throw error;
    }
  }

  /** No request gets the version from now on; resolves when the last one that has it is done, and its memory is given back. */
  async unload(model: ServedModel): Promise<void> {
    const { name, version } = model.spec;
    const released = this.#parts.models.remove(model);
    await this.#release(model);
    released();
    this.#parts.log.info({ model: name, version }, 'unloaded');
  }

  async #through(specs: readonly ModelSpec[], run: (loading: Loading) => Promise<void>): Promise<LoadFailures> {
    const { settings, featureStores, meters, models, log } = this.#parts;
    const sessions = new Map<ModelSpec, number>();
    const loading = new Loading({
      settings,
      log,
      pipeline: (spec) =>
        featureStores?.pipeline(spec) ?? new FeaturePipeline(spec.name, spec.rows, spec.featureView, undefined),
    });
    const refused = (await featureStores?.admit(specs)) ?? new Map<ModelSpec, string>();
    for (const [spec, reason] of refused) loading.failed.set(spec, reason);
    for (const spec of specs) {
      if (refused.has(spec)) continue;
      const session = ++this.#lastSession;
      sessions.set(spec, session);
      meters.add(spec, session);
      await loading.prepare(spec, session, this.#becomesLive(spec, specs));
    }
    try {
      await run(loading);
    } catch (error) {
      for (const [spec, session] of sessions) {
        meters.remove(session);
        await featureStores?.release(spec);
      }
      throw error;
    }
    for (const model of loading.models) this.#serve(model);
    for (const [spec, reason] of loading.failed) {
      const { name, version } = spec;
      models.note(name, version, 'UNAVAILABLE', reason);
      log.error({ model: name, version, reason }, 'a model could not be loaded');
      meters.remove(sessions.get(spec) ?? 0);
      await featureStores?.release(spec);
    }
    return loading.failed;
  }

  #becomesLive({ name, version }: ModelSpec, specs: readonly ModelSpec[]): boolean {
    const { models } = this.#parts;
    const highest = Math.max(
      models.find(name)?.spec.version ?? 0,
      ...specs.filter((other) => other.name === name).map((other) => other.version),
    );
    return version === (models.chosen(name) ?? highest);
  }

  /** From this turn on requests get it, and the one before of its number is released. */
  #serve(model: ServedModel): void {
    const { models, scheduler, settings, meters } = this.#parts;
    meters.serve(model.session, model.statistics);
    scheduler.addModel(scheduled(model), queueLimit(model.spec, settings.limits.maxQueueRows));
    const before = models.add(model);
    if (before !== undefined) void this.#release(before);
  }

  async #release(model: ServedModel): Promise<void> {
    const { scheduler, pool, meters, featureStores } = this.#parts;
    await model.uses.none();
    await scheduler.removeModel(model.session);
    await pool.remove(model.session);
    meters.remove(model.session);
    await featureStores?.release(model.spec);
  }
}
