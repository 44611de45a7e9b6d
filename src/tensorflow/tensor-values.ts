// The values of a TensorProto, as an array of ours: from its list or from tensor_content, in slices.
import { ScorewireError } from '../errors.ts';
import { textOf } from '../grpc/byte-strings.ts';
import type { Sliced } from '../grpc/slices.ts';
import { VarintReader } from '../grpc/varint-reader.ts';
import { LENGTH_DELIMITED, refuse, WireCursor } from '../grpc/wire-cursor.ts';
import { allocate, type TensorData } from '../tensor.ts';
import type { ElementType } from './element-types.ts';
import { skipUnknown, type TensorMessage } from './tensor-message.ts';

/** Numbers, and texts, between two yields. */
const STEP_NUMBERS = 8 * 1024;
const STEP_TEXTS = 128;
/** Bytes of a text that are read at once, and at most: its pieces are put together at once. */
const PIECE_BYTES = 16 * 1024;
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** Bytes that are copied or filled between two yields. */
const STEP_BYTES = 256 * 1024;

/** From the bytes of tensor_content, which for texts is their lengths and then all of them. @throws NotWellFormed; ScorewireError INVALID_ARGUMENT */
export function* contentValues(content: Uint8Array, element: ElementType, length: number): Sliced<TensorData> {
  if (element.kind === 'bytes') return yield* contentTexts(content, length);
  const values = allocate(element.type, length) as Exclude<TensorData, string[]>;
  yield* copyBytes(content, 0, content.length, values, 0);
  return values;
}

/**
 * From the list of the element's type, which has at most `length` values; its last one is repeated, and without any all elements are
 * 0, false or empty.
 */
export function* listValues(message: TensorMessage, element: ElementType, length: number): Sliced<TensorData> {
  const values = allocate(element.type, length);
  if (length === 0) return values;
  const { bytes } = message;
  const cursor = new WireCursor(bytes);
  const target = new ValueTarget(bytes, element, values);
  let fields = 0;
  while (cursor.at < bytes.length) {
    if (++fields % STEP_TEXTS === 0) yield;
    const tag = cursor.tag(bytes.length);
    if (tag >>> 3 !== element.field) {
      skipUnknown(cursor, tag, bytes.length);
    } else if ((tag & 7) === LENGTH_DELIMITED) {
      const stop = cursor.length(bytes.length);
      yield* target.take(cursor.at, stop);
      cursor.at = stop;
    } else {
      const from = cursor.at;
      skipUnknown(cursor, tag, bytes.length);
      if ((tag & 7) === target.singleWireType) yield* target.take(from, cursor.at);
    }
  }
  yield* target.repeatLast();
  return values;
}

class ValueTarget {
  /** Of a value that has a field of its own; that of texts is among those with a length. */
  readonly singleWireType: number;
  readonly #bytes: Uint8Array;
  readonly #element: ElementType;
  readonly #values: TensorData;
  readonly #words: Uint32Array;
  #place = 0;

  constructor(bytes: Uint8Array, element: ElementType, values: TensorData) {
    this.singleWireType = element.kind === 'fixed' ? (element.bytes === 4 ? 5 : 1) : 0;
    this.#bytes = bytes;
    this.#element = element;
    this.#values = values;
    this.#words =
      element.kind === 'wide varint' ? new Uint32Array((values as BigInt64Array).buffer as ArrayBuffer) : NO_WORDS;
  }

  /** One value or many, in bytes [from, to). */
  *take(from: number, to: number): Sliced<void> {
    if (this.#element.kind === 'bytes') {
      (this.#values as string[])[this.#place++] = yield* readText(this.#bytes, from, to);
    } else if (this.#element.kind === 'fixed') {
      const values = this.#values as Float32Array;
      yield* copyBytes(this.#bytes, from, to, values, this.#place * this.#element.bytes);
      this.#place += (to - from) / this.#element.bytes;
    } else {
      for (const reader = new VarintReader(this.#bytes, from); reader.at < to; ) {
        this.#numbers(reader, to);
        if (reader.at < to) yield;
      }
    }
  }

  *repeatLast(): Sliced<void> {
    const values = this.#values as Int32Array;
    if (this.#place === 0) return;
    const last = values[this.#place - 1] as number;
    for (let from = this.#place; from < values.length; from += STEP_BYTES) {
      values.fill(last, from, from + STEP_BYTES);
      if (from + STEP_BYTES < values.length) yield;
    }
  }

  #numbers(reader: VarintReader, to: number): void {
    const { kind } = this.#element;
    const values = this.#values as Int32Array;
    const words = this.#words;
    const last = this.#place + STEP_NUMBERS;
    let place = this.#place;
    for (; reader.at < to && place < last; place++) {
      reader.read();
      if (kind === 'varint') {
        // What is too large for the type keeps its lower bits, as in TensorFlow.
        values[place] = reader.low;
      } else if (kind === 'flag') {
        values[place] = (reader.low | reader.high) === 0 ? 0 : 1;
      } else {
        words[2 * place] = reader.low;
        words[2 * place + 1] = reader.high;
      }
    }
    this.#place = place;
  }
}

const NO_WORDS = new Uint32Array(0);

/** A long one in pieces, none of which ends within a character. */
function* readText(bytes: Uint8Array, from: number, to: number): Sliced<string> {
  if (to - from <= PIECE_BYTES) return textOf(bytes.subarray(from, to));
  if (to - from > MAX_TEXT_BYTES) throw tooLong(to - from);
  const pieces: string[] = [];
  for (let at = from; at < to; ) {
    let end = Math.min(to, at + PIECE_BYTES);
    for (let back = 0; end < to && back < 3 && ((bytes[end] as number) & 0xc0) === 0x80; back++) end--;
    pieces.push(textOf(bytes.subarray(at, end)));
    at = end;
    yield;
  }
  return pieces.join('');
}

function tooLong(bytes: number): ScorewireError {
  const message = `string_val: expected texts of at most ${MAX_TEXT_BYTES} bytes, found one of ${bytes}`;
  return new ScorewireError('invalid_argument', 'TEXT_TOO_LONG', message);
}

function* contentTexts(content: Uint8Array, length: number): Sliced<string[]> {
  const texts = new Array<string>(length);
  const cursor = new WireCursor(content);
  const lengths = new Float64Array(length);
  let total = 0;
  for (let index = 0; index < length; index++) {
    const bytes = cursor.uint32(content.length);
    lengths[index] = bytes;
    total += bytes;
    if (index % STEP_NUMBERS === 0) yield;
  }
  if (cursor.at + total !== content.length) refuse('texts that are not as long as their lengths say');
  let { at } = cursor;
  for (let index = 0; index < length; index++) {
    const bytes = lengths[index] as number;
    texts[index] = yield* readText(content, at, at + bytes);
    at += bytes;
    if (index % STEP_TEXTS === 0) yield;
  }
  return texts;
}

/** Bytes [from, to) to the array's own, from its byte `at` on. */
function* copyBytes(
  bytes: Uint8Array,
  from: number,
  to: number,
  values: Exclude<TensorData, string[]>,
  at: number,
): Sliced<void> {
  const target = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let start = from; start < to; start += STEP_BYTES) {
    const stop = Math.min(to, start + STEP_BYTES);
    target.set(bytes.subarray(start, stop), at + start - from);
    if (stop < to) yield;
  }
}
