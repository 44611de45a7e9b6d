// ScoreBatchRequest, read in slices and without an object for each number: the rows stay the bytes that came, and are walked over
// once, to see that they are well-formed and where things are.
import { invalidField, ScorewireError } from '../errors.ts';
import type { RowValue } from '../features/row.ts';
import { type ColumnReader, ColumnRows, MatrixRows, type RowSource } from '../features/row-source.ts';
import { shownName } from '../features/shown-name.ts';
import { ScoreBatchRequest } from '../gen/scorewire/v1/scoring.ts';
import type { Sliced } from './slices.ts';
import { wellFormedMessage } from './well-formed.ts';
import { LENGTH_DELIMITED, refuse, WireCursor } from './wire-cursor.ts';
import {
  DoublesReader,
  FlagsReader,
  gathered,
  IntegersReader,
  joined,
  TextsReader,
  type VarintTags,
  WireList,
} from './wire-lists.ts';

/** The request without its rows, and the rows; undefined where there are none. */
export type BatchRequest = {
  request: ScoreBatchRequest;
  entities: ColumnReader | undefined;
  rows: RowSource | undefined;
};

// Tags: field number times 8, and the wire type.
const ENTITY_IDS = 26;
const MATRIX = 34;
const COLUMNS = 42;
const MATRIX_COLUMNS = 8;
const MATRIX_VALUES = { packed: 18, single: 21, bytes: 4 };
const MAP_ENTRY = 10;
const ENTRY_KEY = 10;
const ENTRY_VALUE = 18;
const NUMBERS = { packed: 10, single: 9, bytes: 8 };
const INTEGERS: VarintTags = { packed: 18, single: 16 };
const TEXTS = 26;
const FLAGS: VarintTags = { packed: 34, single: 32 };

/** Fields beside values and ids: more than the widest model needs, and few enough to be passed over again in a moment. */
const MAX_FIELDS = 100_000;
/** Bytes of what is not rows and ids, which is read at once. */
const MAX_REST_BYTES = 256 * 1024;
/** Fields between two yields. */
const STEP_FIELDS = 128;

type Parts = (readonly [from: number, to: number])[];

const TOO_MANY_FIELDS = new ScorewireError(
  'invalid_argument',
  'TOO_MANY_FIELDS',
  `expected at most ${MAX_FIELDS} fields beside the values of rows and the ids, found more`,
);

const checkRest = wellFormedMessage('scorewire.v1.ScoreBatchRequest');

/**
 * Reads a message, of which it keeps parts.
 * @throws NotWellFormed; ScorewireError INVALID_ARGUMENT for rows that don't fit together
 */
export function readBatchRequest(message: Uint8Array): Sliced<BatchRequest> {
  return new BatchReader(message).read();
}

class BatchReader {
  readonly #message: Uint8Array;
  #fields = 0;
  #skippedBytes = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  *read(): Sliced<BatchRequest> {
    const message = this.#message;
    const { length: end } = message;
    const cursor = new WireCursor(message);
    const rest: Uint8Array[] = [];
    const ids = new WireList();
    let matrix: Parts = [];
    let columns: Map<string, Column> | undefined;
    while (cursor.at < end) {
      const start = cursor.at;
      const tag = cursor.tag(end);
      if (tag === ENTITY_IDS) {
        ids.begin(start, 0);
        this.#text(cursor, end);
        if (ids.count % STEP_FIELDS === 0) yield;
        continue;
      }
      if (this.#count()) yield;
      // Of matrix and columns the last one counts, as in every oneof; the parts of one are one.
      if (tag === MATRIX) {
        const stop = cursor.length(end);
        matrix.push([cursor.at, stop]);
        columns = undefined;
        yield* this.#walkMatrix(message, cursor.at, stop);
        cursor.at = stop;
      } else if (tag === COLUMNS) {
        const stop = cursor.length(end);
        matrix = [];
        columns ??= new Map();
        yield* this.#walkColumns(cursor, stop, columns);
      } else {
        this.#skip(cursor, tag, end);
        rest.push(message.subarray(start, cursor.at));
      }
    }
    const request = readRest(rest);
    const rows =
      matrix.length > 0
        ? yield* this.#matrixRows(yield* joined(message, matrix), request)
        : columns === undefined
          ? undefined
          : columnRows(columns, request);
    const entities = ids.count === 0 ? undefined : new TextsReader(message, end, ids, ENTITY_IDS);
    // What holds for all rows is of the caller, so that entities with it are rows.
    if (rows === undefined && entities !== undefined && request.shared.size > 0) {
      return { request, entities, rows: columnRows(new Map(), request, entities.length) };
    }
    if (rows !== undefined && entities !== undefined && entities.length !== rows.count) {
      throw invalidField('entity_ids', `expected one a row, ${rows.count}, or none; found ${entities.length}`);
    }
    return { request, entities, rows };
  }

