// A place in the bytes of a protobuf message, and strict steps from it: whatever a message of any type may not have is refused.
import { isUtf8 } from 'node:buffer';

/** Messages and groups in each other, as other implementations have it too. */
export const MAX_DEPTH = 100;

const VARINT = 0;
const I64 = 1;
export const LENGTH_DELIMITED = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const I32 = 5;

/** From here on the native check is faster than a loop. */
const ASCII_LOOP_BYTES = 64;

/** The bytes are no protobuf message of their type. */
export class NotWellFormed extends Error {}

/** Nothing is allocated on the way: every request is read by it. */
export class WireCursor {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  tag(end: number): number {
    const tag = this.uint32(end);
    if (tag >>> 3 === 0) refuse('the field 0');
    return tag;
  }

  /** Where the field ends whose length is read. */
  length(end: number): number {
    const length = this.uint32(end);
    if (length > end - this.at) refuse('a length beyond the end');
    return this.at + length;
  }

  /** A tag or a length: ts-proto would drop what is beyond 32 bits. */
  uint32(end: number): number {
    const { bytes } = this;
    if (this.at >= end) refuse('a number that ends too early');
    const first = bytes[this.at++] as number;
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      if (this.at >= end) refuse('a number that ends too early');
      const byte = bytes[this.at++] as number;
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    return refuse('a tag or a length of more than 32 bits');
  }

  varint(end: number): void {
    const { bytes } = this;
    const stop = Math.min(end, this.at + 10);
    while (this.at < stop) {
      if ((bytes[this.at++] as number) < 0x80) return;
    }
    refuse('a number that ends too early, or is too long');
  }

  fixed(size: number, end: number): void {
    if (size > end - this.at) refuse('a number that ends too early');
    this.at += size;
  }

  /** Up to `end`; the place stays. */
  text(end: number): void {
    const { bytes } = this;
    const stop = Math.min(end, this.at + ASCII_LOOP_BYTES);
    let { at } = this;
    while (at < stop && (bytes[at] as number) < 0x80) at++;
    if (at < end && !isUtf8(bytes.subarray(at, end))) refuse('a text that is not UTF-8');
  }

  /** The value of a field that nobody wants. */
  skip(tag: number, end: number, depth: number): void {
    switch (tag & 7) {
      case VARINT:
        this.varint(end);
        break;
      case I64:
        this.fixed(8, end);
        break;
      case LENGTH_DELIMITED:
        this.at = this.length(end);
        break;
      case I32:
        this.fixed(4, end);
        break;
      case GROUP_START:
        if (depth === MAX_DEPTH) refuse('groups nested too deep');
        this.#group(tag >>> 3, end, depth + 1);
        break;
      case GROUP_END:
        refuse('the end of a group that never began');
        break;
      default:
        refuse('a wire type that there is not');
    }
  }

  /** An unknown field: there are no groups in proto/. */
  #group(number: number, end: number, depth: number): void {
    for (;;) {
      const tag = this.tag(end);
      if ((tag & 7) === GROUP_END) {
        if (tag >>> 3 !== number) refuse('a group that ends as another');
        return;
      }
      this.skip(tag, end, depth);
    }
  }
}

export function refuse(problem: string): never {
  throw new NotWellFormed(problem);
}
