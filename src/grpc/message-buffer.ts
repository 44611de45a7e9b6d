// A message that comes in pieces, put together.

import { PREFIX_BYTES } from './call-head.ts';

/** Room that a message gets before any more of it is there: what it says of its own length is only a claim. */
const FIRST_BYTES = 64 * 1024;

/** Bytes of messages, prefixes included, beginning with a prefix. */
export class MessageBuffer {
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  #spare: Buffer | undefined;

  /** Where what is there and what comes belongs, as far as there is room in it: else it would be moved as it grows. */
  use(buffer: Buffer): void {
    this.#spare = buffer;
  }

  /** Bytes that are there. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** Those bytes; valid until more are added. */
  get bytes(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** The first message's length as its prefix says; undefined before that is whole. */
  get length(): number | undefined {
    return this.size < PREFIX_BYTES ? undefined : this.#bytes.readUInt32BE(this.#start + 1);
  }

  /** Copies bytes[start, end) behind those that are there. */
  add(bytes: Buffer, start: number, end: number): void {
    if (this.#end + end - start > this.#bytes.length) this.#makeRoom(bytes, start, end);
    bytes.copy(this.#bytes, this.#end, start, end);
    this.#end += end - start;
  }

  /** Forgets so many bytes from the front. */
  drop(bytes: number): void {
    this.#start += bytes;
    if (this.#start === this.#end) this.clear();
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#spare = undefined;
  }

  #makeRoom(bytes: Buffer, start: number, end: number): void {
    const { size } = this;
    const needed = size + end - start;
    // The prefix is mostly whole in the first piece, and then says what room there must be.
    const said = this.length ?? (size === 0 && end - start >= PREFIX_BYTES ? bytes.readUInt32BE(start + 1) : 0);
    const first = PREFIX_BYTES + said;
    // Where there is more than the first message, twice the room: else every further piece would move all of it.
    let room = needed;
    if (needed <= first) room = Math.min(first, Math.max(FIRST_BYTES, 2 * needed));
    else if (size > 0) room = 2 * needed;
    const fits = this.#spare !== undefined && this.#spare.length >= room;
    const larger = fits ? (this.#spare as Buffer) : Buffer.allocUnsafe(room);
    this.#spare = undefined;
    this.#bytes.copy(larger, 0, this.#start, this.#end);
    this.#bytes = larger;
    this.#start = 0;
    this.#end = size;
  }
}

const EMPTY = Buffer.alloc(0);
