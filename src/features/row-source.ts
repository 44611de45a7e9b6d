// Many rows at once, as a caller gives them: a matrix, or named columns.
import type { Feature } from '../models/model.ts';
import type { Row, RowValue } from './row.ts';
import { shownName } from './shown-name.ts';

/** Something that is wrong with all rows of a source. */
export type SourceProblem = { field: string; description: string };

/** Values of one kind: numbers, integers, flags as 0 and 1, texts, flags. */
export type ColumnValues =
  | Float64Array
  | Float32Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | readonly string[]
  | readonly boolean[];

/**
 * One value a row. Where `nulls` has a 1 the row has none, whatever stands in `values`: it is NaN where the feature allows
 * that, else the feature's default.
 */
export type Column = { readonly values: ColumnValues; readonly nulls?: Uint8Array };

/** Values of some rows: places [start, start + rows) of a column. */
export type ColumnPart = Column & { readonly start: number };

/** A column whose values are read only where they are wanted, mostly from the first on. */
export interface ColumnReader {
  readonly length: number;
  read(from: number, to: number): ColumnPart;
}

/** What a source has by a feature's name: a value a row, or one for all; undefined there: named but not set. */
export type Given = { part: ColumnPart } | { constant: RowValue | undefined };

export interface RowSource {
  readonly count: number;
  readonly form: Row['form'];
  /** What is wrong with every row, as far as that shows in the form; undefined where nothing is. */
  problem(model: string, features: readonly Feature[]): SourceProblem | undefined;
  /** One row, as a caller would give it alone. */
  row(index: number, features: readonly Feature[]): Row;
  /** Of a matrix: its columns. Else the names that it has something by. */
  readonly width: number;
  /** Of a matrix: rows [from, to) as they came, in an array of its own, or in `spare` where that has their size. */
  matrix(from: number, to: number, spare?: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> | undefined;
  /** Of columns: what there is by this name for rows [from, to); undefined where there is nothing. */
  given(name: string, from: number, to: number): Given | undefined;
}

/** Every feature of every row, row-major, as little-endian float32. */
export class MatrixRows implements RowSource {
  readonly form = 'dense';
  readonly count: number;
  readonly width: number;
  readonly #bytes: Uint8Array;

  /** `bytes`: a whole number of rows of `width` numbers. */
  constructor(bytes: Uint8Array, width: number) {
    this.#bytes = bytes;
    this.width = width;
    this.count = width === 0 ? 0 : bytes.length / 4 / width;
  }

  problem(_model: string, features: readonly Feature[]): SourceProblem | undefined {
    if (features.length === this.width) return undefined;
    return { field: 'matrix.columns', description: `expected ${features.length} columns, found ${this.width}` };
  }

  row(index: number): Row {
    return { form: 'dense', values: this.matrix(index, index + 1) };
  }

  matrix(from: number, to: number, spare?: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
    const length = (to - from) * this.width;
    const values = spare?.length === length ? spare : new Float32Array(length);
    const rowBytes = 4 * this.width;
    // A copy, since they need not lie where float32 may lie.
    new Uint8Array(values.buffer).set(this.#bytes.subarray(from * rowBytes, to * rowBytes));
    return values;
  }

  given(): undefined {
    return undefined;
  }
}

/** Columns by name, and values that hold for every row. */
export class ColumnRows implements RowSource {
  readonly form = 'named';
  readonly count: number;
  readonly #columns: ReadonlyMap<string, Column | ColumnReader>;
  readonly #shared: ReadonlyMap<string, RowValue | undefined>;

  /** All columns have `count` values; no name is both in `columns` and in `shared`. */
  constructor(
    count: number,
    columns: ReadonlyMap<string, Column | ColumnReader>,
    shared: ReadonlyMap<string, RowValue | undefined> = new Map(),
  ) {
    this.count = count;
    this.#columns = columns;
    this.#shared = shared;
  }

  get width(): number {
    return this.#columns.size + this.#shared.size;
  }

  problem(model: string, features: readonly Feature[]): SourceProblem | undefined {
    const known = new Set(features.map(({ name }) => name));
    for (const [field, names] of [
      ['columns.columns', this.#columns.keys()],
      ['shared', this.#shared.keys()],
    ] as const) {
      for (const name of names) {
        if (known.has(name)) continue;
        return { field: `${field}[${shownName(name)}]`, description: `${model} has no such feature` };
      }
    }
    // What comes from elsewhere too is looked for there, row by row.
    const missing = features.find(
      ({ name, default: value, source }) =>
        value === undefined && source === undefined && !this.#columns.has(name) && !this.#shared.has(name),
    );
    if (missing === undefined) return undefined;
    return { field: 'columns', description: `expected a column ${JSON.stringify(missing.name)}, found none` };
  }

  row(index: number, features: readonly Feature[]): Extract<Row, { form: 'named' }> {
    const values = new Map<string, RowValue | undefined>(this.#shared);
    for (const [name, column] of this.#columns) {
      const { values: list, nulls, start } = partOf(column, index, index + 1);
      if (nulls === undefined || nulls[start] === 0) {
        values.set(name, valueAt(list, start));
      } else if (features.some((feature) => feature.allowNan && feature.name === name)) {
        values.set(name, Number.NaN);
      }
    }
    return { form: 'named', values };
  }

  matrix(): undefined {
    return undefined;
  }

  given(name: string, from: number, to: number): Given | undefined {
    const column = this.#columns.get(name);
    if (column !== undefined) return { part: partOf(column, from, to) };
    return this.#shared.has(name) ? { constant: this.#shared.get(name) } : undefined;
  }
}

function partOf(column: Column | ColumnReader, from: number, to: number): ColumnPart {
  return 'read' in column ? column.read(from, to) : { ...column, start: from };
}

/** As a row given by name has it. */
export function valueAt(column: ColumnValues, index: number): RowValue {
  const value = column[index] as RowValue;
  if (column instanceof Int32Array) return BigInt(value);
  return column instanceof Uint8Array ? value !== 0 : value;
}
