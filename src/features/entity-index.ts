// Rows by entity, outside of the heap: millions of them are nothing to a garbage collector.

/** All of it lies in buffers, which may go to another thread. */
export type EntityIndexParts = {
  /** Two words a slot, by open addressing: the second half of the hash, and 1 + the row; 0 where nothing is. */
  slots: Uint32Array<ArrayBuffer>;
  /** The entities' texts one after the other, as UTF-8. */
  keys: Uint8Array<ArrayBuffer>;
  /** Where each row's text ends. */
  ends: Uint32Array<ArrayBuffer>;
  rows: number;
};

const LEAST_SLOTS = 1024;

export class EntityIndex {
  #slots: Uint32Array<ArrayBuffer>;
  #keys: Uint8Array<ArrayBuffer>;
  #ends: Uint32Array<ArrayBuffer>;
  #rows: number;
  /** The text that was looked for last, and the two halves of its hash. */
  #text = new Uint8Array(256);
  #length = 0;
  #hash = 0;
  #tag = 0;

  constructor(parts?: EntityIndexParts) {
    this.#slots = parts?.slots ?? new Uint32Array(2 * LEAST_SLOTS);
    this.#keys = parts?.keys ?? new Uint8Array(16 * LEAST_SLOTS);
    this.#ends = parts?.ends ?? new Uint32Array(LEAST_SLOTS);
    this.#rows = parts?.rows ?? 0;
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#slots.byteLength + this.#keys.byteLength + this.#ends.byteLength;
  }

  /** -1 where there is none. */
  rowOf(entity: string): number {
    this.#read(entity);
    return (this.#slots[2 * this.#find() + 1] as number) - 1;
  }

  /** The entity's row: the one that it has, or the next one. */
  rowFor(entity: string): number {
    this.#read(entity);
    const slot = this.#find();
    const known = this.#slots[2 * slot + 1] as number;
    if (known > 0) return known - 1;
    const row = this.#rows++;
    this.#slots[2 * slot] = this.#tag;
    this.#slots[2 * slot + 1] = row + 1;
    this.#keep(row);
    if (4 * this.#rows > this.#slots.length) this.#spread();
    return row;
  }

  /** What another index can be made from; this one is of no use any more. */
  parts(): EntityIndexParts {
    const rows = this.#rows;
    const bytes = rows === 0 ? 0 : (this.#ends[rows - 1] as number);
    return {
      slots: this.#slots,
      keys: new Uint8Array(this.#keys.buffer.transfer(bytes)),
      ends: new Uint32Array(this.#ends.buffer.transfer(4 * rows)),
      rows,
    };
  }

  #read(entity: string): void {
    if (3 * entity.length > this.#text.length) this.#text = new Uint8Array(6 * entity.length);
    const text = this.#text;
    let length = 0;
    for (; length < entity.length; length++) {
      const code = entity.charCodeAt(length);
      if (code > 127) {
        length = new TextEncoder().encodeInto(entity, text).written;
        break;
      }
      text[length] = code;
    }
    this.#length = length;
    this.#hashOf(text, 0, length);
  }

  #hashOf(bytes: Uint8Array, from: number, to: number): void {
    let first = 0x811c9dc5 ^ (to - from);
    let second = 0x9747b28c;
    for (let i = from; i < to; i++) {
      const byte = bytes[i] as number;
      first = Math.imul(first ^ byte, 0x01000193);
      second = Math.imul(second + byte, 0x5bd1e995);
      second ^= second >>> 15;
    }
    this.#hash = mixed(first);
    this.#tag = mixed(second ^ first);
  }

  /** The slot of what was read, or the one where it would be. */
  #find(): number {
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    for (let slot = this.#hash & mask; ; slot = (slot + 1) & mask) {
      const row = slots[2 * slot + 1] as number;
      if (row === 0 || (slots[2 * slot] === this.#tag && this.#isText(row - 1))) return slot;
    }
  }

  #isText(row: number): boolean {
    const from = row === 0 ? 0 : (this.#ends[row - 1] as number);
    if ((this.#ends[row] as number) - from !== this.#length) return false;
    for (let i = 0; i < this.#length; i++) if (this.#keys[from + i] !== this.#text[i]) return false;
    return true;
  }

  #keep(row: number): void {
    const from = row === 0 ? 0 : (this.#ends[row - 1] as number);
    const end = from + this.#length;
    if (end >= 2 ** 32) throw new Error('the texts of all entities together have more than 4 GiB');
    if (end > this.#keys.length) this.#keys = new Uint8Array(this.#keys.buffer.transfer(2 * end));
    if (row >= this.#ends.length) this.#ends = new Uint32Array(this.#ends.buffer.transfer(8 * row));
    this.#keys.set(this.#text.subarray(0, this.#length), from);
    this.#ends[row] = end;
  }

  /** Twice the slots. */
  #spread(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    const mask = this.#slots.length / 2 - 1;
    for (let row = 0, from = 0; row < this.#rows; row++) {
      const end = this.#ends[row] as number;
      this.#hashOf(this.#keys, from, end);
      let slot = this.#hash & mask;
      while (this.#slots[2 * slot + 1] !== 0) slot = (slot + 1) & mask;
      this.#slots[2 * slot] = this.#tag;
      this.#slots[2 * slot + 1] = row + 1;
      from = end;
    }
  }
}

/** Each bit of the result depends on each of the number (MurmurHash3). */
function mixed(number: number): number {
  let bits = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
