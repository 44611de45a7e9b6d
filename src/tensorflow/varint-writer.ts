/** Writes to bytes that have room for it; what varintBytes and wideVarintBytes say is what it takes. */
export class VarintWriter {
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** A number of 32 bits; a negative one becomes one of 64 bits, as protobuf has it. */
  write(value: number): void {
    if (value < 0) {
      this.writeWide(value, -1);
      return;
    }
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.at++] = rest;
  }

  /** A number of 64 bits by its halves. */
  writeWide(low: number, high: number): void {
    let lower = low >>> 0;
    let upper = high >>> 0;
    while (upper > 0 || lower >= 0x80) {
      this.#bytes[this.at++] = (lower & 0x7f) | 0x80;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    this.#bytes[this.at++] = lower;
  }

  bytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.at);
    this.at += bytes.length;
  }
}

/** Bytes of a number of 32 bits, be it signed or not. */
export function varintBytes(value: number): number {
  if (value < 0) return 10;
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

/** Bytes of a number of 64 bits by its halves. */
export function wideVarintBytes(low: number, high: number): number {
  const upper = high >>> 0;
  if (upper === 0) return varintBytes(low >>> 0);
  if (upper < 8) return 5;
  return upper < 0x400 ? 6 : upper < 0x20000 ? 7 : upper < 0x1000000 ? 8 : upper < 0x80000000 ? 9 : 10;
}
