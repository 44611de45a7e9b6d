// Which versions are served, and which of them is live.
import { closest, distance } from 'fastest-levenshtein';
import { ScorewireError } from '../errors.ts';
import type { ServedModel } from './served-model.ts';

/** READY alone is given to requests. */
export type VersionState = 'LOADING' | 'READY' | 'UNLOADING' | 'UNAVAILABLE';

/**
 * What is known of a version. Both `version` and `state` are absent for a folder of which nothing was ever loaded; `version` alone
 * is absent where the folder as a whole can't be read (UNAVAILABLE).
 */
export type IndexEntry = {
  name: string;
  version: number | undefined;
  state: VersionState | undefined;
  /** Why it is in that state, where that is not plain; of a READY version why a newer file of it was not taken. */
  reason: string;
};

/** The reason of a version that is UNAVAILABLE because somebody wanted it so, and not for a fault. */
export const UNLOADED = 'unloaded';

/** Milliseconds that callers of a version which is being loaded are told to stay away. */
const LOADING_RETRY_MS = 500;

/** What is known of a version beside, or without, its being READY. */
export type Note = { state: Exclude<VersionState, 'READY'>; reason: string };

export class ModelRegistry {
  /** READY ones by name; versions rising, one a number. */
  readonly #models = new Map<string, ServedModel[]>();
  /** By name, then by version; undefined: the folder as a whole. */
  readonly #notes = new Map<string, Map<number | undefined, Note>>();
  /** Folders that could be loaded. */
  #folders: readonly string[] = [];
  /** The live version by name, where somebody chose; else the highest is live. */
  readonly #chosen: Map<string, number>;
  readonly #changed: () => void;

  /** @param changed called where the index is not what it was */
  constructor(chosen: ReadonlyMap<string, number> = new Map(), changed: () => void = () => {}) {
    this.#chosen = new Map(chosen);
    this.#changed = changed;
  }

