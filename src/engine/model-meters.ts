// What is counted of the versions in the workers, and forgotten with the last session of a version.
import type { ModelSpec } from '../models/model.ts';
import { type Metrics, type ModelCells, modelCells, removeModelCells } from '../telemetry/metrics.ts';
import type { ModelStatistics } from '../telemetry/model-statistics.ts';

/** Sessions of one version: one, or more while a newer file of it takes the place of an older one. */
type Version = { sessions: Set<number>; cells: ModelCells; endObserving: () => void };

type Meter = { spec: ModelSpec; cells: ModelCells; statistics: ModelStatistics | undefined };

export class ModelMeters {
  readonly #metrics: Metrics;
  readonly #queueDepth: (session: number) => number;
  readonly #sessions = new Map<number, Meter>();
  readonly #versions = new Map<string, Version>();
  /** Also of those whose session is gone, for a last answer. */
  readonly #cells = new WeakMap<ModelSpec, ModelCells>();

  constructor(metrics: Metrics, queueDepth: (session: number) => number) {
    this.#metrics = metrics;
    this.#queueDepth = queueDepth;
  }

  add(spec: ModelSpec, session: number): void {
    const { sessions, cells } = this.#version(spec);
    sessions.add(session);
    this.#sessions.set(session, { spec, cells, statistics: undefined });
    this.#cells.set(spec, cells);
  }

  /** From now on its runs are counted for who asks for a model's statistics. */
  serve(session: number, statistics: ModelStatistics): void {
    const meter = this.#sessions.get(session);
    if (meter !== undefined) meter.statistics = statistics;
  }

  remove(session: number): void {
    const meter = this.#sessions.get(session);
    if (meter === undefined) return;
    this.#sessions.delete(session);
    const { name, version } = meter.spec;
    const { sessions, endObserving } = this.#version(meter.spec);
    sessions.delete(session);
    if (sessions.size > 0) return;
    endObserving();
    this.#versions.delete(keyOf(meter.spec));
    removeModelCells(this.#metrics, name, String(version));
  }

  /** Of a version that is, or was, in the workers. */
  cells(spec: ModelSpec): ModelCells {
    return this.#cells.get(spec) ?? this.#version(spec).cells;
  }

  created(session: number): void {
    this.#sessions.get(session)?.cells.sessionsCreated.add(1);
  }

  /** A run that ended well. */
  ran(session: number, rows: number, runUs: number): void {
    const meter = this.#sessions.get(session);
    if (meter === undefined) return;
    meter.cells.inference.record(runUs / 1e6);
    meter.cells.batchRows.record(rows);
    meter.statistics?.executed(rows, runUs);
  }

  #version(spec: ModelSpec): Version {
    const key = keyOf(spec);
    const known = this.#versions.get(key);
    if (known !== undefined) return known;
    const { name, task } = spec;
    const version = String(spec.version);
    const sessions = new Set<number>();
    const made: Version = {
      sessions,
      cells: modelCells(this.#metrics, name, version, task === 'regression' ? 'value' : 'probability'),
      endObserving: this.#metrics.queueDepth.observe({ model: name, version }, () =>
        [...sessions].reduce((rows, session) => rows + this.#queueDepth(session), 0),
      ),
    };
    this.#versions.set(key, made);
    return made;
  }
}

function keyOf({ name, version }: ModelSpec): string {
  return `${name} ${version}`;
}
