// Values of a tensor in InferTensorContents: found and counted first, then put into an array, both in slices.
import type { Sliced } from '../grpc/slices.ts';
import { VarintReader } from '../grpc/varint-reader.ts';
import { LENGTH_DELIMITED, refuse, WireCursor } from '../grpc/wire-cursor.ts';
import { allocate, type DataType, type TensorData } from '../tensor.ts';
import type { Parts } from './infer-request.ts';
import { elementText } from './known-texts.ts';
import { longText } from './raw-texts.ts';

// Field numbers.
const BOOLS = 1;
const INTS = 2;
const INT64S = 3;
const UINTS = 4;
const UINT64S = 5;
const FLOATS = 6;
const DOUBLES = 7;
const BYTES = 8;

/** By field number, what is in it. */
const FIELD_DATATYPES = ['', 'BOOL', 'INT32', 'INT64', 'UINT32', 'UINT64', 'FP32', 'FP64', 'BYTES'];

const FIELDS: Partial<Record<DataType, number>> = {
  bool: BOOLS,
  int8: INTS,
  int16: INTS,
  int32: INTS,
  int64: INT64S,
  uint8: UINTS,
  uint16: UINTS,
  uint32: UINTS,
  uint64: UINT64S,
  float32: FLOATS,
  float64: DOUBLES,
  string: BYTES,
};

const VARINT = 0;
const I64 = 1;
const I32 = 5;

/** Bytes that are looked at or copied between two yields, and numbers. */
const STEP_BYTES = 32 * 1024;
const COPY_BYTES = 256 * 1024;
const STEP_FIELDS = 256;

/** Of one tensor: how many values its fields have. */
export class TypedContents {
  readonly #bytes: Uint8Array;
  readonly #parts: Parts;
  readonly #counts = new Float64Array(9);

  constructor(bytes: Uint8Array, parts: Parts) {
    this.#bytes = bytes;
    this.#parts = parts;
  }

