// Reads protobuf in place: of an answer only a few fields matter, and decoding it whole would cost more than the call.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Walks over a message's fields. One instance is used again and again: walking allocates nothing. */
export class ProtoCursor {
  bytes: Buffer = Buffer.alloc(0);
  /** Of the field that `next` has read. */
  field = 0;
  /** A varint's value; above 2^53 it is rounded. 0 for other types. */
  value = 0;
  /** Where a field's content lies, of all types but varints. */
  start = 0;
  end = 0;

  #at = 0;
  #limit = 0;

  /** Begins with the message in bytes[start, end). */
  enter(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.#at = start;
    this.#limit = end;
  }

  /** Reads the next field; false at the message's end. */
  next(): boolean {
    if (this.#at >= this.#limit) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.value = 0;
    switch (tag & 7) {
      case VARINT:
        this.value = this.#varint();
        this.start = this.#at;
        break;
      case FIXED64:
        this.#take(8);
        break;
      case BYTES:
        this.#take(this.#varint());
        break;
      case FIXED32:
        this.#take(4);
        break;
      default:
        throw new Error('an answer that is not protobuf');
    }
    if (this.#at > this.#limit) throw new Error('an answer that ends in the middle of a field');
    return true;
  }

  /** The field's content as text. */
  text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }

  #take(length: number): void {
    this.start = this.#at;
    this.end = this.#at + length;
    this.#at = this.end;
  }

  #varint(): number {
    const { bytes } = this;
    let byte = bytes[this.#at++] as number;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 128;
    for (let length = 2; length <= 10; length++) {
      byte = bytes[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new Error('an answer that is not protobuf');
  }
}
