import { checkNumbers, isDense, wrongValue } from './row-message.ts';
import type { Column, Columns, InputRow, Matrix, NamedRow, Value } from './types.ts';

/** What can be one matrix, or the same columns, says the same. @throws TypeError for a row that is none */
export function shapeOf(row: InputRow, index: number): string {
  if (isDense(row)) {
    checkNumbers(row, `rows[${index}]`);
    return `${row.length}`;
  }
  if (typeof row !== 'object' || row === null) throw wrongValue(`rows[${index}]`, 'an array or an object', row);
  let shape = '{';
  for (const [name, value] of Object.entries(row)) {
    if (value === undefined) continue;
    if (!VALUE_TYPES.has(typeof value)) {
      const where = `rows[${index}][${JSON.stringify(name)}]`;
      throw wrongValue(where, 'a number, bigint, string or boolean', value);
    }
    shape += `${name.length}:${name}${typeof value},`;
  }
  return shape;
}

const VALUE_TYPES = new Set(['number', 'bigint', 'string', 'boolean']);

/** Rows of one shape as one matrix or as columns. @throws TypeError where their shapes differ */
export function gatherRows(rows: readonly InputRow[]): { matrix: Matrix } | { columns: Columns } {
  const [first] = rows;
  // No rows have no columns either, which the server takes for a matrix.
  if (first === undefined) return { matrix: { columns: 0, values: [] } };
  const shape = shapeOf(first, 0);
  rows.forEach((row, index) => {
    if (shapeOf(row, index) !== shape) {
      throw new TypeError(`rows[${index}]: expected names and types as in rows[0]; scoreRows takes rows that differ`);
    }
  });
  return gatherAlike(rows);
}

/** As `gatherRows`, of rows whose shapes are known to be the same, and of which there is one. */
export function gatherAlike(rows: readonly InputRow[]): { matrix: Matrix } | { columns: Columns } {
  const [first] = rows as [InputRow];
  if (!isDense(first)) return { columns: toColumns(namesOf(first), rows as readonly NamedRow[]) };
  const columns = first.length;
  const values = new Float32Array(rows.length * columns);
  rows.forEach((row, index) => {
    values.set(row as readonly number[], index * columns);
  });
  return { matrix: { columns, values } };
}

function namesOf(row: NamedRow): string[] {
  return Object.keys(row).filter((name) => row[name] !== undefined);
}

function toColumns(names: readonly string[], rows: readonly NamedRow[]): Columns {
  return Object.fromEntries(
    names.map((name) => [name, rows.map((row) => row[name] as Value) as readonly Value[] as Column]),
  );
}