  /** Whether it is time to yield. */
  #count(): boolean {
    if (++this.#fields > MAX_FIELDS) throw TOO_MANY_FIELDS;
    return this.#fields % STEP_FIELDS === 0;
  }

  /** A text's length and bytes. */
  #text(cursor: WireCursor, end: number): void {
    const stop = cursor.length(end);
    cursor.text(stop);
    cursor.at = stop;
  }

  /** The value of a field that is not ours to read. There are no groups in proto/: a large one would only take time. */
  #skip(cursor: WireCursor, tag: number, end: number): void {
    if ((tag & 7) === LENGTH_DELIMITED) {
      cursor.at = cursor.length(end);
      return;
    }
    const start = cursor.at;
    cursor.skip(tag, Math.min(end, start + MAX_REST_BYTES), 0);
    this.#skippedBytes += cursor.at - start;
    if (this.#skippedBytes > MAX_REST_BYTES) throw TOO_MANY_FIELDS;
  }

  *#walkMatrix(bytes: Uint8Array, from: number, end: number): Sliced<{ columns: number; values: Fixed }> {
    const cursor = new WireCursor(bytes, from);
    const values = new Fixed(MATRIX_VALUES.bytes);
    let columns = 0;
    while (cursor.at < end) {
      const tag = cursor.tag(end);
      if (tag === MATRIX_VALUES.single) {
        cursor.fixed(4, end);
        if (values.add(cursor.at - 4, cursor.at)) yield;
        continue;
      }
      if (this.#count()) yield;
      if (tag === MATRIX_VALUES.packed) {
        const stop = cursor.length(end);
        values.add(cursor.at, stop);
        cursor.at = stop;
      } else if (tag === MATRIX_COLUMNS) {
        columns = readUint32(cursor, end);
      } else {
        this.#skip(cursor, tag, end);
      }
    }
    return { columns, values };
  }

  *#matrixRows(bytes: Uint8Array, { shared }: ScoreBatchRequest): Sliced<RowSource> {
    if (shared.size > 0) {
      throw invalidField('shared', `expected none beside matrix, which has every feature; found ${shared.size}`);
    }
    const { columns, values } = yield* this.#walkMatrix(bytes, 0, bytes.length);
    const { count } = values;
    if (columns === 0 && count > 0) throw invalidField('matrix.columns', 'expected the number of columns, found 0');
    if (count > 0 && count % columns !== 0) {
      throw invalidField(
        'matrix.values',
        `expected a whole number of rows of ${columns} values, found ${count} values`,
      );
    }
    const packed = values.together
      ? bytes.subarray(values.from, values.to)
      : yield* gathered(bytes, MATRIX_VALUES, count);
    return new MatrixRows(packed, columns);
  }

  *#walkColumns(cursor: WireCursor, end: number, columns: Map<string, Column>): Sliced<void> {
    while (cursor.at < end) {
      const tag = cursor.tag(end);
      if (this.#count()) yield;
      if (tag === MAP_ENTRY) yield* this.#walkEntry(cursor, cursor.length(end), columns);
      else this.#skip(cursor, tag, end);
    }
  }

  *#walkEntry(cursor: WireCursor, end: number, columns: Map<string, Column>): Sliced<void> {
    const parts: Parts = [];
    let name = '';
    while (cursor.at < end) {
      const tag = cursor.tag(end);
      if (this.#count()) yield;
      if (tag === ENTRY_KEY) {
        const start = cursor.at;
        this.#text(cursor, end);
        const key = new WireCursor(cursor.bytes, start);
        key.length(end);
        name = textOf(cursor.bytes, key.at, cursor.at);
      } else if (tag === ENTRY_VALUE) {
        const stop = cursor.length(end);
        parts.push([cursor.at, stop]);
        cursor.at = stop;
      } else {
        this.#skip(cursor, tag, end);
      }
    }
    // Of several columns of one name the last one counts, as in every map; what is in the others must be well-formed all the same.
    columns.set(name, yield* this.#walkColumn(yield* joined(this.#message, parts)));
  }

  *#walkColumn(bytes: Uint8Array): Sliced<Column> {
    const { length: end } = bytes;
    const cursor = new WireCursor(bytes);
    const numbers = new Fixed(NUMBERS.bytes);
    const integers = new WireList();
    const texts = new WireList();
    const flags = new WireList();
    while (cursor.at < end) {
      const start = cursor.at;
      const tag = cursor.tag(end);
      if (tag === TEXTS) {
        texts.begin(start, 0);
        this.#text(cursor, end);
        if (texts.count % STEP_FIELDS === 0) yield;
      } else if (tag === NUMBERS.single) {
        cursor.fixed(8, end);
        if (numbers.add(cursor.at - 8, cursor.at)) yield;
      } else if (tag === INTEGERS.single || tag === FLAGS.single) {
        const list = tag === FLAGS.single ? flags : integers;
        list.begin(start, 0);
        cursor.varint(end);
        if (list.count % STEP_FIELDS === 0) yield;
      } else {
        if (this.#count()) yield;
        if (tag === NUMBERS.packed) {
          const stop = cursor.length(end);
          numbers.add(cursor.at, stop);
          cursor.at = stop;
        } else if (tag === INTEGERS.packed) {
          yield* integers.varints(cursor, cursor.length(end));
        } else if (tag === FLAGS.packed) {
          yield* flags.varints(cursor, cursor.length(end));
        } else {
          this.#skip(cursor, tag, end);
        }
      }
    }
    const used = [numbers, integers, texts, flags].filter(({ count }) => count > 0);
    if (used.length > 1) return 'mixed';
    if (integers.count > 0) return new IntegersReader(bytes, end, integers, INTEGERS);
    if (texts.count > 0) return new TextsReader(bytes, end, texts, TEXTS);
    if (flags.count > 0) return new FlagsReader(bytes, end, flags, FLAGS);
    const { together, from, to, count } = numbers;
    return new DoublesReader(together ? bytes.subarray(from, to) : yield* gathered(bytes, NUMBERS, count));
  }
}

