// What the status page shows of a server.
import type { Engine } from '../engine.ts';
import type { ModelStatus, StatusSnapshot } from '../http/status-page.ts';
import type { Admission } from '../scoring/admission.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Recent } from '../telemetry/recent.ts';
import { VERSION } from '../version.ts';

export class StatusPage {
  readonly #metrics: Metrics;
  /** Calls of late by model, of those that are served. */
  readonly #recent = new Map<string, Recent>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  snapshot(
    state: string,
    grpcAddress: string,
    admission: Admission,
    engine: Engine | undefined,
  ): Omit<StatusSnapshot, 'problems'> {
    for (const name of this.#recent.keys()) if (engine?.models.has(name) !== true) this.#recent.delete(name);
    return {
      version: VERSION,
      uptimeSeconds: process.uptime(),
      state,
      grpcAddress,
      inFlightCalls: admission.inFlight,
      models: engine === undefined ? [] : this.#models(engine),
      workers: [...(engine?.pool.workers ?? [])].map((worker) => ({
        id: worker.id,
        state: worker.busy ? 'busy' : 'idle',
      })),
    };
  }

  #models(engine: Engine): ModelStatus[] {
    return engine.models.index().flatMap(({ name, version, state, reason }) => {
      if (state === undefined) return [];
      const model = version === undefined ? undefined : engine.models.find(name, version);
      if (model !== undefined) return this.#served(engine, model, reason);
      const shown = version === undefined ? '' : String(version);
      return { name, version: shown, live: false, state, reason, queuedRows: 0, callsPerSecond: 0 };
    });
  }

  #served({ models, scheduler }: Engine, model: ServedModel, notTaken: string): ModelStatus {
    const { name, version } = model.spec;
    const live = models.isLive(model);
    const figures = this.#recentOf(name).read();
    const reasons = [
      ...(model.batchingProblem === '' ? [] : [`one row a run: ${model.batchingProblem}`]),
      ...(notTaken === '' ? [] : [`a newer file was not taken: ${notTaken}`]),
    ];
    const ms = (seconds: number | undefined) => (live && seconds !== undefined ? { ms: seconds * 1000 } : undefined);
    const [p50, p99] = [ms(figures.p50Seconds), ms(figures.p99Seconds)];
    return {
      name,
      version: String(version),
      live,
      state: 'READY',
      ...(reasons.length === 0 ? {} : { reason: reasons.join('; ') }),
      queuedRows: scheduler.queueDepth(model.session),
      callsPerSecond: live ? figures.perSecond : 0,
      ...(p50 === undefined ? {} : { p50Ms: p50.ms }),
      ...(p99 === undefined ? {} : { p99Ms: p99.ms }),
    };
  }

  #recentOf(model: string): Recent {
    let recent = this.#recent.get(model);
    if (recent === undefined) {
      recent = new Recent(() => [...this.#metrics.calls.cells()].filter((cell) => cell.attributes.model === model));
      this.#recent.set(model, recent);
    }
    return recent;
  }
}
