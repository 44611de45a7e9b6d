// Rows and values as the wire has them.
import type { Row as RowMessage, Value as ValueMessage } from '../gen/scorewire/v1/scoring.ts';
import type { DenseRow, InputRow, NamedRow, Value } from './types.ts';

export function isDense(row: InputRow): row is DenseRow {
  return Array.isArray(row) || ArrayBuffer.isView(row);
}

/** @throws TypeError for a value that is none */
export function toRowMessage(row: InputRow): RowMessage {
  if (!isDense(row)) return { form: { $case: 'named', value: { values: toValues(row, 'row') } } };
  checkNumbers(row, 'row');
  // What the encoder does is to go through them, which goes for a typed array as well.
  return { form: { $case: 'dense', value: { values: row as number[] } } };
}

/** JavaScript would take null for 0 and undefined for NaN. `where` is what an error calls them. @throws TypeError */
export function checkNumbers(values: DenseRow, where: string): void {
  if (ArrayBuffer.isView(values)) return;
  for (let at = 0; at < values.length; at++) {
    if (typeof values[at] !== 'number') throw wrongValue(`${where}[${at}]`, 'a number', values[at]);
  }
}

/** `where` is what an error calls the row. @throws TypeError for a value that is none */
export function toValues(row: NamedRow, where: string): Map<string, ValueMessage> {
  const values = new Map<string, ValueMessage>();
  for (const [name, value] of Object.entries(row)) {
    if (value !== undefined) values.set(name, toValue(value, name, where));
  }
  return values;
}

function toValue(value: Value, name: string, where: string): ValueMessage {
  switch (typeof value) {
    case 'number':
      return { kind: { $case: 'number', value } };
    case 'bigint':
      return { kind: { $case: 'integer', value } };
    case 'string':
      return { kind: { $case: 'text', value } };
    case 'boolean':
      return { kind: { $case: 'flag', value } };
    default:
      throw wrongValue(`${where}[${JSON.stringify(name)}]`, 'a number, bigint, string or boolean', value);
  }
}

/** NaN is a value and null is none: what the caller meant is his to say. */
export function wrongValue(where: string, expected: string, found: unknown): TypeError {
  return new TypeError(`${where}: expected ${expected}, found ${found === null ? 'null' : typeof found}`);
}
