// What health checks are told of each model: the names come and go with the models, and one that fails is nobody else's matter.
import type { Health } from '../grpc/health-service.ts';
import type { ModelSpec } from '../models/model.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';

export class ModelHealth {
  readonly #health: Health;
  readonly #services: readonly string[];
  /** Models that health checks know. */
  #names: Set<string>;
  #models: ModelRegistry | undefined;
  #serving = false;
  #pending = false;

  /** @param specs of the models that will be there */
  constructor(health: Health, services: readonly string[], specs: readonly ModelSpec[]) {
    this.#health = health;
    this.#services = services;
    this.#names = new Set(specs.map(({ name }) => name));
    for (const name of [...services, ...this.#names]) health.set(name, false);
  }

  /** From now on names are those of the registry. */
  follow(models: ModelRegistry): void {
    this.#models = models;
    this.#tell();
  }

  /** The server as a whole: where it doesn't serve, no model does. */
  setServing(serving: boolean): void {
    this.#serving = serving;
    for (const name of this.#services) this.#health.set(name, serving);
    this.#tell();
  }

  /** Other models are there, once a turn is enough. */
  changed(): void {
    if (this.#pending) return;
    this.#pending = true;
    queueMicrotask(() => {
      this.#pending = false;
      this.#tell();
    });
  }

  #tell(): void {
    const models = this.#models;
    const entries = models?.index().filter(({ state }) => state !== undefined);
    const names = new Set(entries?.map(({ name }) => name) ?? this.#names);
    for (const name of this.#names) if (!names.has(name)) this.#health.remove(name);
    for (const name of names) this.#health.set(name, this.#serving && (models?.has(name) ?? false));
    this.#names = names;
  }
}
