// As much of HPACK (RFC 7541) as a gRPC load generator needs: it writes one constant set of request headers, and reads
// :status, grpc-status and grpc-message from answers of a peer that may not use a dynamic table (our SETTINGS say so),
// which makes every block readable on its own.

import { huffmanDecode, huffmanEncode } from './huffman.ts';

/** Static-table indices of names that requests carry. */
const STATIC_NAMES: Readonly<Record<string, number>> = {
  ':authority': 1,
  ':method': 2,
  ':path': 4,
  ':scheme': 6,
  'content-type': 31,
  'user-agent': 58,
};

/** Static-table indices of whole fields that requests carry. */
const STATIC_FIELDS: Readonly<Record<string, number>> = { ':method POST': 3, ':scheme http': 6, ':scheme https': 7 };

const STATIC_TABLE_ENTRIES = 61;
/** RFC 7541, 4.1: what an entry costs beside its name and value. */
const ENTRY_OVERHEAD_BYTES = 32;

/** One set of request headers in the three forms that a connection may need. */
export interface RequestHeaderBlocks {
  /** Stands alone: nothing from or for the dynamic table. */
  literal: Uint8Array;
  /** For the first request of a connection: leaves its fields in the peer's dynamic table. */
  opening: Uint8Array;
  /** For every later request: indices of what `opening` left there. */
  indexed: Uint8Array;
  /** The size that the peer's dynamic table must have for `opening` and `indexed`. */
  tableBytes: number;
}

/** Encodes the fields in their order; names in lower case, pseudo-headers first. */
export function encodeRequestHeaders(fields: readonly (readonly [name: string, value: string])[]): RequestHeaderBlocks {
  const literal: number[] = [];
  const opening: number[] = [];
  const indexed: number[] = [];
  const inTable = fields.filter(([name, value]) => STATIC_FIELDS[`${name} ${value}`] === undefined);
  let tableBytes = 0;
  for (const field of fields) {
    const [name, value] = field;
    const whole = STATIC_FIELDS[`${name} ${value}`];
    if (whole !== undefined) {
      for (const block of [literal, opening, indexed]) writeInteger(block, 0x80, 7, whole);
      continue;
    }
    writeLiteral(literal, 0x00, 4, name, value);
    writeLiteral(opening, 0x40, 6, name, value);
    // The newest entry of the dynamic table has the lowest index.
    writeInteger(indexed, 0x80, 7, STATIC_TABLE_ENTRIES + inTable.length - inTable.indexOf(field));
    tableBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
  }
  return {
    literal: Uint8Array.from(literal),
    opening: Uint8Array.from(opening),
    indexed: Uint8Array.from(indexed),
    tableBytes,
  };
}

function writeLiteral(out: number[], pattern: number, prefixBits: number, name: string, value: string): void {
  const nameIndex = STATIC_NAMES[name] ?? 0;
  writeInteger(out, pattern, prefixBits, nameIndex);
  if (nameIndex === 0) writeString(out, name);
  writeString(out, value);
}

function writeString(out: number[], text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  writeInteger(out, 0x00, 7, bytes.length);
  out.push(...bytes);
}

function writeInteger(out: number[], pattern: number, prefixBits: number, value: number): void {
  const limit = (1 << prefixBits) - 1;
  if (value < limit) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | limit);
  let rest = value - limit;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}

/** `:status` values of the static table, from index 8 on. */
const STATIC_STATUS = [200, 204, 206, 304, 400, 404, 500];
const FIRST_STATIC_STATUS = 8;
const LAST_STATIC_STATUS = 14;

const NO_NAME = 0;
const NAME_HTTP_STATUS = 1;
const NAME_GRPC_STATUS = 2;
const NAME_GRPC_MESSAGE = 3;

const PLAIN_NAMES = [':status', 'grpc-status', 'grpc-message'].map((name) => Buffer.from(name, 'latin1'));
const HUFFMAN_NAMES = [':status', 'grpc-status', 'grpc-message'].map((name) => huffmanEncode(name));

/** What a header block must not contain from a peer that keeps to our SETTINGS. */
export class HpackError extends Error {
  override name = 'HpackError';
}

