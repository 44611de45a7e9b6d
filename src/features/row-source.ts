// Many rows at once, as a caller gives them: a matrix, or named columns.
import type { Feature } from '../models/model.ts';
import type { Row, RowValue } from './row.ts';
import { shownName } from './shown-name.ts';

/** Something that is wrong with all rows of a source. */
export type SourceProblem = { field: string; description: string };

export interface RowSource {
  readonly count: number;
  readonly form: Row['form'];
  /** What is wrong with every row, as far as that shows in the form; undefined where nothing is. */
  problem(model: string, features: readonly Feature[]): SourceProblem | undefined;
  /** One row, as a caller would give it alone. */
  row(index: number): Row;
  /**
   * Rows [from, to) as float32 numbers, row-major, in the order of `features`; undefined where a value is no number. What is
   * not finite among them is for `row` to judge.
   */
  floats(features: readonly Feature[], from: number, to: number): Float32Array<ArrayBuffer> | undefined;
}

/** Every feature of every row, row-major, as little-endian float32. */
export class MatrixRows implements RowSource {
  readonly form = 'dense';
  readonly count: number;
  readonly columns: number;
  readonly #bytes: Uint8Array;

  /** `bytes`: a whole number of rows of `columns` numbers. */
  constructor(bytes: Uint8Array, columns: number) {
    this.#bytes = bytes;
    this.columns = columns;
    this.count = columns === 0 ? 0 : bytes.length / 4 / columns;
  }

  problem(_model: string, features: readonly Feature[]): SourceProblem | undefined {
    if (features.length === this.columns) return undefined;
    return { field: 'matrix.columns', description: `expected ${features.length} columns, found ${this.columns}` };
  }

  row(index: number): Row {
    return { form: 'dense', values: this.#read(index, index + 1) };
  }

  floats(features: readonly Feature[], from: number, to: number): Float32Array<ArrayBuffer> | undefined {
    return features.length === this.columns ? this.#read(from, to) : undefined;
  }

  #read(from: number, to: number): Float32Array<ArrayBuffer> {
    const values = new Float32Array((to - from) * this.columns);
    const width = 4 * this.columns;
    // A copy, since they need not lie where float32 may lie.
    new Uint8Array(values.buffer).set(this.#bytes.subarray(from * width, to * width));
    return values;
  }
}

/** The values of one column, one a row. */
export type ColumnValues = Float64Array | BigInt64Array | readonly string[] | readonly boolean[];

/** Columns by name, and values that hold for every row. */
export class ColumnRows implements RowSource {
  readonly form = 'named';
  readonly count: number;
  readonly #columns: ReadonlyMap<string, ColumnValues>;
  readonly #shared: ReadonlyMap<string, RowValue | undefined>;

  /** All columns have `count` values; no name is both in `columns` and in `shared`. */
  constructor(
    count: number,
    columns: ReadonlyMap<string, ColumnValues>,
    shared: ReadonlyMap<string, RowValue | undefined>,
  ) {
    this.count = count;
    this.#columns = columns;
    this.#shared = shared;
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
    const missing = features.find(
      ({ name, default: value }) => value === undefined && !this.#columns.has(name) && !this.#shared.has(name),
    );
    if (missing === undefined) return undefined;
    return { field: 'columns', description: `expected a column ${JSON.stringify(missing.name)}, found none` };
  }

  row(index: number): Row {
    const values = new Map<string, RowValue | undefined>(this.#shared);
    for (const [name, column] of this.#columns) values.set(name, column[index]);
    return { form: 'named', values };
  }

  floats(features: readonly Feature[], from: number, to: number): Float32Array<ArrayBuffer> | undefined {
    // A name that is no feature is a fault of every row, and said row by row.
    if (this.#columns.size + this.#shared.size > features.length) return undefined;
    const width = features.length;
    const values = new Float32Array((to - from) * width);
    let found = 0;
    for (const [place, feature] of features.entries()) {
      const column = this.#columns.get(feature.name);
      if (column instanceof Float64Array) {
        for (let row = from; row < to; row++) values[(row - from) * width + place] = column[row] as number;
        found++;
      } else if (column !== undefined) {
        return undefined;
      } else {
        const given = this.#shared.get(feature.name);
        if (this.#shared.has(feature.name)) found++;
        const value = given ?? feature.default;
        if (typeof value !== 'number') return undefined;
        for (let at = place; at < values.length; at += width) values[at] = value;
      }
    }
    return found === this.#columns.size + this.#shared.size ? values : undefined;
  }
}
