/** Reads numbers of variable length from bytes that are known to be well-formed, and allocates nothing on the way. */
export class VarintReader {
  at: number;
  /** The lower and the upper 32 bits of what was read last. */
  low = 0;
  high = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  read(): void {
    const bytes = this.#bytes;
    let byte = bytes[this.at++] as number;
    let low = byte & 0x7f;
    let high = 0;
    for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
      byte = bytes[this.at++] as number;
      low |= (byte & 0x7f) << shift;
    }
    if (byte >= 0x80) {
      // Half of it is above the lower 32 bits.
      byte = bytes[this.at++] as number;
      low |= (byte & 0x0f) << 28;
      high = (byte & 0x70) >> 4;
      for (let shift = 3; byte >= 0x80 && shift < 32; shift += 7) {
        byte = bytes[this.at++] as number;
        high |= (byte & 0x7f) << shift;
      }
    }
    this.low = low;
    this.high = high;
  }

  /** What was read last, as a signed number of 64 bits; rounded where a double can't hold it. */
  get signed(): number {
    return this.high * 2 ** 32 + (this.low >>> 0);
  }

  get bigint(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low >>> 0);
  }
}