  /** Makes a version READY from this turn on; returns the one of its number that was so before, which no request gets any more. */
  add(model: ServedModel): ServedModel | undefined {
    const { name, version } = model.spec;
    const before = this.find(name, version);
    const versions = (this.#models.get(name) ?? []).filter((other) => other !== before);
    versions.push(model);
    versions.sort((a, b) => a.spec.version - b.spec.version);
    this.#models.set(name, versions);
    this.#forget(name, version);
    this.#changed();
    return before;
  }

  /**
   * No request gets this version any more: it is UNLOADING, until what comes back is called; then it is unloaded, unless something
   * else became of its number since.
   */
  remove(model: ServedModel): () => void {
    const { name, version } = model.spec;
    const left = (this.#models.get(name) ?? []).filter((other) => other !== model);
    if (left.length > 0) this.#models.set(name, left);
    else this.#models.delete(name);
    const unloading = this.note(name, version, 'UNLOADING');
    return () => {
      if (this.#notes.get(name)?.get(version) === unloading) this.note(name, version, 'UNAVAILABLE', UNLOADED);
    };
  }

  /** A version that is READY stays so, and keeps the reason. */
  note(name: string, version: number | undefined, state: Note['state'], reason = ''): Note {
    const note = { state, reason };
    const notes = this.#notes.get(name) ?? new Map<number | undefined, Note>();
    notes.set(version, note);
    this.#notes.set(name, notes);
    this.#changed();
    return note;
  }

  /** Nothing is known any more of versions that are not READY and of which `keep` says no, and of the folder as a whole. */
  forget(name: string, keep: (version: number, state: VersionState, reason: string) => boolean = () => false): void {
    for (const [version, { state, reason }] of this.#notes.get(name) ?? []) {
      if (version === undefined || !keep(version, state, reason)) this.#forget(name, version);
    }
    this.#changed();
  }

  #forget(name: string, version: number | undefined): void {
    const notes = this.#notes.get(name);
    if (notes?.delete(version) && notes.size === 0) this.#notes.delete(name);
  }

  /** Folders that could be loaded, for the index. */
  setFolders(names: readonly string[]): void {
    this.#folders = names;
    this.#changed();
  }

  /**
   * The version asked for, or the live one. A caller keeps what it gets to the end of its request.
   * @throws ScorewireError NOT_FOUND that says what there is; UNAVAILABLE (MODEL_NOT_READY) while it is loaded or unloaded
   */
  get(name: string, version?: number | bigint): ServedModel {
    const versions = this.#models.get(name);
    if (versions === undefined) throw this.#noVersions(name, version);
    if (version === undefined) return this.#live(name, versions);
    const found = versions.find((model) => BigInt(model.spec.version) === BigInt(version));
    if (found !== undefined) return found;
    throw this.#noVersion(name, version, versions);
  }

  /** As `get`, and undefined where there is none. */
  find(name: string, version?: number): ServedModel | undefined {
    const versions = this.#models.get(name);
    if (versions === undefined) return undefined;
    if (version === undefined) return this.#live(name, versions);
    return versions.find(({ spec }) => spec.version === version);
  }

  /** What state a version is in; undefined for one that was never heard of. */
  state(name: string, version: number): VersionState | undefined {
    return this.find(name, version) === undefined ? this.#notes.get(name)?.get(version)?.state : 'READY';
  }

  /** Every version that is known, by name, then by version: those that could not be loaded too. Of one model, where a name is given. */
  index(name?: string): IndexEntry[] {
    const known = new Set([...this.#models.keys(), ...this.#notes.keys(), ...this.#folders]);
    const names = name === undefined ? [...known].sort() : known.has(name) ? [name] : [];
    return names.flatMap((each) => this.#entries(each));
  }

  #entries(name: string): IndexEntry[] {
    const entries: IndexEntry[] = [];
    const notes = this.#notes.get(name);
    for (const { spec } of this.#models.get(name) ?? []) {
      const reason = notes?.get(spec.version)?.state === 'UNAVAILABLE' ? notes.get(spec.version)?.reason : '';
      entries.push({ name, version: spec.version, state: 'READY', reason: reason ?? '' });
    }
    for (const [version, { state, reason }] of notes ?? []) {
      if (version !== undefined && this.find(name, version) !== undefined) continue;
      entries.push({ name, version, state, reason });
    }
    if (entries.length === 0) entries.push({ name, version: undefined, state: undefined, reason: '' });
    return entries.sort((a, b) => (a.version ?? 0) - (b.version ?? 0));
  }

  /** Every READY version of a model, rising. @throws ScorewireError as `get` */
  versions(name: string): readonly ServedModel[] {
    const versions = this.#models.get(name);
    if (versions === undefined) throw this.#noVersions(name, undefined);
    return versions;
  }

  isLive(model: ServedModel): boolean {
    const versions = this.#models.get(model.spec.name);
    return versions !== undefined && this.#live(model.spec.name, versions) === model;
  }

  /**
   * Makes a version live, at once: requests under way keep theirs.
   * @param version undefined: the highest, and higher ones when they come
   * @throws ScorewireError NOT_FOUND; then nothing has changed
   */
  promote(name: string, version?: number | bigint): void {
    const model = version === undefined ? this.highest(name) : this.get(name, version);
    this.choose(name, version === undefined ? undefined : model.spec.version);
  }

  /** What a file beside the versions says, which may come before the version; undefined: the highest is live. */
  choose(name: string, version: number | undefined): void {
    if (version === undefined) this.#chosen.delete(name);
    else this.#chosen.set(name, version);
  }

  /** The version that somebody chose. */
  chosen(name: string): number | undefined {
    return this.#chosen.get(name);
  }

  /** @throws ScorewireError as `get` */
  highest(name: string): ServedModel {
    return this.versions(name).at(-1) as ServedModel;
  }

  /** Whether it has a READY version. */
  has(name: string): boolean {
    return this.#models.has(name);
  }

  /** Every READY version, by name, then by version. */
  all(): ServedModel[] {
    return [...this.#models.keys()].sort().flatMap((name) => this.#models.get(name) as ServedModel[]);
  }

  #live(name: string, versions: readonly ServedModel[]): ServedModel {
    const chosen = this.#chosen.get(name);
    const found = chosen === undefined ? undefined : versions.find(({ spec }) => spec.version === chosen);
    return found ?? (versions.at(-1) as ServedModel);
  }

  #noVersion(name: string, version: number | bigint, versions: readonly ServedModel[]): ScorewireError {
    const metadata = { model: name, version: String(version) };
    const note = this.#notes.get(name)?.get(exact(version));
    if (note?.state === 'LOADING' || note?.state === 'UNLOADING') return notReady(name, version, note.state);
    const known = versions.map((model) => model.spec.version).join(', ');
    const unserved = note === undefined ? 'has no version' : 'does not serve version';
    return new ScorewireError(
      'not_found',
      'VERSION_NOT_FOUND',
      `model "${name}" ${unserved} ${version}; it has ${known}`,
      { metadata },
    );
  }

  /** Why a model that has no READY version is not given. */
  #noVersions(name: string, version: number | bigint | undefined): ScorewireError {
    const entries = this.index(name);
    if (entries.length === 0) return this.#unknownModel(name);
    const asked = version === undefined ? entries : entries.filter((entry) => entry.version === exact(version));
    for (const state of ['LOADING', 'UNLOADING'] as const) {
      if (asked.some((entry) => entry.state === state)) return notReady(name, version, state);
    }
    const failed = entries.some(({ state, reason }) => state !== undefined && reason !== UNLOADED);
    return new ScorewireError(
      'not_found',
      failed ? 'MODEL_NOT_LOADED' : 'MODEL_UNLOADED',
      failed ? `model "${name}" could not be loaded; the server's log says why` : `model "${name}" is not loaded`,
      { metadata: { model: name } },
    );
  }

  #unknownModel(name: string): ScorewireError {
    const names = [...this.#models.keys()].sort();
    // What a caller sends may be megabytes long, and comparing takes the product of the lengths.
    const asked = name.slice(0, 100);
    const nearest = names.length === 0 ? '' : closest(asked, names);
    const hint =
      nearest !== '' && distance(nearest, asked) <= 3
        ? `did you mean "${nearest}"?`
        : `there are ${names.slice(0, 20).join(', ')}`;
    return new ScorewireError(
      'not_found',
      'MODEL_NOT_FOUND',
      name === '' ? `model: expected a model's name; ${hint}` : `no model is called "${asked}"; ${hint}`,
      { metadata: { model: asked } },
    );
  }
}

function notReady(name: string, version: number | bigint | undefined, state: 'LOADING' | 'UNLOADING'): ScorewireError {
  const which = version === undefined ? `model "${name}"` : `model "${name}" version ${version}`;
  return new ScorewireError(
    'unavailable',
    'MODEL_NOT_READY',
    `${which} is being ${state.toLowerCase().replace('ing', 'ed')}`,
    {
      metadata: { model: name, ...(version === undefined ? {} : { version: String(version) }) },
      ...(state === 'LOADING' ? { retryAfterMs: LOADING_RETRY_MS } : {}),
    },
  );
}

/** As the registry has versions; NaN for one that no number stands for exactly. */
function exact(version: number | bigint): number {
  return BigInt(Number(version)) === BigInt(version) ? Number(version) : Number.NaN;
}
