// All feature stores of a server, and the pipelines that take from them.
import type { FeatureStoreDefinition } from '../config/feature-stores-file.ts';
import { SetupError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';
import { RedisLink } from '../redis/redis-link.ts';
import type { Logger } from '../telemetry/log.ts';
import { EmbeddedStore } from './embedded-store.ts';
import { FeaturePipeline } from './feature-pipeline.ts';
import type { FeatureObserver, FeatureStore } from './feature-store.ts';
import { RedisFeatureStore } from './redis-feature-store.ts';
import { formOf, type WantedFeature, wantedFeatures } from './wanted-features.ts';

export type FeatureStoresOptions = {
  /** What the file of feature stores says; undefined: there is no such file. */
  definitions: ReadonlyMap<string, FeatureStoreDefinition> | undefined;
  /** That file, for messages. */
  file: string | undefined;
  /** Of all models and versions that take features, as far as they are known; others come by `admit`. */
  specs: readonly ViewedModel[];
  /** Whether it is an error where no file says what the stores are; else models are served to callers who bring all features. */
  needed?: boolean;
  redisUrl: string;
  /** Between two looks at the files of stores that are held in memory. */
  reloadMs: number;
  log?: Logger;
  observer?: FeatureObserver;
};

/** A model, as far as its features go. */
export type ViewedModel = Pick<ModelSpec, 'name' | 'rows' | 'featureView'>;

export class FeatureStores {
  readonly #options: FeatureStoresOptions;
  /** What models that come now take from. */
  readonly #stores = new Map<string, FeatureStore>();
  /** What each of those holds. */
  readonly #wanted = new Map<FeatureStore, readonly WantedFeature[]>();
  /** Models and versions that take features, and the store that those with a pipeline take from. */
  readonly #models = new Map<ViewedModel, FeatureStore | undefined>();
  #link: RedisLink | undefined;

  /**
   * Opens the stores that models take features from.
   * @throws SetupError for a model whose store isn't there, and files that don't have what models need
   */
  static async open(options: FeatureStoresOptions): Promise<FeatureStores> {
    const stores = new FeatureStores(options);
    try {
      await stores.#add(options.specs);
    } catch (error) {
      await stores.close();
      throw error;
    }
    return stores;
  }

  private constructor(options: FeatureStoresOptions) {
    this.#options = options;
  }

  /**
   * Makes models that come later able to take features: a store that doesn't hold what they want is opened once more, with more in it;
   * models from before go on with the one that they have. Resolves with why some can't.
   */
  async admit<Model extends ViewedModel>(models: readonly Model[]): Promise<ReadonlyMap<Model, string>> {
    const refused = new Map<Model, string>();
    try {
      await this.#add(models);
      return refused;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      if (models.length === 1) return new Map([[models[0] as Model, error.message]]);
    }
    // One that can't doesn't stop the others.
    for (const model of models) for (const [one, reason] of await this.admit([model])) refused.set(one, reason);
    return refused;
  }

  /** The model takes no features any more. */
  async release(model: ViewedModel): Promise<void> {
    const store = this.#models.get(model);
    this.#models.delete(model);
    if (store !== undefined) await this.#closeUnused(store);
  }

  /** Of a model that was there at the opening, or was admitted. */
  pipeline(model: ViewedModel): FeaturePipeline {
    const { name, rows, featureView } = model;
    const store = featureView.store === undefined ? undefined : this.#stores.get(featureView.store);
    this.#models.set(model, store);
    return new FeaturePipeline(name, rows, featureView, store, this.#options.observer);
  }

  async #add(models: readonly ViewedModel[]): Promise<void> {
    const { definitions } = this.#options;
    checkViews({ ...this.#options, specs: models });
    const all = [...this.#models.keys(), ...models];
    const fresh = new Map<string, FeatureStore>();
    try {
      for (const [name, definition] of definitions ?? []) {
        const wanted = wantedFeatures(name, all);
        const current = this.#stores.get(name);
        if (wanted.length === 0 || (current !== undefined && this.#holds(current, wanted))) continue;
        const store = await this.#open(name, definition, wanted);
        fresh.set(name, store);
        this.#wanted.set(store, wanted);
      }
    } catch (error) {
      for (const store of fresh.values()) await this.#close(store);
      throw error;
    }
    for (const model of models) this.#models.set(model, undefined);
    for (const [name, store] of fresh) {
      const before = this.#stores.get(name);
      this.#stores.set(name, store);
      if (before !== undefined) await this.#closeUnused(before);
    }
  }

  #holds(store: FeatureStore, wanted: readonly WantedFeature[]): boolean {
    const held = new Map(this.#wanted.get(store)?.map((feature) => [feature.name, feature]));
    return wanted.every(({ name, type, taken, neededBy }) => {
      const feature = held.get(name);
      if (feature === undefined || feature.type !== type) return false;
      if (neededBy !== undefined && feature.neededBy === undefined) return false;
      const forms = new Set(feature.taken.map(formOf));
      return taken.every((one) => forms.has(formOf(one)));
    });
  }

  async #closeUnused(store: FeatureStore): Promise<void> {
    if (this.#stores.get(store.name) === store) return;
    if ([...this.#models.values()].includes(store)) return;
    await this.#close(store);
  }

  async #close(store: FeatureStore): Promise<void> {
    this.#wanted.delete(store);
    await store.close();
  }

  /** Of stores that can't answer, or can't read what changed; by their names. */
  problems(): ReadonlyMap<string, string> {
    const problems = new Map<string, string>();
    for (const store of this.#wanted.keys()) {
      const problem = store.problem();
      if (problem !== undefined) problems.set(store.name, problem);
    }
    return problems;
  }

  /** Resolves when stores in Redis are connected, or after so many milliseconds. */
  async whenConnected(withinMs: number): Promise<void> {
    await this.#link?.whenConnected(withinMs);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#wanted.keys()].map((store) => store.close()));
    this.#link?.close();
  }

  async #open(
    name: string,
    definition: FeatureStoreDefinition,
    wanted: readonly WantedFeature[],
  ): Promise<FeatureStore> {
    const { redisUrl, reloadMs, log, observer } = this.#options;
    const common = {
      name,
      wanted,
      ...(log === undefined ? {} : { log }),
      ...(observer === undefined ? {} : { observer }),
    };
    if (definition.kind === 'files') return EmbeddedStore.open({ ...common, definition, reloadMs });
    this.#link ??= new RedisLink({
      url: redisUrl,
      prefix: '',
      reason: 'FEATURES_UNAVAILABLE',
      ...(log === undefined ? {} : { log }),
    });
    return new RedisFeatureStore({ ...common, definition, link: this.#link });
  }
}

/** @throws SetupError with every model whose feature store isn't there, one a line */
function checkViews({ definitions, file, specs, needed = true, log }: FeatureStoresOptions): void {
  const problems = new Set<string>();
  for (const { name, featureView } of specs) {
    const { store } = featureView;
    if (store === undefined || definitions?.has(store)) continue;
    const missing = `no file says what ${store} is; set features.file (--features)`;
    if (file !== undefined) {
      const known = [...(definitions?.keys() ?? [])].join(', ') || 'none';
      problems.add(`model ${name}: feature_view.store: ${file} has no feature store ${store}; it has ${known}`);
    } else if (needed) {
      problems.add(`model ${name}: feature_view.store: ${missing}`);
    } else {
      log?.warn({ model: name }, `calls by entity alone can't be computed: ${missing}`);
    }
  }
  if (problems.size > 0) throw new SetupError([...problems].join('\n'));
}
