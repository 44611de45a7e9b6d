// Counters, gauges and histograms that cost a few nanoseconds a reading. What is recorded often gets its cell once and
// keeps it: finding a cell by its attributes is the dear part. OpenTelemetry reads the cells when it collects.

import { Buckets } from './buckets.ts';

export type Attributes = Readonly<Record<string, string>>;

/** One family has at most so many cells; what comes on top shares one cell, so that memory stays bounded. */
export const MAX_CELLS = 2000;
export const OVERFLOW_ATTRIBUTES: Attributes = Object.freeze({ 'otel.metric.overflow': 'true' });

/** How many values fell into each bucket, and their sum. */
export class HistogramCell {
  readonly attributes: Attributes;
  readonly buckets: Buckets;
  /** One more than there are bounds: the last one holds what is above them all. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(attributes: Attributes, buckets: Buckets) {
    this.attributes = attributes;
    this.buckets = buckets;
    this.counts = new Float64Array(buckets.bounds.length + 1);
  }

  /** In the unit of the family. NaN is left out: it would spoil the sum for good. */
  record(value: number): void {
    if (Number.isNaN(value)) return;
    const index = this.buckets.indexOf(value);
    this.counts[index] = (this.counts[index] as number) + 1;
    this.sum += value;
  }

  get count(): number {
    return this.counts.reduce((total, count) => total + count, 0);
  }
}

/** A sum that only grows. */
export class CounterCell {
  readonly attributes: Attributes;
  value = 0;

  constructor(attributes: Attributes) {
    this.attributes = attributes;
  }

  add(amount = 1): void {
    this.value += amount;
  }
}

/** A value that is asked for when metrics are collected. */
export type Observer = { readonly attributes: Attributes; readonly read: () => number };

function cellKey(attributes: Attributes): string {
  return JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

abstract class Family<Cell> {
  readonly name: string;
  /** UCUM, as OpenTelemetry has it: `s`, `By`, `{row}`, `1`. */
  readonly unit: string;
  readonly description: string;
  readonly #cells = new Map<string, Cell>();

  constructor(name: string, unit: string, description: string) {
    this.name = name;
    this.unit = unit;
    this.description = description;
  }

  protected abstract create(attributes: Attributes): Cell;

  /** The cell of these attributes, always the same one. Keep it where it is used often. */
  cell(attributes: Attributes = {}): Cell {
    const key = cellKey(attributes);
    const found = this.#cells.get(key);
    if (found !== undefined) return found;
    const full = this.#cells.size >= MAX_CELLS - 1;
    if (full && attributes !== OVERFLOW_ATTRIBUTES) return this.cell(OVERFLOW_ATTRIBUTES);
    const cell = this.create(Object.freeze({ ...attributes }));
    this.#cells.set(key, cell);
    return cell;
  }

  /** Forgets a cell, say of a model that was unloaded; who still holds it records into nothing. */
  remove(attributes: Attributes): void {
    this.#cells.delete(cellKey(attributes));
  }

  cells(): Iterable<Cell> {
    return this.#cells.values();
  }
}

export class HistogramFamily extends Family<HistogramCell> {
  readonly kind = 'histogram';
  readonly buckets: Buckets;

  constructor(name: string, unit: string, description: string, bounds: readonly number[]) {
    super(name, unit, description);
    this.buckets = new Buckets(bounds);
  }

  protected create(attributes: Attributes): HistogramCell {
    return new HistogramCell(attributes, this.buckets);
  }
}

export class CounterFamily extends Family<CounterCell> {
  readonly kind = 'counter';

  protected create(attributes: Attributes): CounterCell {
    return new CounterCell(attributes);
  }
}

/** Values that someone else keeps; `monotonic` ones only grow and appear as counters. */
export class GaugeFamily {
  readonly kind = 'gauge';
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly monotonic: boolean;
  readonly #observers = new Set<Observer>();

  constructor(name: string, unit: string, description: string, monotonic = false) {
    this.name = name;
    this.unit = unit;
    this.description = description;
    this.monotonic = monotonic;
  }

  /** Has `read` called at each collection, until the function that comes back is called. */
  observe(attributes: Attributes, read: () => number): () => void {
    const observer = { attributes: Object.freeze({ ...attributes }), read };
    this.#observers.add(observer);
    return () => {
      this.#observers.delete(observer);
    };
  }

  observers(): Iterable<Observer> {
    return this.#observers;
  }
}

export type AnyFamily = HistogramFamily | CounterFamily | GaugeFamily;

/** All families of a server, each name once. */
export class Registry {
  readonly #families = new Map<string, AnyFamily>();

  /** @throws Error when the name is taken. */
  add<F extends AnyFamily>(family: F): F {
    if (this.#families.has(family.name)) throw new Error(`the metric ${family.name} is registered twice`);
    this.#families.set(family.name, family);
    return family;
  }

  families(): Iterable<AnyFamily> {
    return this.#families.values();
  }
}
