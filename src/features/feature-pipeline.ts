// From what a caller sends to rows that can be encoded: the same for calls, streams, batches, jobs and refreshes.
import { ScorewireError } from '../errors.ts';
import type { Feature, FeatureView, RowLayout } from '../models/model.ts';
import { addStored, type Gap, isTooOld, recordAt } from './add-stored.ts';
import { CompletedRows, ListedRows, RowSlice } from './completed-rows.ts';
import { ZoneTime } from './computed-features.ts';
import {
  type FeatureObserver,
  type FeatureRecord,
  type FeatureRecords,
  type FeatureStore,
  nobody,
} from './feature-store.ts';
import { mergeColumn } from './merge-column.ts';
import { missingFeatures } from './missing-features.ts';
import type { Row, RowValue } from './row.ts';
import { type Column, ColumnRows, type RowSource } from './row-source.ts';

/** A row with all that could be found for it. */
export type CompleteRow = {
  row: Row;
  /** When the oldest of its stored features was true, milliseconds since 1970; without any of those, now. */
  asOfMs: number;
};

/** Rows with all that could be found for them. */
export type CompleteRows = {
  /** Just the rows asked for: the first of them is its row 0. */
  rows: RowSource;
  /** As of one row: one a row. */
  asOfMs: Float64Array;
  /** Rows that can't be completed; `row` counts from the first of these rows. What `rows` has for them means nothing. */
  errors: readonly { row: number; error: ScorewireError }[];
};

type NamedValues = Map<string, RowValue | undefined>;

export class FeaturePipeline {
  /** Whether an entity alone is enough to find features by. */
  readonly byEntity: boolean;
  /** Whether rows as callers send them may lack features that are found elsewhere. */
  readonly adds: boolean;
  readonly #model: string;
  readonly #features: readonly Feature[];
  readonly #computed: readonly Feature[];
  readonly #stored: readonly Feature[];
  readonly #time: ZoneTime;
  readonly #store: FeatureStore | undefined;
  readonly #observer: FeatureObserver;

  /** @param store the view's, where it has one */
  constructor(
    model: string,
    layout: RowLayout,
    view: FeatureView,
    store: FeatureStore | undefined,
    observer: FeatureObserver = nobody,
  ) {
    this.#model = model;
    this.#features = layout.kind === 'features' ? layout.features : [];
    this.#computed = this.#features.filter(({ source }) => source === 'computed');
    this.#stored = this.#features.filter(({ source }) => source === 'store');
    this.#time = new ZoneTime(view.timeZone);
    this.#store = this.#stored.length > 0 ? store : undefined;
    this.#observer = observer;
    this.byEntity = this.#store !== undefined;
    this.adds = this.byEntity || this.#computed.length > 0;
  }

  /**
   * Completes a row. What the request brings wins over what is computed, that over what the store has, that over defaults
   * (which the encoder fills in). At once where nothing has to be waited for; a dense row is complete as it is.
   * @param row undefined: the entity alone
   * @param entity canonical; '' where there is none
   * @param withinMs how long the caller waits for a feature store at most
   * @throws ScorewireError (or rejects with) INVALID_ARGUMENT (MISSING_FEATURES) that names what an entity alone lacks,
   * FAILED_PRECONDITION (NO_FEATURES) for an entity alone where the model has no feature store, UNAVAILABLE (FEATURES_UNAVAILABLE)
   */
  complete(row: Row | undefined, entity: string, nowMs: number, withinMs: number): CompleteRow | Promise<CompleteRow> {
    if (row === undefined) return this.#completeEntity(entity, nowMs, withinMs);
    if (row.form === 'dense') return { row, asOfMs: nowMs };
    const lacksComputed = lacksAny(this.#computed, row.values);
    const lacksStored = this.#store !== undefined && entity !== '' && lacksAny(this.#stored, row.values);
    if (!lacksComputed && !lacksStored) return { row, asOfMs: nowMs };
    const values: NamedValues = new Map(row.values);
    if (lacksComputed) this.#addComputed(values, nowMs);
    if (!lacksStored) return { row: { form: 'named', values }, asOfMs: nowMs };
    return this.#lookUp(entity, withinMs, (record) =>
      this.#seen(values, this.#addRecord(values, record, nowMs), nowMs),
    );
  }

