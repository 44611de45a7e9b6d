// Loads and unloads as callers, or the folders themselves, ask for it: of one model one after the other, and loads that wait together.
import { ScorewireError, toScorewireError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';
import type { ModelOverride } from '../models/model-files.ts';
import type { ModelFolder } from '../models/model-folder.ts';
import { readModelsApart } from '../models/read-apart.ts';
import type { FolderTask } from '../models/read-entry.ts';
import { sameModel } from '../models/same-model.ts';
import type { ControlMode, ModelControl } from '../scoring/model-control.ts';
import { type ModelRegistry, UNLOADED } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { Logger } from '../telemetry/log.ts';
import { PoolClosed } from '../workers/worker-pool.ts';
import type { LoadFailures, ModelSet } from './model-set.ts';

export type RepositoryControlParts = {
  directory: string;
  mode: ControlMode;
  models: ModelRegistry;
  modelSet: ModelSet;
  /** The live version by model, as the folders said at the start. */
  live: ReadonlyMap<string, number>;
  log: Logger;
};

type Operation =
  /** Makes what is served what the folder has. */
  | { kind: 'load'; name: string; override: ModelOverride | undefined }
  | { kind: 'unload'; name: string }
  /** The folder is gone: the model, and all that is known of it. */
  | { kind: 'drop'; name: string };

type Waiting = { operation: Operation; resolve: () => void; reject: (error: ScorewireError) => void };

/** What a folder means for what is served. */
type Change = {
  waiting: Waiting;
  folder: ModelFolder;
  /** Versions that are new, or other than those served. */
  fresh: readonly ModelSpec[];
};

export class RepositoryControl implements ModelControl {
  readonly mode: ControlMode;
  readonly #parts: RepositoryControlParts;
  /** The live version that a model's folder spoke of last. */
  readonly #live: Map<string, number>;
  #waiting: Waiting[] = [];
  /** Who waits for what is under way. */
  #round: readonly Waiting[] = [];
  #working: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(parts: RepositoryControlParts) {
    this.mode = parts.mode;
    this.#parts = parts;
    this.#live = new Map(parts.live);
  }

  async load(name: string, override?: ModelOverride): Promise<void> {
    this.#requireExplicit();
    await this.refresh(name, override);
  }

  async unload(name: string): Promise<void> {
    this.#requireExplicit();
    await this.#enqueue({ kind: 'unload', name });
  }

  /** As `load`, whoever decides. */
  refresh(name: string, override?: ModelOverride): Promise<void> {
    return this.#enqueue({ kind: 'load', name, override });
  }

  /** The folder of the model is gone. */
  drop(name: string): Promise<void> {
    return this.#enqueue({ kind: 'drop', name });
  }

  /** Which folders there are; what is not served and has none is forgotten. */
  setFolders(names: readonly string[]): void {
    const { models } = this.#parts;
    const there = new Set(names);
    models.setFolders(names);
    for (const { name } of models.index()) {
      if (!there.has(name) && !models.has(name)) models.forget(name, (_version, state) => state !== 'UNAVAILABLE');
    }
  }

  /** What people should know: versions that could not be loaded. */
  problems(): string[] {
    const { models } = this.#parts;
    return models.index().flatMap(({ name, version, state, reason }) => {
      const which = version === undefined ? `model ${name}` : `model ${name} ${version}`;
      if (state === 'READY') return reason === '' ? [] : [`${which} is served as it was: ${reason}`];
      if (state !== 'UNAVAILABLE' || reason === UNLOADED) return [];
      const inItsPlace = version !== undefined && models.chosen(name) === version ? models.find(name) : undefined;
      const instead = inItsPlace && `, and ${inItsPlace.spec.version} is live in its place`;
      return [`${which} could not be loaded${instead ?? ''}: ${reason}`];
    });
  }

  /**
   * Whoever waits is told so at once: nothing is begun any more, and nobody needs what is under way. Resolves when that is over.
   */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { reject } of [...this.#round, ...this.#waiting.splice(0)]) reject(draining());
    await this.#working;
  }

  #requireExplicit(): void {
    if (this.mode === 'explicit') return;
    throw new ScorewireError(
      'failed_precondition',
      'CONTROL_MODE',
      `callers load and unload models where models.control is explicit; it is ${this.mode}`,
      { metadata: { mode: this.mode } },
    );
  }

  #enqueue(operation: Operation): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(draining());
    const { kind, name } = operation;
    // Nobody waits for a load of another model to be rid of this one.
    if (kind !== 'load' && !this.#isUnderWay(name)) {
      this.#unloadAll(name, kind === 'drop');
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operation, resolve, reject });
      this.#working ??= this.#work().finally(() => {
        this.#working = undefined;
      });
    });
  }

  #isUnderWay(name: string): boolean {
    return [...this.#round, ...this.#waiting].some(({ operation }) => operation.name === name);
  }

  async #work(): Promise<void> {
    // Who asks in the same turn is in the same round.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const round = this.#nextRound();
      this.#round = round;
      try {
        await this.#run(round);
      } catch (error) {
        const isClosed = error instanceof PoolClosed || this.#closing.signal.aborted;
        if (!isClosed) this.#parts.log.error({ err: error }, 'models could not be loaded');
        const failure = isClosed ? draining() : toScorewireError(error);
        for (const { reject } of round) reject(failure);
      }
      this.#round = [];
    }
  }

  /** All that wait, but of each model the first: the others come after it. */
  #nextRound(): Waiting[] {
    const round = new Map<string, Waiting>();
    const later: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const { name } = waiting.operation;
      if (round.has(name)) later.push(waiting);
      else round.set(name, waiting);
    }
    this.#waiting = later;
    return [...round.values()];
  }

  async #run(round: readonly Waiting[]): Promise<void> {
    for (const { operation, resolve } of round) {
      if (operation.kind === 'load') continue;
      this.#unloadAll(operation.name, operation.kind === 'drop');
      resolve();
    }
    const changes = (await this.#read(round)).map((read) => this.#compare(read));
    const fresh = changes.flatMap((change) => change.fresh);
    const failures: LoadFailures = fresh.length === 0 ? new Map() : await this.#parts.modelSet.load(fresh);
    for (const change of changes) this.#finish(change, failures);
  }

  #unloadAll(name: string, isGone: boolean): void {
    const { models } = this.#parts;
    for (const model of models.find(name) === undefined ? [] : models.versions(name)) this.#unload(model);
    models.forget(name, (_version, state, reason) => state === 'UNLOADING' || (reason === UNLOADED && !isGone));
    if (!isGone) return;
    models.choose(name, undefined);
    this.#live.delete(name);
  }

  #unload(model: ServedModel): void {
    const { modelSet, log } = this.#parts;
    modelSet.unload(model).catch((error: unknown) => log.error({ err: error }, 'a model could not be unloaded'));
  }

  /** The folders of those that are to be loaded; who has none hears of it. */
  async #read(round: readonly Waiting[]): Promise<{ waiting: Waiting; folder: ModelFolder }[]> {
    const { directory } = this.#parts;
    const tasks: (FolderTask & { waiting: Waiting })[] = [];
    for (const waiting of round) {
      const { operation, reject } = waiting;
      if (operation.kind !== 'load') continue;
      const { name, override } = operation;
      if (isHidden(name)) reject(unknown(directory, name));
      else tasks.push({ name, override, waiting });
    }
    if (tasks.length === 0) return [];
    const folders = await readModelsApart(
      directory,
      tasks.map(({ name, override }) => ({ name, override })),
      this.#closing.signal,
    );
    return tasks.flatMap(({ waiting, name }, index) => {
      const folder = folders[index] as ModelFolder;
      if (folder.found) return [{ waiting, folder }];
      waiting.reject(unknown(directory, name));
      return [];
    });
  }

  #compare({ waiting, folder }: { waiting: Waiting; folder: ModelFolder }): Change {
    const { models, log } = this.#parts;
    const { name, specs, failures, warnings } = folder;
    for (const warning of warnings) log.warn(warning);
    models.forget(name, (_version, state) => state === 'UNLOADING');
    for (const { version, reason } of failures) {
      models.note(name, version, 'UNAVAILABLE', reason);
      log.error({ model: name, version, reason }, 'a model could not be loaded');
    }
    return { waiting, folder, fresh: specs.filter((spec) => !this.#serves(spec)) };
  }

  #serves(spec: ModelSpec): boolean {
    const served = this.#parts.models.find(spec.name, spec.version);
    return served !== undefined && sameModel(served.spec, spec);
  }

  #finish({ waiting, folder, fresh }: Change, failures: LoadFailures): void {
    const { models } = this.#parts;
    const { name, specs, live } = folder;
    if (live !== this.#live.get(name)) {
      models.choose(name, live);
      if (live === undefined) this.#live.delete(name);
      else this.#live.set(name, live);
    }
    const isServed = specs.some((spec) => this.#serves(spec));
    // What was there before goes only where something of what is there now is served.
    if (isServed) {
      const kept = new Set([...specs, ...folder.failures].map(({ version }) => version));
      for (const model of models.versions(name)) if (!kept.has(model.spec.version)) this.#unload(model);
      waiting.resolve();
      return;
    }
    const reasons = [
      ...folder.failures.map(({ reason }) => reason),
      ...fresh.flatMap((spec) => failures.get(spec) ?? []),
    ];
    waiting.reject(loadFailed(name, reasons, models.has(name)));
  }
}

/** Such as `.` and `..`: not one of the folders. */
function isHidden(name: string): boolean {
  return name.startsWith('.');
}

function unknown(directory: string, name: string): ScorewireError {
  const asked = name.slice(0, 100);
  return new ScorewireError('not_found', 'MODEL_NOT_FOUND', `${directory} has no model "${asked}"`, {
    metadata: { model: asked },
  });
}

function loadFailed(name: string, reasons: readonly string[], isServed: boolean): ScorewireError {
  const why = reasons.join('; ') || 'its folder has no version';
  const kept = isServed ? '; what was served before goes on' : '';
  return new ScorewireError(
    'failed_precondition',
    'LOAD_FAILED',
    `model "${name}" could not be loaded: ${why}${kept}`,
    {
      metadata: { model: name },
    },
  );
}

function draining(): ScorewireError {
  return new ScorewireError('unavailable', 'DRAINING', 'the server is shutting down');
}
