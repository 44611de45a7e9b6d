// A ScoreBatchResponse with a chunk, written without an object a row, and in slices, since there may be an error for each row.
import { Origin, RowError } from '../gen/scorewire/v1/scoring.ts';
import { PREFIX_BYTES } from './call-head.ts';
import type { PickedRows } from './picked-rows.ts';
import type { Sliced } from './slices.ts';

// Tags: field number times 8, and the wire type.
const PART_CHUNK = 10;
const FIRST_ROW = 8;
const ROWS = 18;
const SCORES = 26;
const LABELS = 34;
const SEGMENTS = 42;
const ORIGIN_LIST = 50;
const ERRORS = 58;

/** By their codes in a chunk. */
const ORIGINS: readonly Origin[] = [
  Origin.ORIGIN_UNSPECIFIED,
  Origin.ORIGIN_PRECOMPUTED,
  Origin.ORIGIN_REAL_TIME,
  Origin.ORIGIN_STALE,
  Origin.ORIGIN_DEFAULT,
];

/** Errors between two yields. */
const STEP_ERRORS = 16;
/** Bytes that are copied between two yields. */
const STEP_BYTES = 64 * 1024;

/** The message behind room for gRPC's prefix. */
export function* chunkMessage(
  { firstRow, rows, scores, labels, segments, origins, errors }: PickedRows,
  toRowError: (error: PickedRows['errors'][number]) => RowError,
): Sliced<Buffer> {
  const chunk = new Parts();
  if (firstRow > 0) chunk.head(FIRST_ROW, firstRow);
  if (rows.length > 0) chunk.list(ROWS, varints(rows, same));
  if (scores.length > 0) {
    chunk.list(SCORES, new Uint8Array(scores.buffer, scores.byteOffset, scores.byteLength));
    chunk.list(LABELS, varints(labels, zigzag));
    yield;
    chunk.list(SEGMENTS, varints(segments, fromOne));
    chunk.list(
      ORIGIN_LIST,
      origins.map((code) => ORIGINS[code] as Origin),
    );
  }
  for (const [index, error] of errors.entries()) {
    if (index % STEP_ERRORS === STEP_ERRORS - 1) yield;
    chunk.list(ERRORS, RowError.encode(toRowError(error)).finish());
  }
  const message = new Parts();
  message.head(PART_CHUNK, chunk.bytes);
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.bytes + chunk.bytes);
  let at = PREFIX_BYTES;
  let untilYield = STEP_BYTES;
  for (const part of [...message.parts, ...chunk.parts]) {
    framed.set(part, at);
    at += part.length;
    untilYield -= part.length + 1;
    if (untilYield > 0) continue;
    untilYield = STEP_BYTES;
    yield;
  }
  return framed;
}

class Parts {
  readonly parts: Uint8Array[] = [];
  bytes = 0;

  /** A tag, and a length or a number. */
  head(tag: number, number: number): void {
    this.#add(varints(Float64Array.of(tag, number), same));
  }

  list(tag: number, bytes: Uint8Array): void {
    this.head(tag, bytes.length);
    this.#add(bytes);
  }

  #add(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.bytes += bytes.length;
  }
}

function same(value: number): number {
  return value;
}

function fromOne(value: number): number {
  return value + 1;
}

function zigzag(value: number): number {
  return (value << 1) ^ (value >> 31);
}

const MAX_VARINT_BYTES = 5;

/** What `coded` makes of the numbers, from 0 to 2^32 - 1. */
function varints(values: Uint32Array | Int32Array | Float64Array, coded: (value: number) => number): Uint8Array {
  const bytes = Buffer.allocUnsafe(values.length * MAX_VARINT_BYTES);
  let at = 0;
  for (let i = 0; i < values.length; i++) {
    let value = coded(values[i] as number) >>> 0;
    while (value >= 0x80) {
      bytes[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    bytes[at++] = value;
  }
  return bytes.subarray(0, at);
}