  /** Finds and counts the values; before anything else. @throws NotWellFormed */
  *count(): Sliced<void> {
    let fields = 0;
    for (let part = 0; part < this.#parts.length; part += 2) {
      const end = this.#parts[part + 1] as number;
      const cursor = new WireCursor(this.#bytes, this.#parts[part]);
      while (cursor.at < end) {
        if (++fields % STEP_FIELDS === 0) yield;
        const tag = cursor.tag(end);
        const field = tag >>> 3;
        if ((tag & 7) !== LENGTH_DELIMITED) {
          if ((tag & 7) > 2 && (tag & 7) !== I32) refuse('a group');
          cursor.skip(tag, end, 0);
          if (isSingle(field, tag & 7)) this.#add(field, 1);
          continue;
        }
        const stop = cursor.length(end);
        if (field === BYTES) this.#add(BYTES, 1);
        else if (field >= BOOLS && field <= UINT64S) yield* this.#countVarints(cursor, stop, field);
        else if (field === FLOATS) this.#add(FLOATS, whole((stop - cursor.at) / 4));
        else if (field === DOUBLES) this.#add(DOUBLES, whole((stop - cursor.at) / 8));
        cursor.at = stop;
      }
    }
  }

  /** The datatype of values that are there and are not of `type`, undefined where there are none; '' stands for no type. */
  other(type: DataType | ''): string | undefined {
    const own = type === '' ? undefined : FIELDS[type];
    for (let field = BOOLS; field <= BYTES; field++) {
      if (field !== own && (this.#counts[field] as number) > 0) return FIELD_DATATYPES[field];
    }
    return undefined;
  }

  /** How many values there are of a type. */
  length(type: DataType): number {
    return this.#counts[FIELDS[type] ?? 0] as number;
  }

  /** Integers that are too large for the type keep their lower bytes. */
  *values(type: DataType): Sliced<TensorData> {
    const field = FIELDS[type] as number;
    const target = allocate(type === 'string' ? 'bool' : type, type === 'string' ? 0 : this.length(type));
    const texts: string[] = [];
    const numbers = new NumberTarget(this.#bytes, type, target as Int32Array);
    let fields = 0;
    for (let part = 0; part < this.#parts.length; part += 2) {
      const end = this.#parts[part + 1] as number;
      const cursor = new WireCursor(this.#bytes, this.#parts[part]);
      while (cursor.at < end) {
        if (++fields % STEP_FIELDS === 0) yield;
        const tag = cursor.tag(end);
        const packed = (tag & 7) === LENGTH_DELIMITED;
        const stop = packed ? cursor.length(end) : end;
        const from = cursor.at;
        if (packed) cursor.at = stop;
        else cursor.skip(tag, end, 0);
        if (tag >>> 3 !== field || !(packed || isSingle(field, tag & 7))) continue;
        if (field !== BYTES) yield* numbers.take(from, cursor.at);
        else if (stop - from <= STEP_BYTES) texts.push(elementText(this.#bytes, from, stop));
        else texts.push(yield* longText(this.#bytes, from, stop));
      }
    }
    return type === 'string' ? texts : target;
  }

  #add(field: number, count: number): void {
    this.#counts[field] = (this.#counts[field] as number) + count;
  }

  *#countVarints(cursor: WireCursor, stop: number, field: number): Sliced<void> {
    const { bytes } = cursor;
    let count = 0;
    while (cursor.at < stop) {
      const limit = Math.min(stop, cursor.at + STEP_BYTES);
      let { at } = cursor;
      for (; at < limit; at++) {
        count++;
        if ((bytes[at] as number) < 0x80) continue;
        const most = Math.min(stop, at + 10);
        do at++;
        while (at < most && (bytes[at] as number) >= 0x80);
        if (at === most) refuse('a number that ends too early, or is too long');
      }
      cursor.at = at;
      if (at < stop) yield;
    }
    this.#add(field, count);
  }
}

/** Whether a field of this wire type is one value. */
function isSingle(field: number, wireType: number): boolean {
  if (field === FLOATS) return wireType === I32;
  if (field === DOUBLES) return wireType === I64;
  return field >= BOOLS && field <= UINT64S && wireType === VARINT;
}

function whole(count: number): number {
  if (!Number.isInteger(count)) refuse('half a number');
  return count;
}

/** Takes the numbers of a tensor one field after the other. */
class NumberTarget {
  readonly #bytes: Uint8Array;
  readonly #type: DataType;
  readonly #target: Int32Array;
  /** The target's own. */
  readonly #targetBytes: Uint8Array;
  readonly #words: Uint32Array;
  #place = 0;

  constructor(bytes: Uint8Array, type: DataType, target: Int32Array) {
    this.#bytes = bytes;
    this.#type = type;
    this.#target = target;
    this.#targetBytes = new Uint8Array(target.buffer);
    this.#words = target.BYTES_PER_ELEMENT === 8 ? new Uint32Array(target.buffer) : NO_WORDS;
  }

  /** One or many, in bytes [from, to). */
  *take(from: number, to: number): Sliced<void> {
    if (this.#type === 'float32' || this.#type === 'float64') {
      for (let start = from; start < to; start += COPY_BYTES) {
        const stop = Math.min(to, start + COPY_BYTES);
        this.#targetBytes.set(this.#bytes.subarray(start, stop), this.#place);
        this.#place += stop - start;
        if (stop < to) yield;
      }
      return;
    }
    const reader = new VarintReader(this.#bytes, from);
    while (reader.at < to) {
      const limit = Math.min(to, reader.at + STEP_BYTES);
      if (this.#type === 'bool') this.#flags(reader, limit);
      else if (this.#words.length > 0) this.#wide(reader, limit);
      else this.#narrow(reader, limit);
      if (reader.at < to) yield;
    }
  }

  #narrow(reader: VarintReader, limit: number): void {
    const target = this.#target;
    let place = this.#place;
    while (reader.at < limit) {
      reader.read();
      target[place++] = reader.low;
    }
    this.#place = place;
  }

  #flags(reader: VarintReader, limit: number): void {
    const target = this.#target;
    let place = this.#place;
    while (reader.at < limit) {
      reader.read();
      target[place++] = (reader.low | reader.high) === 0 ? 0 : 1;
    }
    this.#place = place;
  }

  #wide(reader: VarintReader, limit: number): void {
    const words = this.#words;
    let place = this.#place;
    while (reader.at < limit) {
      reader.read();
      words[2 * place] = reader.low;
      words[2 * place + 1] = reader.high;
      place++;
    }
    this.#place = place;
  }
}

const NO_WORDS = new Uint32Array(0);
