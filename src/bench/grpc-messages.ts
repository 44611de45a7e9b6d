// gRPC's framing of messages inside a stream: five bytes before each, a flag and the length.

export const MESSAGE_PREFIX_BYTES = 5;
/** No answer of a scoring server is larger; a length beyond it is no length. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** The message as it goes on the wire. */
export function framed(message: Uint8Array): Buffer {
  const data = Buffer.alloc(MESSAGE_PREFIX_BYTES + message.length);
  data.writeUInt32BE(message.length, 1);
  data.set(message, MESSAGE_PREFIX_BYTES);
  return data;
}

/** Takes one whole message; it is bytes[start, end), valid during the call only. */
export type MessageHandler = (bytes: Buffer, start: number, end: number) => void;

/** Cuts the DATA of one stream, in pieces of any size, into messages. Those that lie whole in a piece are handed on in place. */
export class MessageReader {
  readonly #onMessage: MessageHandler;
  /** The message that the last piece broke off in. */
  #broken: Buffer = Buffer.alloc(0);
  #brokenBytes = 0;

  constructor(onMessage: MessageHandler) {
    this.#onMessage = onMessage;
  }

  /** A message has begun and not ended. */
  get isInside(): boolean {
    return this.#brokenBytes > 0;
  }

  /** Forgets a message that has begun. */
  reset(): void {
    this.#brokenBytes = 0;
  }

  /** Reads bytes[start, end). */
  read(bytes: Buffer, start: number, end: number): void {
    let at = this.#brokenBytes > 0 ? this.#mend(bytes, start, end) : start;
    while (end - at >= MESSAGE_PREFIX_BYTES) {
      const messageAt = at + MESSAGE_PREFIX_BYTES;
      const messageEnd = messageAt + messageBytesAt(bytes, at);
      if (messageEnd > end) break;
      this.#onMessage(bytes, messageAt, messageEnd);
      at = messageEnd;
    }
    if (at < end) this.#keep(bytes, at, end);
  }

  /** Completes the broken message as far as the bytes reach; returns where it ends in them. */
  #mend(bytes: Buffer, start: number, end: number): number {
    let at = start;
    if (this.#brokenBytes < MESSAGE_PREFIX_BYTES) {
      at = Math.min(end, start + MESSAGE_PREFIX_BYTES - this.#brokenBytes);
      this.#keep(bytes, start, at);
      if (this.#brokenBytes < MESSAGE_PREFIX_BYTES) return at;
    }
    const wholeBytes = MESSAGE_PREFIX_BYTES + messageBytesAt(this.#broken, 0);
    const more = Math.min(wholeBytes - this.#brokenBytes, end - at);
    this.#keep(bytes, at, at + more);
    if (this.#brokenBytes === wholeBytes) {
      this.#brokenBytes = 0;
      this.#onMessage(this.#broken, MESSAGE_PREFIX_BYTES, wholeBytes);
    }
    return at + more;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const needed = this.#brokenBytes + end - start;
    if (needed > this.#broken.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#broken.length, needed, 1024));
      this.#broken.copy(larger, 0, 0, this.#brokenBytes);
      this.#broken = larger;
    }
    bytes.copy(this.#broken, this.#brokenBytes, start, end);
    this.#brokenBytes = needed;
  }
}

function messageBytesAt(bytes: Buffer, at: number): number {
  if (bytes[at] !== 0) throw new Error('a compressed message, though we accept none');
  const length = bytes.readUInt32BE(at + 1);
  if (length > MAX_MESSAGE_BYTES) throw new Error(`a message of ${length} bytes`);
  return length;
}
