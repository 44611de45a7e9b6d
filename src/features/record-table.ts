// Records of features in columns, outside of the heap.
import type { FeatureType } from '../models/model.ts';
import { EntityIndex, type EntityIndexParts } from './entity-index.ts';
import type { FeatureRecords } from './feature-store.ts';
import type { RowValue } from './row.ts';
import type { Column } from './row-source.ts';

/** Numbers, integers, flags as 0 and 1; of texts their numbers in the dictionary. */
export type HeldValues =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

export type HeldColumn = {
  name: string;
  type: FeatureType;
  /** Empty where no record has a value. */
  values: HeldValues;
  /** 1 where there is no value; absent where there are all. */
  nulls?: Uint8Array<ArrayBuffer>;
  /** Of texts: each once, as UTF-8, one after the other. */
  dictionary?: { texts: Uint8Array<ArrayBuffer>; ends: Uint32Array<ArrayBuffer> };
};

/** What a table is made from; it all lies in buffers, which go from one thread to another. */
export type TableParts = {
  index: EntityIndexParts;
  columns: readonly HeldColumn[];
  /** Since when each record holds, milliseconds since 1970. */
  asOfMs: Float64Array<ArrayBuffer>;
  /** 1 where a record has a value that can't be read; absent where none has. */
  corrupt?: Uint8Array<ArrayBuffer>;
};

/** Dictionaries of at most so many texts have these as strings as well, from when they are first needed. */
const MAX_STRINGS = 65_536;

export class RecordTable {
  readonly rows: number;
  readonly bytes: number;
  readonly #index: EntityIndex;
  readonly #columns: ReadonlyMap<string, HeldColumn>;
  readonly #texts: ReadonlyMap<string, Texts>;
  readonly #asOfMs: Float64Array;
  readonly #corrupt: Uint8Array | undefined;

  constructor({ index, columns, asOfMs, corrupt }: TableParts) {
    this.rows = index.rows;
    this.#index = new EntityIndex(index);
    this.#columns = new Map(columns.map((column) => [column.name, column]));
    this.#texts = new Map(
      columns.flatMap(({ name, dictionary }) => (dictionary ? [[name, new Texts(dictionary)]] : [])),
    );
    this.#asOfMs = asOfMs;
    this.#corrupt = corrupt;
    this.bytes =
      this.#index.bytes + buffersOf({ index, columns, asOfMs }).reduce((sum, one) => sum + one.byteLength, 0);
  }

  /** -1 where there is none. */
  rowOf(entity: string): number {
    return this.#index.rowOf(entity);
  }

  isCorrupt(row: number): boolean {
    return this.#corrupt?.[row] === 1;
  }

  asOfMs(row: number): number {
    return this.#asOfMs[row] as number;
  }

  /** By the names of features; nulls are not there. */
  values(row: number): ReadonlyMap<string, RowValue> {
    const found = new Map<string, RowValue>();
    for (const [name, { type, values, nulls }] of this.#columns) {
      if (nulls?.[row] === 1 || values.length === 0) continue;
      const value = values[row] as number | bigint;
      if (type === 'text') found.set(name, (this.#texts.get(name) as Texts).at(value as number));
      else found.set(name, type === 'flag' ? value === 1 : value);
    }
    return found;
  }

  /** Of some rows; -1 is nobody's. */
  gather(rows: Int32Array, names: readonly string[]): FeatureRecords {
    const found = new Uint8Array(rows.length);
    const asOfMs = new Float64Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] as number;
      if (row < 0) continue;
      found[i] = 1;
      asOfMs[i] = this.#asOfMs[row] as number;
    }
    const allFound = !found.includes(0);
    return { found, asOfMs, columns: new Map(names.map((name) => [name, this.#column(name, rows, allFound)])) };
  }

  #column(name: string, rows: Int32Array, allFound: boolean): Column {
    const column = this.#columns.get(name) as HeldColumn;
    if (column.values.length === 0)
      return { values: noValues(column, rows.length), nulls: new Uint8Array(rows.length).fill(1) };
    const { values, nulls } = column;
    const texts = this.#texts.get(name);
    const gathered =
      texts === undefined ? gatherValues(values, rows) : texts.gather(values as Uint32Array, rows, nulls);
    if (allFound && nulls === undefined) return { values: gathered };
    const none = new Uint8Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] as number;
      none[i] = row < 0 ? 1 : (nulls?.[row] ?? 0);
    }
    return { values: gathered, nulls: none };
  }
}

