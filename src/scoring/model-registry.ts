// Which versions are served, and which of them is live.
import { closest, distance } from 'fastest-levenshtein';
import { ScorewireError } from '../errors.ts';
import type { ServedModel } from './served-model.ts';

export type VersionState = 'LOADING' | 'READY' | 'UNLOADING' | 'UNAVAILABLE';

/** What is known of a version; `version` and `state` are absent for a model that was never loaded. */
export type IndexEntry = {
  name: string;
  version: number | undefined;
  state: VersionState | undefined;
  /** Why it is in that state, where that is not plain. */
  reason: string;
};

export class ModelRegistry {
  /** By name; versions rising. */
  readonly #models = new Map<string, ServedModel[]>();
  /** The live version by name, where somebody chose; else the highest is live. */
  readonly #chosen: Map<string, number>;

  constructor(chosen: ReadonlyMap<string, number> = new Map()) {
    this.#chosen = new Map(chosen);
  }

  add(model: ServedModel): void {
    const versions = this.#models.get(model.spec.name) ?? [];
    versions.push(model);
    versions.sort((a, b) => a.spec.version - b.spec.version);
    this.#models.set(model.spec.name, versions);
  }

  /**
   * The version asked for, or the live one. A caller keeps what it gets to the end of its request.
   * @throws ScorewireError NOT_FOUND that says what there is.
   */
  get(name: string, version?: number | bigint): ServedModel {
    const versions = this.#models.get(name);
    if (versions === undefined) throw this.#unknownModel(name);
    if (version === undefined) return this.#live(name, versions);
    const found = versions.find((model) => BigInt(model.spec.version) === BigInt(version));
    if (found !== undefined) return found;
    const known = versions.map((model) => model.spec.version).join(', ');
    throw new ScorewireError(
      'not_found',
      'VERSION_NOT_FOUND',
      `model "${name}" has no version ${version}; it has ${known}`,
      { metadata: { model: name, version: String(version) } },
    );
  }

  /** As `get`, and undefined where there is none. */
  find(name: string, version?: number): ServedModel | undefined {
    const versions = this.#models.get(name);
    if (versions === undefined) return undefined;
    if (version === undefined) return this.#live(name, versions);
    return versions.find(({ spec }) => spec.version === version);
  }

  /** Every version that is known, by name, then by version: those that could not be loaded too. */
  index(): IndexEntry[] {
    return this.all().map(({ spec: { name, version } }) => ({ name, version, state: 'READY', reason: '' }));
  }

  /** Every version of a model, rising. @throws ScorewireError NOT_FOUND */
  versions(name: string): readonly ServedModel[] {
    const versions = this.#models.get(name);
    if (versions === undefined) throw this.#unknownModel(name);
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
    if (version === undefined) this.#chosen.delete(name);
    else this.#chosen.set(name, model.spec.version);
  }

  /** @throws ScorewireError NOT_FOUND */
  highest(name: string): ServedModel {
    return this.versions(name).at(-1) as ServedModel;
  }

  has(name: string): boolean {
    return this.#models.has(name);
  }

  /** By name, then by version. */
  all(): ServedModel[] {
    return [...this.#models.keys()].sort().flatMap((name) => this.#models.get(name) as ServedModel[]);
  }

  #live(name: string, versions: readonly ServedModel[]): ServedModel {
    const chosen = this.#chosen.get(name);
    const found = chosen === undefined ? undefined : versions.find(({ spec }) => spec.version === chosen);
    return found ?? (versions.at(-1) as ServedModel);
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
