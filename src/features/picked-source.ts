// Some of the rows of a source, as a source of their own.
import type { Feature } from '../models/model.ts';
import type { Row } from './row.ts';
import type { ColumnPart, ColumnValues, Given, RowSource, SourceProblem } from './row-source.ts';

export class PickedSource implements RowSource {
  readonly #rows: RowSource;
  /** Rows of the other source, rising. */
  readonly #picked: Int32Array;

  constructor(rows: RowSource, picked: Int32Array) {
    this.#rows = rows;
    this.#picked = picked;
  }

  get count(): number {
    return this.#picked.length;
  }

  get form(): Row['form'] {
    return this.#rows.form;
  }

  get width(): number {
    return this.#rows.width;
  }

  problem(model: string, features: readonly Feature[]): SourceProblem | undefined {
    return this.#rows.problem(model, features);
  }

  row(index: number, features: readonly Feature[]): Row {
    return this.#rows.row(this.#picked[index] as number, features);
  }

  matrix(from: number, to: number): Float32Array<ArrayBuffer> | undefined {
    if (this.form !== 'dense') return undefined;
    const values = new Float32Array((to - from) * this.width);
    for (let index = from; index < to; index++) {
      const row = this.#picked[index] as number;
      values.set(this.#rows.matrix(row, row + 1) as Float32Array, (index - from) * this.width);
    }
    return values;
  }

  given(name: string, from: number, to: number): Given | undefined {
    if (from === to) return undefined;
    const picked = this.#picked.subarray(from, to);
    const first = picked[0] as number;
    const given = this.#rows.given(name, first, (picked.at(-1) as number) + 1);
    if (given === undefined || 'constant' in given) return given;
    return { part: gathered(given.part, picked, first) };
  }
}

/** The values of rows `picked`, of a part that begins with row `first`. */
function gathered({ values, nulls, start }: ColumnPart, picked: Int32Array, first: number): ColumnPart {
  const places = picked.map((row) => start + row - first);
  const list = Array.isArray(values)
    ? Array.from(places, (place) => (values as readonly string[])[place] as string)
    : typedOf(values as Exclude<ColumnValues, readonly unknown[]>, places);
  if (nulls === undefined) return { values: list, start: 0 };
  return { values: list, nulls: Uint8Array.from(places, (place) => nulls[place] as number), start: 0 };
}

function typedOf(values: Exclude<ColumnValues, readonly unknown[]>, places: Int32Array): ColumnValues {
  const picked = values.slice(0, 0).constructor as new (length: number) => { [place: number]: number | bigint };
  const result = new picked(places.length);
  for (let index = 0; index < places.length; index++) {
    result[index] = values[places[index] as number] as number | bigint;
  }
  return result as unknown as ColumnValues;
}
