// Long lists of a message, walked over once and then read only where their values are wanted: fifty megabytes of texts or
// integers are never all decoded at once, neither in time nor in memory.
import type { ColumnPart, ColumnReader, ColumnValues } from '../features/row-source.ts';
import type { Sliced } from './slices.ts';
import { refuse, WireCursor } from './wire-cursor.ts';

/** A value's place is remembered for each so many. */
const MARK_EVERY = 256;
/** Bytes that are looked at or copied between two yields: some ten microseconds. */
const STEP_BYTES = 32 * 1024;

/**
 * Where the values of a list begin. They come one a field, or many in one; `runEnd` is the end of the field that a value lies in
 * with others, and 0 where it has its own.
 */
export class WireList {
  count = 0;
  readonly #marks: number[] = [];

  /** A value begins, the next one of the list. */
  begin(at: number, runEnd: number): void {
    if (this.count % MARK_EVERY === 0) this.#marks.push(at, runEnd);
    this.count++;
  }

  /** The last value at or before `index` whose place is known. */
  mark(index: number): { index: number; at: number; runEnd: number } {
    const place = Math.floor(index / MARK_EVERY);
    const at = this.#marks[2 * place] as number;
    return { index: place * MARK_EVERY, at, runEnd: this.#marks[2 * place + 1] as number };
  }

  /** The numbers in one field, from the cursor's place to `stop`. */
  *varints(cursor: WireCursor, stop: number): Sliced<void> {
    while (cursor.at < stop) {
      cursor.at = this.#varints(cursor.bytes, cursor.at, stop, Math.min(stop, cursor.at + STEP_BYTES));
      yield;
    }
  }

  /** Those that begin before `limit`; returns where the last one of them ends. */
  #varints(bytes: Uint8Array, from: number, stop: number, limit: number): number {
    let at = from;
    while (at < limit) {
      this.begin(at, stop);
      if ((bytes[at] as number) >= 0x80) {
        const most = Math.min(stop, at + 10);
        do at++;
        while (at < most && (bytes[at] as number) >= 0x80);
        if (at === most) refuse('a number that ends too early, or is too long');
      }
      at++;
    }
    return at;
  }
}

/** The part that was read last is kept: where a block is judged row by row, all its rows are in it. */
abstract class Reader implements ColumnReader {
  abstract readonly length: number;
  #from = 0;
  #to = 0;
  #values: ColumnValues = [];

  read(from: number, to: number): ColumnPart {
    if (from < this.#from || to > this.#to) {
      this.#values = this.decode(from, to);
      this.#from = from;
      this.#to = to;
    }
    return { values: this.#values, start: from - this.#from };
  }

  protected abstract decode(from: number, to: number): ColumnValues;
}

/** Doubles that lie together. */
export class DoublesReader extends Reader {
  readonly length: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super();
    this.#bytes = bytes;
    this.length = bytes.length / 8;
  }

  protected decode(from: number, to: number): Float64Array {
    const values = new Float64Array(to - from);
    // A copy, since they need not lie where doubles may lie.
    new Uint8Array(values.buffer).set(this.#bytes.subarray(8 * from, 8 * to));
    return values;
  }
}

/** Tags of a list of integers: for many in one field, and for one. */
export type VarintTags = { packed: number; single: number };

export class IntegersReader extends Reader {
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #list: WireList;
  readonly #tags: VarintTags;
  /** The value after the part that was read last. */
  #next = { index: 0, at: 0, runEnd: 0 };

  /** @param end of the message that the list is of */
  constructor(bytes: Uint8Array, end: number, list: WireList, tags: VarintTags) {
    super();
    this.#bytes = bytes;
    this.#end = end;
    this.#list = list;
    this.#tags = tags;
    this.length = list.count;
    this.#next = list.mark(0);
  }

  protected decode(from: number, to: number): BigInt64Array | Uint8Array {
    const values = new BigInt64Array(to - from);
    this.#words(from, to, new Uint32Array(values.buffer));
    return values;
  }

  /** Each value as its lower and its upper half, which takes no bigint. */
  #words(from: number, to: number, words: Uint32Array): void {
    const bytes = this.#bytes;
    const begin = from === this.#next.index ? this.#next : this.#list.mark(from);
    const cursor = new WireCursor(bytes, begin.at);
    let { runEnd } = begin;
    for (let index = begin.index; index < to; index++) {
      if (cursor.at >= runEnd) runEnd = this.#findValue(cursor);
      const place = 2 * (index - from);
      const byte = bytes[cursor.at] as number;
      if (byte < 0x80) {
        cursor.at++;
        if (place < 0) continue;
        words[place] = byte;
        words[place + 1] = 0;
      } else if (place < 0) {
        cursor.varint(this.#end);
      } else {
        cursor.at = readVarint(bytes, cursor.at, words, place);
      }
    }
    this.#next = { index: to, at: cursor.at, runEnd };
  }

