// ScoreBatchRequest, read without an object for each number: a matrix stays the bytes that came, columns become typed arrays.
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { invalidField } from '../errors.ts';
import type { RowValue } from '../features/row.ts';
import { type Column, ColumnRows, type ColumnValues, MatrixRows, type RowSource } from '../features/row-source.ts';
import { shownName } from '../features/shown-name.ts';
import { ScoreBatchRequest, Column as WireColumn } from '../gen/scorewire/v1/scoring.ts';

/** The request without its rows, and the rows; undefined where there are none. */
export type BatchRequest = {
  request: ScoreBatchRequest;
  entities: number;
  rows: RowSource | undefined;
};

// Tags: field number times 8, and the wire type.
const ENTITY_IDS = 26;
const MATRIX = 34;
const COLUMNS = 42;
const MATRIX_COLUMNS = 8;
const MATRIX_VALUES_PACKED = 18;
const MATRIX_VALUE = 21;
const MAP_ENTRY = 10;
const ENTRY_KEY = 10;
const ENTRY_VALUE = 18;
const NUMBERS_PACKED = 10;

/**
 * Reads a well-formed message, of which it keeps parts.
 * @throws ScorewireError INVALID_ARGUMENT for rows that don't fit together
 */
export function readBatchRequest(message: Uint8Array): BatchRequest {
  const reader = new BinaryReader(message);
  const rest: Uint8Array[] = [];
  let matrix: Uint8Array[] = [];
  let columns: Uint8Array[] = [];
  let entities = 0;
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    // Of matrix and columns the last one counts, as in every oneof; the parts of one are one.
    if (tag === MATRIX) {
      matrix.push(reader.bytes());
      columns = [];
    } else if (tag === COLUMNS) {
      columns.push(reader.bytes());
      matrix = [];
    } else if (tag === ENTITY_IDS) {
      // With rows the ids are the caller's own business, and there may be a million of them.
      reader.bytes();
      entities++;
    } else {
      reader.skip(tag & 7, tag >>> 3);
      rest.push(message.subarray(start, reader.pos));
    }
  }
  const request = ScoreBatchRequest.decode(Buffer.concat(rest));
  const rows =
    matrix.length > 0
      ? readMatrix(joined(matrix), request)
      : columns.length > 0
        ? readColumns(joined(columns), request)
        : undefined;
  if (rows !== undefined && entities > 0 && entities !== rows.count) {
    throw invalidField('entity_ids', `expected one a row, ${rows.count}, or none; found ${entities}`);
  }
  return { request, entities, rows };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}

function readMatrix(bytes: Uint8Array, { shared }: ScoreBatchRequest): RowSource {
  if (shared.size > 0) {
    throw invalidField('shared', `expected none beside matrix, which has every feature; found ${shared.size}`);
  }
  const reader = new BinaryReader(bytes);
  const parts: Uint8Array[] = [];
  let columns = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === MATRIX_COLUMNS) {
      columns = reader.uint32();
    } else if (tag === MATRIX_VALUES_PACKED) {
      parts.push(reader.bytes());
    } else if (tag === MATRIX_VALUE) {
      parts.push(bytes.subarray(reader.pos, reader.pos + 4));
      reader.skip(tag & 7, tag >>> 3);
    } else {
      reader.skip(tag & 7, tag >>> 3);
    }
  }
  const values = joined(parts);
  const count = values.length / 4;
  if (columns === 0 && count > 0) throw invalidField('matrix.columns', 'expected the number of columns, found 0');
  if (count > 0 && count % columns !== 0) {
    throw invalidField('matrix.values', `expected a whole number of rows of ${columns} values, found ${count} values`);
  }
  return new MatrixRows(values, columns);
}

function readColumns(bytes: Uint8Array, { shared }: ScoreBatchRequest): RowSource {
  const reader = new BinaryReader(bytes);
  const columns = new Map<string, Column>();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === MAP_ENTRY) readEntry(reader.bytes(), columns);
    else reader.skip(tag & 7, tag >>> 3);
  }
  const constants = new Map<string, RowValue | undefined>();
  for (const [name, { kind }] of shared) {
    if (columns.has(name))
      throw invalidField(`shared[${shownName(name)}]`, 'expected no name that is a column as well');
    constants.set(name, kind?.value);
  }
  let count: number | undefined;
  let first = '';
  for (const [name, { values }] of columns) {
    if (count === undefined) {
      count = values.length;
      first = name;
    } else if (values.length !== count) {
      const expected = `expected ${count} values, as in ${shownName(first)}, found ${values.length}`;
      throw invalidField(`columns.columns[${shownName(name)}]`, expected);
    }
  }
  return new ColumnRows(count ?? 0, columns, constants);
}

function readEntry(bytes: Uint8Array, columns: Map<string, Column>): void {
  const reader = new BinaryReader(bytes);
  let name = '';
  const parts: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === ENTRY_KEY) name = reader.string();
    else if (tag === ENTRY_VALUE) parts.push(reader.bytes());
    else reader.skip(tag & 7, tag >>> 3);
  }
  columns.set(name, { values: readColumn(name, joined(parts)) });
}

function readColumn(name: string, bytes: Uint8Array): ColumnValues {
  return numbersOnly(bytes) ?? readAny(name, WireColumn.decode(bytes));
}

/** A column that is one packed list of numbers, as large ones mostly are; undefined for any other. */
function numbersOnly(bytes: Uint8Array): Float64Array | undefined {
  const reader = new BinaryReader(bytes);
  if (reader.len === 0 || reader.uint32() !== NUMBERS_PACKED) return undefined;
  const packed = reader.bytes();
  if (reader.pos < reader.len) return undefined;
  const values = new Float64Array(packed.length / 8);
  new Uint8Array(values.buffer).set(packed);
  return values;
}

function readAny(name: string, { numbers, integers, texts, flags }: WireColumn): ColumnValues {
  const used = [numbers, integers, texts, flags].filter(({ length }) => length > 0);
  if (used.length > 1) {
    throw invalidField(
      `columns.columns[${shownName(name)}]`,
      'expected one of numbers, integers, texts, flags, found more',
    );
  }
  if (integers.length > 0) return BigInt64Array.from(integers);
  if (texts.length > 0) return texts;
  return flags.length > 0 ? flags : Float64Array.from(numbers);
}