  /**
   * Completes rows [from, to) of `rows`, or the entities alone. A matrix is complete as it is.
   * @param entities of rows [from, to), '' where one has none; undefined where no row has one
   */
  async completeMany(
    rows: RowSource | undefined,
    entities: readonly string[] | undefined,
    from: number,
    to: number,
    nowMs: number,
    withinMs: number,
  ): Promise<CompleteRows> {
    if (rows === undefined && !this.byEntity) throw this.#noFeatures();
    const count = to - from;
    const brought = new RowSlice(rows ?? new ColumnRows(to, new Map()), from, to);
    const asOfMs = new Float64Array(count).fill(nowMs);
    if (brought.form === 'dense') return { rows: brought, asOfMs, errors: [] };
    const computed = gapsIn(this.#computed, brought);
    const stored = this.#store === undefined || entities === undefined ? [] : gapsIn(this.#stored, brought);
    if (computed.length + stored.length === 0 && rows !== undefined) return { rows: brought, asOfMs, errors: [] };
    let records: FeatureRecords | undefined;
    if (stored.length > 0) {
      const names = stored.map(({ feature }) => feature.name);
      records = await (this.#store as FeatureStore).getMany(lookedUp(entities as string[], stored), names, withinMs);
    }
    const parts = new Parts(count);
    for (const { feature, part } of computed) parts.add(feature, part, this.#time.value(feature, nowMs));
    const { columns, used, wrong, odd } = addStored(stored, records, count, nowMs, rows === undefined);
    for (const { feature, part } of stored) parts.add(feature, part, columns.get(feature.name) as Column);
    const errors: CompleteRows['errors'][number][] = [];
    let completed: RowSource;
    if (rows === undefined) {
      // A feature that only a request could bring is lacking in all rows.
      const hopeless = this.#features.some(({ source, default: value }) => source === undefined && value === undefined);
      for (let row = 0; row < count; row++) {
        if (!hopeless && wrong[row] === 0) continue;
        errors.push({ row, error: this.#missing(entities?.[row] ?? '', recordAt(records, row), nowMs) });
        used[row] = 0;
      }
      completed = new CompletedRows(brought, parts.rows(), parts.beside);
    } else if (odd || parts.odd) {
      completed = this.#oneByOne(brought, records, nowMs);
    } else {
      completed = new CompletedRows(brought, parts.rows(), parts.beside);
    }
    for (let row = 0; row < count; row++) {
      if (used[row] === 0) continue;
      const atMs = (records as FeatureRecords).asOfMs[row] as number;
      asOfMs[row] = atMs;
      this.#observer.used(this.#model, Math.max(0, nowMs - atMs) / 1000);
    }
    return { rows: completed, asOfMs, errors };
  }

  #completeEntity(entity: string, nowMs: number, withinMs: number): CompleteRow | Promise<CompleteRow> {
    if (!this.byEntity) throw this.#noFeatures();
    return this.#lookUp(entity, withinMs, (record) => {
      const values: NamedValues = new Map();
      this.#addComputed(values, nowMs);
      const found = this.#addRecord(values, record, nowMs);
      if (lacksRequired(this.#features, values)) throw this.#missing(entity, record, nowMs);
      return this.#seen(values, found, nowMs);
    });
  }

  #lookUp(
    entity: string,
    withinMs: number,
    then: (record: FeatureRecord | undefined) => CompleteRow,
  ): CompleteRow | Promise<CompleteRow> {
    if (entity === '') return then(undefined);
    const found = (this.#store as FeatureStore).get(entity, withinMs);
    return found instanceof Promise ? found.then(then) : then(found);
  }

  /** @param asOfMs undefined: no stored value was used */
  #seen(values: NamedValues, asOfMs: number | undefined, nowMs: number): CompleteRow {
    if (asOfMs !== undefined) this.#observer.used(this.#model, Math.max(0, nowMs - asOfMs) / 1000);
    return { row: { form: 'named', values }, asOfMs: asOfMs ?? nowMs };
  }

  #addComputed(values: NamedValues, nowMs: number): void {
    for (const feature of this.#computed) {
      if (values.get(feature.name) === undefined) values.set(feature.name, this.#time.value(feature, nowMs));
    }
  }

  /** Gives what the row lacks. Returns as of when that is; undefined where the record had nothing for it. */
  #addRecord(values: NamedValues, record: FeatureRecord | undefined, nowMs: number): number | undefined {
    if (record === undefined) return undefined;
    let used = false;
    for (const feature of this.#stored) {
      if (values.get(feature.name) !== undefined) continue;
      const value = record.values.get(feature.name);
      if (value === undefined) {
        // As a column's null: the entity is known, and has no number.
        if (feature.allowNan && feature.default === undefined) values.set(feature.name, Number.NaN);
      } else if (!isTooOld(feature, record.asOfMs, nowMs)) {
        values.set(feature.name, value);
        used = true;
      }
    }
    return used ? record.asOfMs : undefined;
  }

  /** Rows with something in them that columns can't say. */
  #oneByOne(brought: RowSource, records: FeatureRecords | undefined, nowMs: number): ListedRows {
    const rows = Array.from({ length: brought.count }, (_, index): Row => {
      const row = brought.row(index, this.#features) as Extract<Row, { form: 'named' }>;
      const values: NamedValues = new Map(row.values);
      this.#addComputed(values, nowMs);
      this.#addRecord(values, recordAt(records, index), nowMs);
      return { form: 'named', values };
    });
    return new ListedRows(rows);
  }

  #missing(entity: string, record: FeatureRecord | undefined, nowMs: number): ScorewireError {
    const values: NamedValues = new Map();
    this.#addRecord(values, record, nowMs);
    const missing = this.#features.filter(
      (feature) => isRequired(feature) && feature.source !== 'computed' && values.get(feature.name) === undefined,
    );
    return missingFeatures(this.#model, (this.#store as FeatureStore).name, entity, missing, record);
  }

  #noFeatures(): ScorewireError {
    return new ScorewireError(
      'failed_precondition',
      'NO_FEATURES',
      `${this.#model} takes no features from a feature store, so that an entity alone is not enough: send a row, or set feature_view.store in its model.yaml`,
      { metadata: { model: this.#model } },
    );
  }
}

/** Columns on their way to rows. */
class Parts {
  /** Whether something brought and something added don't go into one column. */
  odd = false;
  /** Names that the caller brought nothing by. */
  beside = 0;
  readonly #count: number;
  readonly #columns = new Map<string, Column>();
  readonly #shared = new Map<string, RowValue>();

  constructor(count: number) {
    this.#count = count;
  }

  add(feature: Feature, part: Gap['part'], added: Column | RowValue): void {
    if (part === undefined || part === 'unset') {
      if (part === undefined) this.beside++;
      if (typeof added === 'object') this.#columns.set(feature.name, added);
      else this.#shared.set(feature.name, added);
      return;
    }
    const merged = mergeColumn(feature, part, added, this.#count);
    if (merged === undefined) this.odd = true;
    else this.#columns.set(feature.name, merged);
  }

  rows(): ColumnRows {
    return new ColumnRows(this.#count, this.#columns, this.#shared);
  }
}

function lacksAny(features: readonly Feature[], values: ReadonlyMap<string, RowValue | undefined>): boolean {
  for (const { name } of features) if (values.get(name) === undefined) return true;
  return false;
}

function isRequired({ default: value }: Feature): boolean {
  return value === undefined;
}

function lacksRequired(features: readonly Feature[], values: ReadonlyMap<string, RowValue | undefined>): boolean {
  for (const feature of features) if (isRequired(feature) && values.get(feature.name) === undefined) return true;
  return false;
}

/** Which of the features some of the rows lack. */
function gapsIn(features: readonly Feature[], rows: RowSlice): Gap[] {
  return features.flatMap((feature): Gap[] => {
    const given = rows.given(feature.name, 0, rows.count);
    if (given === undefined) return [{ feature, part: undefined }];
    if ('constant' in given) return given.constant === undefined ? [{ feature, part: 'unset' }] : [];
    const { nulls, start } = given.part;
    // Where NaN is a value, null is NaN.
    if (nulls === undefined || feature.allowNan || !nulls.subarray(start, start + rows.count).includes(1)) return [];
    return [{ feature, part: given.part }];
  });
}

/** The entities of rows that lack something: '' in the place of all others. */
function lookedUp(entities: readonly string[], gaps: readonly Gap[]): readonly string[] {
  const parts = gaps.map(({ part }) => part);
  if (parts.some((part) => part === undefined || part === 'unset')) return entities;
  return entities.map((entity, row) => (parts.some((part) => lacks(part, row)) ? entity : ''));
}

function lacks(part: Gap['part'], row: number): boolean {
  return typeof part === 'object' && (part.nulls as Uint8Array)[part.start + row] === 1;
}