  /** Moves on to the next value; returns the end of the field that it lies in with others, else 0. */
  #findValue(cursor: WireCursor): number {
    for (;;) {
      const tag = cursor.tag(this.#end);
      if (tag === this.#tags.single) return 0;
      if (tag !== this.#tags.packed) {
        cursor.skip(tag, this.#end, 0);
        continue;
      }
      const stop = cursor.length(this.#end);
      if (cursor.at < stop) return stop;
    }
  }
}

/** Flags are integers that are 0 or not. */
export class FlagsReader extends IntegersReader {
  protected override decode(from: number, to: number): Uint8Array {
    const words = new Uint32Array(super.decode(from, to).buffer);
    const flags = new Uint8Array(to - from);
    for (let i = 0; i < flags.length; i++)
      flags[i] = ((words[2 * i] as number) | (words[2 * i + 1] as number)) === 0 ? 0 : 1;
    return flags;
  }
}

/** A number of at most 64 bits; returns where it ends. */
function readVarint(bytes: Uint8Array, from: number, words: Uint32Array, place: number): number {
  let at = from;
  let low = 0;
  let high = 0;
  let byte = 0x80;
  for (let shift = 0; shift < 28 && byte >= 0x80; shift += 7) {
    byte = bytes[at++] as number;
    low |= (byte & 0x7f) << shift;
  }
  if (byte >= 0x80) {
    // Half of it is above the lower 32 bits.
    byte = bytes[at++] as number;
    low |= (byte & 0x0f) << 28;
    high = (byte & 0x70) >> 4;
    for (let shift = 3; shift < 32 && byte >= 0x80; shift += 7) {
      byte = bytes[at++] as number;
      high |= (byte & 0x7f) << shift;
    }
  }
  words[place] = low;
  words[place + 1] = high;
  return at;
}

/** Texts, each in a field of its own. */
export class TextsReader extends Reader {
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #list: WireList;
  readonly #tag: number;
  readonly #known: KnownTexts;
  #next = { index: 0, at: 0 };

  /** @param end of the message that the list is of */
  constructor(bytes: Uint8Array, end: number, list: WireList, tag: number) {
    super();
    this.#bytes = bytes;
    this.#end = end;
    this.#list = list;
    this.#tag = tag;
    this.#known = new KnownTexts(bytes);
    this.length = list.count;
    this.#next = list.mark(0);
  }

  protected decode(from: number, to: number): string[] {
    const texts: string[] = [];
    const begin = from === this.#next.index ? this.#next : this.#list.mark(from);
    const cursor = new WireCursor(this.#bytes, begin.at);
    for (let index = begin.index; index < to; ) {
      const tag = cursor.tag(this.#end);
      if (tag !== this.#tag) {
        cursor.skip(tag, this.#end, 0);
        continue;
      }
      const stop = cursor.length(this.#end);
      if (index >= from) texts.push(this.#known.text(cursor.at, stop));
      cursor.at = stop;
      index++;
    }
    this.#next = { index: to, at: cursor.at };
    return texts;
  }
}

const KNOWN = 512;
/** Longer texts seldom come twice. */
const MAX_KNOWN_BYTES = 40;

/** The texts of a column are mostly a few, again and again: to find one again is faster than to make it. */
class KnownTexts {
  readonly #bytes: Buffer;
  readonly #texts: (string | undefined)[] = new Array(KNOWN).fill(undefined);
  readonly #starts = new Uint32Array(KNOWN);
  readonly #lengths = new Uint32Array(KNOWN);

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  text(start: number, end: number): string {
    const bytes = this.#bytes;
    const length = end - start;
    if (length > MAX_KNOWN_BYTES) return bytes.toString('utf8', start, end);
    let hash = length;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (KNOWN - 1);
    const known = this.#texts[slot];
    if (
      known !== undefined &&
      this.#lengths[slot] === length &&
      this.#same(this.#starts[slot] as number, start, length)
    ) {
      return known;
    }
    const text = bytes.toString('utf8', start, end);
    this.#texts[slot] = text;
    this.#starts[slot] = start;
    this.#lengths[slot] = length;
    return text;
  }

  #same(a: number, b: number, length: number): boolean {
    for (let i = 0; i < length; i++) if (this.#bytes[a + i] !== this.#bytes[b + i]) return false;
    return true;
  }
}

/** Tags and size of numbers of one width: for many in one field, and for one. */
export type FixedTags = { packed: number; single: number; bytes: number };

/** Parts of bytes as one, without a copy where there is only one. */
export function* joined(
  bytes: Uint8Array,
  parts: readonly (readonly [from: number, to: number])[],
): Sliced<Uint8Array> {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return bytes.subarray(first[0], first[1]);
  const copy = Buffer.allocUnsafeSlow(parts.reduce((sum, [from, to]) => sum + to - from, 0));
  let at = 0;
  for (const [index, [from, to]] of parts.entries()) {
    at = yield* copied(bytes, from, to, copy, at);
    if (index % 256 === 0) yield;
  }
  return copy;
}

/** The `total` numbers of a well-formed message, wherever in it they are. */
export function* gathered(message: Uint8Array, tags: FixedTags, total: number): Sliced<Uint8Array> {
  const { length: end } = message;
  const cursor = new WireCursor(message);
  const copy = Buffer.allocUnsafeSlow(total * tags.bytes);
  let at = 0;
  for (let step = 0; cursor.at < end; step++) {
    const tag = cursor.tag(end);
    if (tag === tags.packed) {
      const stop = cursor.length(end);
      at = yield* copied(message, cursor.at, stop, copy, at);
      cursor.at = stop;
    } else if (tag === tags.single) {
      for (let byte = 0; byte < tags.bytes; byte++) copy[at++] = message[cursor.at++] as number;
    } else {
      cursor.skip(tag, end, 0);
    }
    if (step % 256 === 0) yield;
  }
  return copy;
}

/** Returns the place behind the copy. */
function* copied(bytes: Uint8Array, from: number, to: number, target: Uint8Array, at: number): Sliced<number> {
  let place = at;
  for (let start = from; start < to; start += STEP_BYTES) {
    const end = Math.min(to, start + STEP_BYTES);
    target.set(bytes.subarray(start, end), place);
    place += end - start;
    if (end < to) yield;
  }
  return place;
}
