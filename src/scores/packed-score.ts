// A stored score as the bytes that Redis keeps. Lua scripts read the times at their places, so those never move.
import { allocate, DATA_TYPES, elementCount, type Tensor, type TensorData } from '../tensor.ts';
import type { StoredScore } from './score-store.ts';

/** First byte of every entry; another layout gets another one, and its entries count as absent to this one. */
const LAYOUT = 1;

/** Offsets of what has a fixed place, little-endian. */
const AT = { layout: 0, score: 1, label: 5, scoredAtMs: 9, featuresAsOfMs: 17, keptUntilMs: 25, rest: 33 } as const;

/** For Lua's struct.unpack: from one byte on, which Lua counts from 1. */
export const LUA_PLACES = {
  layout: `string.char(${LAYOUT})`,
  least: AT.rest,
  scoredAt: AT.scoredAtMs + 1,
  featuresAsOf: AT.featuresAsOfMs + 1,
  keptUntil: AT.keptUntilMs + 1,
} as const;

/** Thrown by readers beyond the end, and never seen outside. */
class Malformed extends Error {}

export function packScore(stored: StoredScore): Buffer {
  const writer = new Writer();
  writer.text(stored.job);
  writer.uint32(stored.outputs?.size ?? NO_OUTPUTS);
  for (const [name, tensor] of stored.outputs ?? []) {
    writer.text(name);
    writer.tensor(tensor);
  }
  const bytes = Buffer.allocUnsafe(AT.rest + writer.length);
  bytes.writeUInt8(LAYOUT, AT.layout);
  bytes.writeFloatLE(stored.score, AT.score);
  bytes.writeInt32LE(stored.label, AT.label);
  bytes.writeDoubleLE(stored.scoredAtMs, AT.scoredAtMs);
  bytes.writeDoubleLE(stored.featuresAsOfMs, AT.featuresAsOfMs);
  bytes.writeDoubleLE(stored.keptUntilMs, AT.keptUntilMs);
  writer.copyInto(bytes, AT.rest);
  return bytes;
}

/** The score in these bytes; undefined where they are none. The score has nothing of the bytes' memory. */
export function unpackScore(bytes: Buffer): StoredScore | undefined {
  if (bytes.length < AT.rest || bytes[AT.layout] !== LAYOUT) return undefined;
  const score = bytes.readFloatLE(AT.score);
  const label = bytes.readInt32LE(AT.label);
  const scoredAtMs = bytes.readDoubleLE(AT.scoredAtMs);
  const featuresAsOfMs = bytes.readDoubleLE(AT.featuresAsOfMs);
  const keptUntilMs = bytes.readDoubleLE(AT.keptUntilMs);
  // Without a time nobody could tell how old it is.
  if (!Number.isFinite(scoredAtMs) || !Number.isFinite(featuresAsOfMs) || Number.isNaN(keptUntilMs)) return undefined;
  try {
    const reader = new Reader(bytes, AT.rest);
    const job = reader.text();
    const outputs = reader.outputs();
    if (!reader.atEnd) return undefined;
    return { score, label, outputs, scoredAtMs, featuresAsOfMs, keptUntilMs, job };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** A number of outputs that there can't be. */
const NO_OUTPUTS = 0xffff_ffff;

class Writer {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  uint32(value: number): void {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(value);
    this.bytes(bytes);
  }

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.uint32(bytes.length);
    this.bytes(bytes);
  }

  tensor({ type, dims, data }: Tensor): void {
    this.uint32(DATA_TYPES.indexOf(type));
    this.uint32(dims.length);
    for (const dim of dims) this.uint32(dim);
    if (Array.isArray(data)) {
      for (const text of data) this.text(text);
    } else {
      this.bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }

  copyInto(target: Uint8Array, offset: number): void {
    let at = offset;
    for (const part of this.#parts) {
      target.set(part, at);
      at += part.length;
    }
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#advance(4));
  }

  text(): string {
    const length = this.uint32();
    if (length === 0) return '';
    const from = this.#advance(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  outputs(): ReadonlyMap<string, Tensor> | undefined {
    const count = this.uint32();
    if (count === NO_OUTPUTS) return undefined;
    const outputs = new Map<string, Tensor>();
    for (let i = 0; i < count; i++) outputs.set(this.text(), this.#tensor());
    return outputs;
  }

  #tensor(): Tensor {
    const type = DATA_TYPES[this.uint32()];
    const rank = this.uint32();
    if (type === undefined || rank > 64) throw new Malformed();
    const dims = Array.from({ length: rank }, () => this.uint32());
    const count = elementCount(dims);
    // An element takes a byte at least; what was garbled must not make arrays of gigabytes.
    if (count > this.#bytes.length - this.#at) throw new Malformed();
    return { type, dims, data: this.#data(allocate(type, count)) };
  }

  #data(data: TensorData): TensorData {
    if (Array.isArray(data)) return data.map(() => this.text());
    const from = this.#advance(data.byteLength);
    const target = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    target.set(this.#bytes.subarray(from, from + data.byteLength));
    return data;
  }

  /** Where the next `count` bytes begin. */
  #advance(count: number): number {
    const from = this.#at;
    if (from + count > this.#bytes.length) throw new Malformed();
    this.#at += count;
    return from;
  }
}
