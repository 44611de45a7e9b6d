// All feature stores of a server, and the pipelines that take from them.
import type { FeatureStoreDefinition } from '../config/feature-stores-file.ts';
import { SetupError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';
import { RedisLink } from '../redis/redis-link.ts';
import type { Logger } from '../telemetry/log.ts';
import { EmbeddedStore } from './embedded-store.ts';
import { FeaturePipeline } from './feature-pipeline.ts';
import { type FeatureObserver, type FeatureStore, nobody } from './feature-store.ts';
import { RedisFeatureStore } from './redis-feature-store.ts';
import { type WantedFeature, wantedFeatures } from './wanted-features.ts';

export type FeatureStoresOptions = {
  /** What the file of feature stores says; undefined: there is no such file. */
  definitions: ReadonlyMap<string, FeatureStoreDefinition> | undefined;
  /** That file, for messages. */
  file: string | undefined;
  /** Of all models and versions that take features. */
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
  readonly #stores = new Map<string, FeatureStore>();
  readonly #observer: FeatureObserver;
  #link: RedisLink | undefined;

  /**
   * Opens the stores that models take features from.
   * @throws SetupError for a model whose store isn't there, and files that don't have what models need
   */
  static async open(options: FeatureStoresOptions): Promise<FeatureStores> {
    checkViews(options);
    const stores = new FeatureStores(options.observer ?? nobody);
    try {
      for (const [name, definition] of options.definitions ?? []) {
        const wanted = wantedFeatures(name, options.specs);
        if (wanted.length > 0) stores.#stores.set(name, await stores.#open(name, definition, wanted, options));
      }
    } catch (error) {
      await stores.close();
      throw error;
    }
    return stores;
  }

  private constructor(observer: FeatureObserver) {
    this.#observer = observer;
  }

  pipeline({ name, rows, featureView }: ViewedModel): FeaturePipeline {
    const store = featureView.store === undefined ? undefined : this.#stores.get(featureView.store);
    return new FeaturePipeline(name, rows, featureView, store, this.#observer);
  }

  /** Of stores that can't answer, or can't read what changed; by their names. */
  problems(): ReadonlyMap<string, string> {
    const problems = new Map<string, string>();
    for (const [name, store] of this.#stores) {
      const problem = store.problem();
      if (problem !== undefined) problems.set(name, problem);
    }
    return problems;
  }

  /** Resolves when stores in Redis are connected, or after so many milliseconds. */
  async whenConnected(withinMs: number): Promise<void> {
    await this.#link?.whenConnected(withinMs);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#stores.values()].map((store) => store.close()));
    this.#link?.close();
  }

  async #open(
    name: string,
    definition: FeatureStoreDefinition,
    wanted: readonly WantedFeature[],
    { redisUrl, reloadMs, log, observer }: FeatureStoresOptions,
  ): Promise<FeatureStore> {
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