/** `mixed`: more than one of its lists are used. */
type Column = ColumnReader | 'mixed';

/** Numbers of one width, and whether they lie together. */
class Fixed {
  count = 0;
  together = true;
  from = 0;
  to = 0;
  readonly #bytes: number;
  #fields = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Whether it is time to yield. */
  add(from: number, to: number): boolean {
    if ((to - from) % this.#bytes !== 0) refuse(`half a number of ${this.#bytes} bytes`);
    if (to > from) {
      if (this.count === 0) this.from = from;
      else if (this.to !== from) this.together = false;
      this.to = to;
      this.count += (to - from) / this.#bytes;
    }
    return ++this.#fields % STEP_FIELDS === 0;
  }
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString();
}

/** The lower half of a number of at most 64 bits: what protobuf makes of one that is too large. */
function readUint32(cursor: WireCursor, end: number): number {
  const start = cursor.at;
  cursor.varint(end);
  let value = 0;
  for (let at = start, shift = 0; at < cursor.at && shift < 35; at++, shift += 7) {
    value |= ((cursor.bytes[at] as number) & 0x7f) << shift;
  }
  return value >>> 0;
}

function readRest(parts: readonly Uint8Array[]): ScoreBatchRequest {
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  if (bytes > MAX_REST_BYTES) {
    throw invalidField(
      'shared',
      `expected at most ${MAX_REST_BYTES} bytes beside the rows and the ids, found ${bytes}`,
    );
  }
  const rest = Buffer.concat(parts);
  checkRest(rest);
  return ScoreBatchRequest.decode(rest);
}

function columnRows(columns: ReadonlyMap<string, Column>, { shared }: ScoreBatchRequest, count = 0): RowSource {
  const constants = new Map<string, RowValue | undefined>();
  for (const [name, { kind }] of shared) {
    if (columns.has(name))
      throw invalidField(`shared[${shownName(name)}]`, 'expected no name that is a column as well');
    constants.set(name, kind?.value);
  }
  const readers = new Map<string, ColumnReader>();
  let first: { name: string; length: number } | undefined;
  for (const [name, column] of columns) {
    const field = `columns.columns[${shownName(name)}]`;
    if (column === 'mixed') throw invalidField(field, 'expected one of numbers, integers, texts, flags, found more');
    first ??= { name, length: column.length };
    if (column.length !== first.length) {
      const expected = `expected ${first.length} values, as in ${shownName(first.name)}, found ${column.length}`;
      throw invalidField(field, expected);
    }
    readers.set(name, column);
  }
  return new ColumnRows(first?.length ?? count, readers, constants);
}