/** Reads the few fields of an answer that matter. One instance is used again and again: reading allocates nothing. */
export class AnswerHeaders {
  /** `:status`, or -1 where the block has none. */
  httpStatus = -1;
  /** `grpc-status`, or -1 where the block has none. */
  grpcStatus = -1;

  #at = 0;
  #messageStart = 0;
  #messageEnd = 0;
  #messageHuffman = false;
  #block: Uint8Array = PLAIN_NAMES[0] as Uint8Array;

  /** Reads the block in bytes[start, end). The result is valid until the bytes change. */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.httpStatus = -1;
    this.grpcStatus = -1;
    this.#messageEnd = 0;
    this.#messageStart = 0;
    this.#block = bytes;
    this.#at = start;
    while (this.#at < end) this.#readField(bytes, bytes[this.#at] as number);
    if (this.#at > end) throw new HpackError('header block ends in the middle of a field');
  }

  /** `grpc-message` as text, empty where the block has none. */
  message(): string {
    if (this.#messageEnd === 0) return '';
    const raw = this.#messageHuffman
      ? huffmanDecode(this.#block, this.#messageStart, this.#messageEnd)
      : Buffer.from(this.#block.subarray(this.#messageStart, this.#messageEnd)).toString('latin1');
    try {
      return decodeURIComponent(raw);
    } catch {
      return raw;
    }
  }

  #readField(bytes: Uint8Array, first: number): void {
    if (first >= 0x80) {
      const index = this.#readInteger(bytes, 0x7f);
      if (index > STATIC_TABLE_ENTRIES)
        throw new HpackError('the peer uses a dynamic table, though our SETTINGS say 0');
      if (index >= FIRST_STATIC_STATUS && index <= LAST_STATIC_STATUS) {
        this.httpStatus = STATIC_STATUS[index - FIRST_STATIC_STATUS] as number;
      }
      return;
    }
    if (first >= 0x20 && first < 0x40) {
      if (this.#readInteger(bytes, 0x1f) !== 0) throw new HpackError('the peer enlarges a dynamic table of size 0');
      return;
    }
    const nameIndex = this.#readInteger(bytes, first >= 0x40 ? 0x3f : 0x0f);
    if (nameIndex > STATIC_TABLE_ENTRIES)
      throw new HpackError('the peer uses a dynamic table, though our SETTINGS say 0');
    const name = nameIndex === 0 ? this.#readName(bytes) : nameOfStatic(nameIndex);
    const huffman = (bytes[this.#at] as number) >= 0x80;
    const length = this.#readInteger(bytes, 0x7f);
    const start = this.#at;
    this.#at = start + length;
    if (name === NO_NAME) return;
    if (name === NAME_GRPC_MESSAGE) {
      this.#messageStart = start;
      this.#messageEnd = start + length;
      this.#messageHuffman = huffman;
      return;
    }
    const value = readDecimal(bytes, start, start + length, huffman);
    if (name === NAME_GRPC_STATUS) this.grpcStatus = value;
    else this.httpStatus = value;
  }

  #readName(bytes: Uint8Array): number {
    const huffman = (bytes[this.#at] as number) >= 0x80;
    const length = this.#readInteger(bytes, 0x7f);
    const start = this.#at;
    this.#at = start + length;
    const names = huffman ? HUFFMAN_NAMES : PLAIN_NAMES;
    for (let index = 0; index < names.length; index++) {
      const wanted = names[index] as Uint8Array;
      if (wanted.length !== length) continue;
      let same = 0;
      while (same < length && bytes[start + same] === wanted[same]) same++;
      if (same === length) return index + 1;
    }
    return NO_NAME;
  }

  #readInteger(bytes: Uint8Array, mask: number): number {
    let value = (bytes[this.#at++] as number) & mask;
    if (value !== mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = bytes[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HpackError('integer too long, or header block cut short');
  }
}

function nameOfStatic(index: number): number {
  return index >= FIRST_STATIC_STATUS && index <= LAST_STATIC_STATUS ? NAME_HTTP_STATUS : NO_NAME;
}

/** A small decimal number, or -1 where there is something else. */
function readDecimal(bytes: Uint8Array, start: number, end: number, huffman: boolean): number {
  if (huffman) {
    const value = Number.parseInt(huffmanDecode(bytes, start, end), 10);
    return Number.isNaN(value) ? -1 : value;
  }
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return end > start ? value : -1;
}
