// Header blocks as they come: in a HEADERS frame and, where they are long, in CONTINUATION frames behind it.
import { ConnectionError, ErrorCode, protocolError } from './error-codes.ts';
import { FrameFlag, readUint31 } from './frames.ts';
import { type Field, HeaderDecoder } from './header-decoder.ts';
import { RequestHead } from './request-head.ts';

/** Takes a whole block. Its fields are undefined where they are larger than allowed. */
export type OnBlock = (streamId: number, fields: readonly Field[] | undefined, last: boolean, broken: boolean) => void;

export class BlockReader {
  readonly #maxBytes: number;
  readonly #decoder: HeaderDecoder;
  readonly #onBlock: OnBlock;
  /** The stream of a block that goes on; 0 where there is none. */
  #streamId = 0;
  #last = false;
  #broken = false;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #lastFields: readonly Field[] | undefined;
  #lastHead: RequestHead | undefined;

  constructor(maxListBytes: number, onBlock: OnBlock) {
    // What is left out of the list must be read nonetheless, but not without end.
    this.#maxBytes = 2 * maxListBytes;
    this.#decoder = new HeaderDecoder(maxListBytes);
    this.#onBlock = onBlock;
  }

  /** The stream whose CONTINUATION must come next; 0 where any frame may. */
  get openStreamId(): number {
    return this.#streamId;
  }

  /** A HEADERS frame. */
  headers(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    let start = from;
    let end = to;
    if ((flags & FrameFlag.padded) !== 0) end -= bytes[start++] ?? 0;
    let broken = false;
    if ((flags & FrameFlag.priority) !== 0) {
      broken = start + 4 <= end && readUint31(bytes, start) === id;
      start += 5;
    }
    if (end < start) throw protocolError('more padding than frame');
    const last = (flags & FrameFlag.endStream) !== 0;
    if ((flags & FrameFlag.endHeaders) !== 0) {
      this.#onBlock(id, this.#decoder.decode(bytes, start, end), last, broken);
      return;
    }
    this.#streamId = id;
    this.#last = last;
    this.#broken = broken;
    this.#pieces = [Buffer.from(bytes.subarray(start, end))];
    this.#bytes = end - start;
  }

  /** A CONTINUATION frame of the open block. */
  continuation(flags: number, bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > this.#maxBytes) throw new ConnectionError(ErrorCode.enhanceYourCalm, 'headers that do not end');
    this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
    if ((flags & FrameFlag.endHeaders) === 0) return;
    const id = this.#streamId;
    const block = Buffer.concat(this.#pieces, this.#bytes);
    this.#streamId = 0;
    this.#pieces = [];
    this.#onBlock(id, this.#decoder.decode(block, 0, block.length), this.#last, this.#broken);
  }

  /** What the fields say; undefined where that is no request. */
  headOf(fields: readonly Field[]): RequestHead | undefined {
    if (fields !== this.#lastFields) {
      this.#lastFields = fields;
      this.#lastHead = RequestHead.of(fields);
    }
    return this.#lastHead;
  }
}
