// A ScoreBatchRequest, made without an object for each number: typed arrays go as the bytes that they are. That is how protobuf
// has packed numbers on the little-endian machines that Node runs on.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Column as ColumnMessage, ScoreBatchRequest } from '../gen/scorewire/v1/scoring.ts';
import { gatherRows } from './gather-rows.ts';
import { checkNumbers, toValues, wrongValue } from './row-message.ts';
import { subjectMessage } from './score-message.ts';
import type { BatchRequest, Column, Columns, Matrix } from './types.ts';

// Field numbers times 8, and 2 for what has a length.
const MATRIX = 0x22;
const COLUMNS = 0x2a;
const MATRIX_COLUMNS = 0x08;
const MATRIX_VALUES = 0x12;
const MAP_ENTRY = 0x0a;
const MAP_KEY = 0x0a;
const MAP_VALUE = 0x12;
const COLUMN_NUMBERS = 0x0a;
const COLUMN_INTEGERS = 0x12;

/** @throws TypeError for rows that are none, or where not exactly one of matrix, columns and rows is there */
export function encodeBatch(request: BatchRequest): Buffer {
  const { matrix, columns, rows, shared, entityIds, chunkRows, inOrder, minScore, topK } = request;
  const given = [matrix, columns, rows].filter((one) => one !== undefined);
  const alone = given.length === 0 && entityIds !== undefined;
  if (given.length !== 1 && !alone) {
    throw new TypeError(`expected one of matrix, columns and rows, or entityIds alone, found ${given.length}`);
  }
  const head = ScoreBatchRequest.encode({
    ...subjectMessage(request),
    entityIds: [...(entityIds ?? [])],
    shared: toValues(shared ?? {}, 'shared'),
    chunkRows: chunkRows ?? 0,
    inOrder: inOrder ?? false,
    minScore,
    topK: topK ?? 0,
  }).finish();
  if (alone) return Buffer.from(head);
  return Buffer.concat([head, ...encodeRows(rows === undefined ? { matrix, columns } : gatherRows(rows))]);
}

/** Exactly one of them is there. */
export type RowsMessage = { matrix?: Matrix | undefined; columns?: Columns | undefined };

function encodeRows({ matrix, columns }: RowsMessage): Uint8Array[] {
  return matrix === undefined ? encodeColumns(columns ?? {}) : encodeMatrix(matrix);
}

function encodeMatrix({ columns, values }: Matrix): Uint8Array[] {
  checkNumbers(values, 'matrix.values');
  const width = new BinaryWriter().uint32(MATRIX_COLUMNS).uint32(columns).finish();
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  return field(MATRIX, [width, ...field(MATRIX_VALUES, [bytesOf(floats)])]);
}

function encodeColumns(columns: Columns): Uint8Array[] {
  const entries = Object.entries(columns).flatMap(([name, column]) => {
    const key = new BinaryWriter().uint32(MAP_KEY).string(name).finish();
    return field(MAP_ENTRY, [key, ...field(MAP_VALUE, encodeColumn(name, column))]);
  });
  return field(COLUMNS, entries);
}

function encodeColumn(name: string, column: Column): Uint8Array[] {
  if (column instanceof Float64Array) return field(COLUMN_NUMBERS, [bytesOf(column)]);
  if (column instanceof BigInt64Array) return [integers(column)];
  if (ArrayBuffer.isView(column)) return field(COLUMN_NUMBERS, [bytesOf(Float64Array.from(column))]);
  const kind = typeof (column[0] ?? 0);
  column.forEach((value: unknown, row) => {
    const found = typeof value;
    if (found !== kind) throw wrongValue(`columns[${JSON.stringify(name)}][${row}]`, `a ${kind}`, value);
  });
  switch (kind) {
    case 'number':
      return field(COLUMN_NUMBERS, [bytesOf(Float64Array.from(column as readonly number[]))]);
    case 'bigint':
      return [integers(column as readonly bigint[])];
    case 'string':
      return [ColumnMessage.encode({ ...NO_VALUES, texts: column as string[] }).finish()];
    case 'boolean':
      return [ColumnMessage.encode({ ...NO_VALUES, flags: column as boolean[] }).finish()];
    default:
      throw wrongValue(`columns[${JSON.stringify(name)}][0]`, 'a number, bigint, string or boolean', column[0]);
  }
}

const NO_VALUES = { numbers: [], integers: [], texts: [], flags: [] };

function integers(values: Iterable<bigint>): Uint8Array {
  const writer = new BinaryWriter().uint32(COLUMN_INTEGERS).fork();
  for (const value of values) writer.int64(value);
  return writer.join().finish();
}

/** A field that has a length, made of parts. */
function field(tag: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return [new BinaryWriter().uint32(tag).uint32(bytes).finish(), ...parts];
}

function bytesOf(values: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
