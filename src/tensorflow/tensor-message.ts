// A TensorProto, walked over once: that it is well-formed, what it says of itself, and how many values it has of each kind. The values
// stay the bytes that came.
import type { Sliced } from '../grpc/slices.ts';
import { VarintReader } from '../grpc/varint-reader.ts';
import { LENGTH_DELIMITED, refuse, WireCursor } from '../grpc/wire-cursor.ts';

export type TensorMessage = {
  /** The whole message. */
  bytes: Uint8Array;
  /** A number of tensorflow.DataType, or one that it doesn't have. */
  wire: number;
  /** As the message says, be it nonsense; none for a scalar. */
  dims: readonly number[];
  unknownRank: boolean;
  /** tensor_content; undefined where it is empty. */
  content: Uint8Array | undefined;
  /** Values in the lists, by their field's number. */
  counts: readonly number[];
};

// Tags: field number times 8, and the wire type.
const DTYPE = 8;
const SHAPE = 18;
const CONTENT = 34;
const DIM = 18;
const UNKNOWN_RANK = 24;
const DIM_SIZE = 8;
const DIM_NAME = 18;

/** How the values of each list lie, by its field's number: bytes of a fixed one, VARINT, TEXT; 0: no list. */
const VARINT = -1;
const TEXT = -2;
const LISTS = [0, 0, 0, 0, 0, 4, 8, VARINT, TEXT, 4, VARINT, VARINT, 8, VARINT, 0, 0, VARINT, VARINT];

/** As TensorFlow has it. */
const MAX_DIMS = 254;
/** Fields between two yields, and bytes of packed numbers: some ten microseconds. */
const STEP_FIELDS = 128;
const STEP_BYTES = 32 * 1024;
/** A group that nobody knows, which is looked at whole. */
const MAX_GROUP_BYTES = 256 * 1024;

/** @throws NotWellFormed */
export function* walkTensor(bytes: Uint8Array): Sliced<TensorMessage> {
  const { length: end } = bytes;
  const cursor = new WireCursor(bytes);
  const counts = LISTS.map(() => 0);
  const shape: Shape = { dims: [], unknownRank: false };
  let wire = 0;
  let content: Uint8Array | undefined;
  let fields = 0;
  while (cursor.at < end) {
    if (++fields % STEP_FIELDS === 0) yield;
    const tag = cursor.tag(end);
    const field = tag >>> 3;
    const list = LISTS[field] ?? 0;
    if (list !== 0 && (tag & 7) === LENGTH_DELIMITED) {
      const stop = cursor.length(end);
      let found = 1;
      if (list === VARINT) found = yield* countVarints(bytes, cursor.at, stop);
      else if (list !== TEXT) found = wholeNumbers(stop - cursor.at, list);
      counts[field] = (counts[field] as number) + found;
      cursor.at = stop;
    } else if (list !== 0 && (tag & 7) === singleWireType(list)) {
      counts[field] = (counts[field] as number) + 1;
      cursor.skip(tag, end, 0);
    } else if (tag === DTYPE) {
      wire = readVarint(cursor, end).low;
    } else if (tag === SHAPE) {
      const stop = cursor.length(end);
      yield* walkShape(cursor, stop, shape);
    } else if (tag === CONTENT) {
      const stop = cursor.length(end);
      content = stop > cursor.at ? bytes.subarray(cursor.at, stop) : undefined;
      cursor.at = stop;
    } else {
      skipUnknown(cursor, tag, end);
    }
  }
  return { bytes, wire, dims: shape.dims, unknownRank: shape.unknownRank, content, counts };
}

/** @throws NotWellFormed */
export function skipUnknown(cursor: WireCursor, tag: number, end: number): void {
  const whole = (tag & 7) === LENGTH_DELIMITED;
  cursor.skip(tag, whole ? end : Math.min(end, cursor.at + MAX_GROUP_BYTES), 0);
}

type Shape = { dims: number[]; unknownRank: boolean };

function* walkShape(cursor: WireCursor, end: number, shape: Shape): Sliced<void> {
  let fields = 0;
  while (cursor.at < end) {
    if (++fields % STEP_FIELDS === 0) yield;
    const tag = cursor.tag(end);
    if (tag === DIM) {
      if (shape.dims.length === MAX_DIMS) refuse(`more than ${MAX_DIMS} dimensions`);
      shape.dims.push(readDim(cursor, cursor.length(end)));
    } else if (tag === UNKNOWN_RANK) {
      const { low, high } = readVarint(cursor, end);
      shape.unknownRank = low !== 0 || high !== 0;
    } else {
      skipUnknown(cursor, tag, end);
    }
  }
}

/** Of a dimension that is well-formed only its size counts; without one it is 0. */
function readDim(cursor: WireCursor, end: number): number {
  let size = 0;
  while (cursor.at < end) {
    const tag = cursor.tag(end);
    if (tag === DIM_SIZE) {
      size = readVarint(cursor, end).signed;
    } else if (tag === DIM_NAME) {
      const stop = cursor.length(end);
      cursor.text(stop);
      cursor.at = stop;
    } else {
      skipUnknown(cursor, tag, end);
    }
  }
  return size;
}

function readVarint(cursor: WireCursor, end: number): VarintReader {
  const reader = new VarintReader(cursor.bytes, cursor.at);
  cursor.varint(end);
  reader.read();
  return reader;
}

function singleWireType(list: number): number {
  return list === VARINT ? 0 : list === 4 ? 5 : list === 8 ? 1 : LENGTH_DELIMITED;
}

function wholeNumbers(length: number, bytes: number): number {
  if (length % bytes !== 0) refuse(`half a number of ${bytes} bytes`);
  return length / bytes;
}

function* countVarints(bytes: Uint8Array, from: number, stop: number): Sliced<number> {
  let count = 0;
  for (let at = from; at < stop; ) {
    const limit = Math.min(stop, at + STEP_BYTES);
    while (at < limit) {
      if ((bytes[at] as number) >= 0x80) {
        const most = Math.min(stop, at + 10);
        do at++;
        while (at < most && (bytes[at] as number) >= 0x80);
        if (at === most) refuse('a number that ends too early, or is too long');
      }
      at++;
      count++;
    }
    if (at < stop) yield;
  }
  return count;
}