function noValues({ type }: HeldColumn, rows: number): Column['values'] {
  return type === 'text' ? new Array<string>(rows).fill('') : new Float64Array(rows);
}

// Each loop knows the one type that it reads and writes: that is what makes it fast.

function gatherValues(values: HeldValues, rows: Int32Array): Column['values'] {
  if (values instanceof Float32Array) return gatherFloat32(values, rows);
  if (values instanceof Float64Array) return gatherFloat64(values, rows);
  if (values instanceof BigInt64Array) return gatherInt64(values, rows);
  return gatherBits(values as Uint8Array, rows);
}

function gatherFloat32(values: Float32Array, rows: Int32Array): Float32Array {
  const gathered = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i++)
    gathered[i] = (rows[i] as number) < 0 ? 0 : (values[rows[i] as number] as number);
  return gathered;
}

function gatherFloat64(values: Float64Array, rows: Int32Array): Float64Array {
  const gathered = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++)
    gathered[i] = (rows[i] as number) < 0 ? 0 : (values[rows[i] as number] as number);
  return gathered;
}

/** By halves, which makes no bigints. */
function gatherInt64(values: BigInt64Array, rows: Int32Array): BigInt64Array {
  const gathered = new BigInt64Array(rows.length);
  const from = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  const to = new Int32Array(gathered.buffer);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    if (row < 0) continue;
    to[2 * i] = from[2 * row] as number;
    to[2 * i + 1] = from[2 * row + 1] as number;
  }
  return gathered;
}

function gatherBits(values: Uint8Array, rows: Int32Array): Uint8Array {
  const gathered = new Uint8Array(rows.length);
  for (let i = 0; i < rows.length; i++)
    gathered[i] = (rows[i] as number) < 0 ? 0 : (values[rows[i] as number] as number);
  return gathered;
}

class Texts {
  readonly #texts: Uint8Array<ArrayBuffer>;
  readonly #ends: Uint32Array<ArrayBuffer>;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #strings: string[] | undefined;

  constructor({ texts, ends }: NonNullable<HeldColumn['dictionary']>) {
    this.#texts = texts;
    this.#ends = ends;
    this.#strings = ends.length > MAX_STRINGS ? undefined : new Array<string>(ends.length);
  }

  at(code: number): string {
    const known = this.#strings?.[code];
    if (known !== undefined) return known;
    const from = code === 0 ? 0 : (this.#ends[code - 1] as number);
    const text = this.#decoder.decode(this.#texts.subarray(from, this.#ends[code]));
    if (this.#strings !== undefined) this.#strings[code] = text;
    return text;
  }

  gather(codes: Uint32Array, rows: Int32Array, nulls: Uint8Array | undefined): string[] {
    return Array.from(rows, (row) => (row < 0 || nulls?.[row] === 1 ? '' : this.at(codes[row] as number)));
  }
}

/** All buffers of a table, to be handed to another thread. */
export function buffersOf({ index, columns, asOfMs, corrupt }: TableParts): ArrayBuffer[] {
  const arrays = [index.slots, index.keys, index.ends, asOfMs, corrupt];
  for (const { values, nulls, dictionary } of columns)
    arrays.push(values as Uint8Array<ArrayBuffer>, nulls, dictionary?.texts, dictionary?.ends);
  return arrays.flatMap((array) => (array === undefined ? [] : [array.buffer]));
}
