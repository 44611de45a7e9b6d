// Versions on their way into the workers together: what became of each.
import type { Settings } from '../config/settings.ts';
import type { FeaturePipeline } from '../features/feature-pipeline.ts';
import type { ModelSpec } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Worker } from '../workers/worker.ts';
import type { LoadFailed, SessionPlan } from '../workers/worker-pool.ts';
import { type Candidate, candidateOf, measure, planOf } from './candidate.ts';

export type LoadingParts = {
  settings: Settings;
  log: Logger;
  pipeline: (spec: ModelSpec) => FeaturePipeline;
};

export class Loading {
  readonly #parts: LoadingParts;
  /** Why versions can't be loaded: one line each. */
  readonly failed = new Map<ModelSpec, string>();
  readonly #candidates = new Map<SessionPlan, Candidate>();
  readonly #measured = new Map<SessionPlan, ServedModel>();

  constructor(parts: LoadingParts) {
    this.#parts = parts;
  }

  /** @param live whether calls that name no version are to get it */
  async prepare(spec: ModelSpec, session: number, live: boolean): Promise<void> {
    const { settings, log } = this.#parts;
    try {
      const candidate = await candidateOf(spec, session, live);
      this.#candidates.set(planOf(candidate, settings, log), candidate);
    } catch (error) {
      this.failed.set(spec, (error as Error).message);
    }
  }

  /** Those that have not failed. */
  get plans(): readonly SessionPlan[] {
    return [...this.#candidates.keys()];
  }

  /** The sessions of all that came so far, failed or not. */
  refuse(failures: ReadonlyMap<SessionPlan, LoadFailed>): void {
    for (const [plan, { message }] of failures) {
      const candidate = this.#candidates.get(plan);
      if (candidate !== undefined) this.failed.set(candidate.spec, message);
      this.#candidates.delete(plan);
    }
  }

  /** Once more replaces what was found before. */
  async measure(worker: Worker, plans: readonly SessionPlan[]): Promise<void> {
    const { settings, log, pipeline } = this.#parts;
    for (const plan of plans) {
      const candidate = this.#candidates.get(plan);
      if (candidate === undefined) continue;
      this.#measured.set(plan, await measure(candidate, worker, settings, pipeline(candidate.spec), log));
    }
  }

  /** Those that were measured and have not failed. */
  get models(): readonly ServedModel[] {
    return this.plans.flatMap((plan) => this.#measured.get(plan) ?? []);
  }
}
