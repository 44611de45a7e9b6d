// Records row by row into columns that lie outside of the heap.
import type { VectorColumn } from '../duckdb/vectors.ts';
import type { FeatureType } from '../models/model.ts';
import { EntityIndex } from './entity-index.ts';
import type { HeldColumn, HeldValues, TableParts } from './record-table.ts';
import type { RowValue } from './row.ts';
import { isFloat32, type WantedFeature, whyUnfit } from './wanted-features.ts';

const LEAST_ROWS = 1024;

/** Rows of a file, as they are read. */
export type ReadRows = {
  entities: VectorColumn;
  /** By the place of the wanted feature; undefined where the file has no such column. */
  columns: readonly (VectorColumn | undefined)[];
  /** What is wrong with a row, as far as that showed when it was read. */
  wrong: ReadonlyMap<number, { place: number; problem: string }>;
  asOfMs: Float64Array;
};

/** A record that can't be read. */
export type BadRecord = { entity: string; feature: string; problem: string };

export class TableBuilder {
  readonly #index = new EntityIndex();
  readonly #columns: readonly ColumnBuilder[];
  #asOfMs = new Float64Array(LEAST_ROWS);
  #corrupt = new Uint8Array(LEAST_ROWS);
  /** The last of each that counts. */
  readonly #bad = new Map<number, BadRecord>();
  /** Rows that say nothing of whom they are about. */
  nameless = 0;
  /** Rows that gave way to later ones of the same entity. */
  repeated = 0;

  constructor(wanted: readonly WantedFeature[]) {
    this.#columns = wanted.map((feature) => new ColumnBuilder(feature));
  }

  /** Of two rows of an entity the one that holds since later stays, or else the one that comes later. */
  add({ entities, columns, wrong, asOfMs }: ReadRows): void {
    for (let from = 0; from < asOfMs.length; from++) {
      if (entities.nulls?.[from] === 1) {
        this.nameless++;
        continue;
      }
      const entity = entities.values[from] as string;
      const before = this.#index.rows;
      const row = this.#index.rowFor(entity);
      if (row >= this.#asOfMs.length) this.#grow();
      if (row < before) {
        this.repeated++;
        if (!((asOfMs[from] as number) >= (this.#asOfMs[row] as number))) continue;
      }
      this.#asOfMs[row] = asOfMs[from] as number;
      const known = wrong.get(from);
      let bad = known && { entity, feature: this.#nameAt(known.place), problem: known.problem };
      for (const [place, column] of this.#columns.entries()) {
        const problem = column.set(row, columns[place], from);
        if (problem !== undefined) bad ??= { entity, feature: column.wanted.name, problem };
      }
      this.#corrupt[row] = bad === undefined ? 0 : 1;
      if (bad !== undefined) this.#bad.set(row, bad);
      else this.#bad.delete(row);
    }
  }

  get bad(): { records: number; first: BadRecord | undefined } {
    const [first] = this.#bad.values();
    return { records: this.#bad.size, first };
  }

  /** The table; nothing can be added any more. */
  finish(): TableParts {
    const index = this.#index.parts();
    const { rows } = index;
    return {
      index,
      columns: this.#columns.map((column) => column.finish(rows)),
      asOfMs: this.#asOfMs.slice(0, rows),
      ...(this.#bad.size === 0 ? {} : { corrupt: this.#corrupt.slice(0, rows) }),
    };
  }

  /** -1 is not of a feature. */
  #nameAt(place: number): string {
    return this.#columns[place]?.wanted.name ?? 'as_of';
  }

  #grow(): void {
    this.#asOfMs = new Float64Array(this.#asOfMs.buffer.transfer(2 * this.#asOfMs.byteLength));
    this.#corrupt = new Uint8Array(this.#corrupt.buffer.transfer(2 * this.#corrupt.byteLength));
  }
}

class ColumnBuilder {
  readonly wanted: WantedFeature;
  readonly #type: FeatureType;
  readonly #narrow: boolean;
  #values: HeldValues;
  #nulls = new Uint8Array(LEAST_ROWS).fill(1);
  #hasValue = false;
  #hasNull = false;
  /** Numbers of texts. */
  readonly #codes = new Map<string, number>();

  constructor(wanted: WantedFeature) {
    this.wanted = wanted;
    this.#type = wanted.type;
    this.#narrow = isFloat32(wanted);
    this.#values = this.#empty(LEAST_ROWS);
  }

  /** Returns what is wrong with the value. */
  set(row: number, column: VectorColumn | undefined, from: number): string | undefined {
    if (row >= this.#nulls.length) this.#grow();
    if (column === undefined || column.nulls?.[from] === 1) {
      this.#nulls[row] = 1;
      this.#hasNull = true;
      return undefined;
    }
    const value = column.values[from] as number | bigint | string;
    const problem = this.#problem(value, column.values);
    // Nobody asks what a record has that can't be read.
    if (problem === undefined) this.#values[row] = this.#held(value);
    this.#nulls[row] = 0;
    this.#hasValue = true;
    return problem;
  }

  finish(rows: number): HeldColumn {
    const { name } = this.wanted;
    if (!this.#hasValue) return { name, type: this.#type, values: new Uint8Array(0) };
    return {
      name,
      type: this.#type,
      values: this.#values.slice(0, rows) as HeldValues,
      ...(this.#hasNull ? { nulls: this.#nulls.slice(0, rows) } : {}),
      ...(this.#type === 'text' ? { dictionary: dictionaryOf([...this.#codes.keys()]) } : {}),
    };
  }

  #problem(value: number | bigint | string, values: VectorColumn['values']): string | undefined {
    if (typeof value === 'number') {
      // Plainly right: finite, also as it is held.
      const held = this.#narrow ? Math.fround(value) : value;
      if (this.#type === 'number' && this.#narrow && held - held === 0) return undefined;
      if (values instanceof Uint8Array) return whyUnfit(this.wanted, this.#type === 'flag' ? value === 1 : value);
    }
    return whyUnfit(this.wanted, value as RowValue);
  }

  #held(value: number | bigint | string): never {
    if (this.#type === 'text') return this.#codeOf(value as string) as never;
    if (this.#type === 'integer') return BigInt(value) as never;
    return Number(value) as never;
  }

  #codeOf(text: string): number {
    const known = this.#codes.get(text);
    if (known !== undefined) return known;
    const code = this.#codes.size;
    this.#codes.set(text, code);
    return code;
  }

  #empty(rows: number): HeldValues {
    switch (this.#type) {
      case 'number':
        return this.#narrow ? new Float32Array(rows) : new Float64Array(rows);
      case 'integer':
        return new BigInt64Array(rows);
      case 'flag':
        return new Uint8Array(rows);
      case 'text':
        return new Uint32Array(rows);
    }
  }

  #grow(): void {
    const rows = 2 * this.#nulls.length;
    const values = this.#empty(rows);
    (values as Uint8Array).set(this.#values as Uint8Array);
    this.#values = values;
    const nulls = new Uint8Array(rows).fill(1, this.#nulls.length);
    nulls.set(this.#nulls);
    this.#nulls = nulls;
  }
}

function dictionaryOf(texts: readonly string[]): HeldColumn['dictionary'] {
  const encoded = texts.map((text) => Buffer.from(text, 'utf8'));
  const bytes = encoded.reduce((sum, { length }) => sum + length, 0);
  const all = new Uint8Array(bytes);
  const ends = new Uint32Array(texts.length);
  let at = 0;
  for (const [code, text] of encoded.entries()) {
    all.set(text, at);
    at += text.length;
    ends[code] = at;
  }
  return { texts: all, ends };
}
