// A feature store for tests: what a map has, at once or after a turn of the event loop.
import type { FeatureRecord, FeatureRecords, FeatureStore } from '../../src/features/feature-store.ts';
import type { RowValue } from '../../src/features/row.ts';
import type { Column } from '../../src/features/row-source.ts';
import type { Feature } from '../../src/models/model.ts';

export class MemoryFeatureStore implements FeatureStore {
  readonly name = 'customers';
  /** Entities that were asked for, one by one or in lists. */
  readonly asked: string[] = [];
  readonly #features: ReadonlyMap<string, Feature>;
  readonly #records: ReadonlyMap<string, FeatureRecord>;
  readonly #later: boolean;

  constructor(features: readonly Feature[], records: ReadonlyMap<string, FeatureRecord>, later = false) {
    this.#features = new Map(features.map((feature) => [feature.name, feature]));
    this.#records = records;
    this.#later = later;
  }

  get(entity: string): FeatureRecord | undefined | Promise<FeatureRecord | undefined> {
    this.asked.push(entity);
    const record = this.#records.get(entity);
    return this.#later ? Promise.resolve(record) : record;
  }

  getMany(entities: readonly string[], names: readonly string[]): FeatureRecords | Promise<FeatureRecords> {
    const records = entities.map((entity) => {
      if (entity !== '') this.asked.push(entity);
      return this.#records.get(entity);
    });
    const found = {
      found: Uint8Array.from(records, (record) => (record === undefined ? 0 : 1)),
      asOfMs: Float64Array.from(records, (record) => record?.asOfMs ?? 0),
      columns: new Map(names.map((name) => [name, this.#column(name, records)])),
    };
    return this.#later ? Promise.resolve(found) : found;
  }

  #column(name: string, records: readonly (FeatureRecord | undefined)[]): Column {
    const values = records.map((record) => record?.values.get(name));
    const nulls = Uint8Array.from(values, (value) => (value === undefined ? 1 : 0));
    const { type } = this.#features.get(name) as Feature;
    const filled = <T extends RowValue>(empty: T): T[] => values.map((value) => (value as T | undefined) ?? empty);
    const column =
      type === 'text'
        ? filled('')
        : type === 'number'
          ? Float64Array.from(filled(0))
          : type === 'integer'
            ? BigInt64Array.from(filled(0n))
            : Uint8Array.from(filled(false), Number);
    return nulls.includes(1) ? { values: column, nulls } : { values: column };
  }

  problem(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}
