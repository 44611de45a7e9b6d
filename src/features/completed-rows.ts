// Rows to which something was added that their caller didn't bring.
import type { Feature } from '../models/model.ts';
import type { Row, RowValue } from './row.ts';
import type { ColumnRows, Given, RowSource, SourceProblem } from './row-source.ts';

/** Rows [from, from + count) of other rows. */
export class RowSlice implements RowSource {
  readonly count: number;
  readonly #rows: RowSource;
  readonly #from: number;

  constructor(rows: RowSource, from: number, to: number) {
    this.#rows = rows;
    this.#from = from;
    this.count = to - from;
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
    return this.#rows.row(this.#from + index, features);
  }

  matrix(from: number, to: number, spare?: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> | undefined {
    return this.#rows.matrix(this.#from + from, this.#from + to, spare);
  }

  given(name: string, from: number, to: number): Given | undefined {
    return this.#rows.given(name, this.#from + from, this.#from + to);
  }
}

/** Columns that a caller brought, and columns that stand in their place or beside them. */
export class CompletedRows implements RowSource {
  readonly form = 'named';
  readonly count: number;
  readonly width: number;
  readonly #brought: RowSlice;
  readonly #added: ColumnRows;

  /** @param beside how many of the added names the caller brought nothing by */
  constructor(brought: RowSlice, added: ColumnRows, beside: number) {
    this.count = brought.count;
    this.width = brought.width + beside;
    this.#brought = brought;
    this.#added = added;
  }

  problem(): undefined {
    return undefined;
  }

  row(index: number, features: readonly Feature[]): Row {
    const values = new Map(this.#brought.row(index, features).values as ReadonlyMap<string, RowValue | undefined>);
    for (const [name, value] of this.#added.row(index, features).values) values.set(name, value);
    return { form: 'named', values };
  }

  matrix(): undefined {
    return undefined;
  }

  given(name: string, from: number, to: number): Given | undefined {
    return this.#added.given(name, from, to) ?? this.#brought.given(name, from, to);
  }
}

/** Rows by name, one by one: where columns can't say what is in them. */
export class ListedRows implements RowSource {
  readonly form = 'named';
  readonly count: number;
  /** More than any model has features, so that every row is looked at by itself. */
  readonly width = Number.POSITIVE_INFINITY;
  readonly #rows: readonly Row[];

  constructor(rows: readonly Row[]) {
    this.#rows = rows;
    this.count = rows.length;
  }

  problem(): undefined {
    return undefined;
  }

  row(index: number): Row {
    return this.#rows[index] as Row;
  }

  matrix(): undefined {
    return undefined;
  }

  given(): undefined {
    return undefined;
  }
}
