// A column that a caller brought with gaps, and what goes into these.
import type { Feature } from '../models/model.ts';
import type { RowValue } from './row.ts';
import type { Column, ColumnPart, ColumnValues } from './row-source.ts';

/**
 * The brought values, and the added ones (one for all rows, or one a row) where nothing was brought.
 * Undefined where they are of kinds that don't go together in one column.
 */
export function mergeColumn(
  feature: Feature,
  brought: ColumnPart,
  added: Column | RowValue,
  rows: number,
): Column | undefined {
  const values = emptyFor(feature, brought.values, added, rows) as RowValue[] | undefined;
  if (values === undefined) return undefined;
  const nulls = new Uint8Array(rows);
  const constant = typeof added === 'number' && values instanceof BigInt64Array ? BigInt(added) : added;
  for (let row = 0; row < rows; row++) {
    if ((brought.nulls as Uint8Array)[brought.start + row] === 0) {
      const value = brought.values[brought.start + row] as RowValue;
      values[row] = values instanceof BigInt64Array ? BigInt(value) : value;
    } else if (typeof constant !== 'object') {
      values[row] = constant;
    } else {
      values[row] = constant.values[row] as RowValue;
      nulls[row] = constant.nulls?.[row] ?? 0;
    }
  }
  return { values: values as unknown as ColumnValues, nulls };
}

function emptyFor(
  feature: Feature,
  brought: ColumnValues,
  added: Column | RowValue,
  rows: number,
): ColumnValues | undefined {
  const kind = kindOf(typeof added === 'object' ? added.values : [added as string]);
  // One for all rows is a whole number.
  const whole = kind === 'integer' || typeof added === 'number';
  switch (kindOf(brought)) {
    case 'number':
      return kind === 'number' ? new Float64Array(rows) : undefined;
    case 'small integer':
      // A row has integers of these, which is the same for a number.
      if (kind === 'number' && feature.type === 'number') return new Float64Array(rows);
      return whole ? new BigInt64Array(rows) : undefined;
    case 'integer':
      return whole ? new BigInt64Array(rows) : undefined;
    case 'text':
      return kind === 'text' ? new Array<string>(rows) : undefined;
    case 'flag':
      return kind === 'flag' ? new Array<boolean>(rows) : undefined;
    case 'bit':
      return kind === 'flag' || kind === 'bit' ? new Uint8Array(rows) : undefined;
  }
}

type Kind = 'number' | 'small integer' | 'integer' | 'text' | 'flag' | 'bit';

function kindOf(values: ColumnValues): Kind {
  if (values instanceof Float64Array || values instanceof Float32Array) return 'number';
  if (values instanceof Int32Array) return 'small integer';
  if (values instanceof BigInt64Array) return 'integer';
  if (values instanceof Uint8Array) return 'bit';
  const [first] = values as readonly RowValue[];
  return typeof first === 'number'
    ? 'number'
    : typeof first === 'bigint'
      ? 'integer'
      : typeof first === 'boolean'
        ? 'flag'
        : 'text';
}
