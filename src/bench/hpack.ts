// As much of HPACK (RFC 7541) as a gRPC load generator needs to read: :status, grpc-status and grpc-message from answers of a
// peer that may not use a dynamic table (our SETTINGS say so), which makes every block readable on its own.

import { huffmanDecode, huffmanEncode } from '../http2/huffman.ts';
import { STATIC_TABLE_ENTRIES } from '../http2/static-table.ts';

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
      ? (huffmanDecode(this.#block, this.#messageStart, this.#messageEnd) ?? '')
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
    const value = Number.parseInt(huffmanDecode(bytes, start, end) ?? '', 10);
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
