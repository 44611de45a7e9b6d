// Our side of one HTTP/2 stream whose data may not fit the peer's windows: what they don't allow yet waits here.

import {
  encodeFrame,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
  MAX_FRAME_BYTES,
  writeFrameHeader,
} from '../http2/frames.ts';
import type { Http2Link } from './http2-link.ts';

/** HTTP/2's CANCEL. */
const CANCEL = Buffer.from([0, 0, 0, 8]);
const HEADER = Buffer.alloc(FRAME_HEADER_BYTES);
const NOTHING = Buffer.alloc(0);

export class SendingStream {
  readonly id: number;
  /** What the peer takes on this stream. */
  windowBytes: number;
  readonly #link: Http2Link;
  #waiting: Buffer = NOTHING;
  #waitingAt = 0;
  #ends = false;
  #ended = false;

  /** Opens a stream with this header block; the link must take one. */
  constructor(link: Http2Link, headerBlock: Buffer) {
    this.#link = link;
    this.id = link.takeStreamId();
    this.windowBytes = link.peerInitialWindowBytes;
    writeFrameHeader(HEADER, 0, headerBlock.length, FrameType.headers, FrameFlag.endHeaders, this.id);
    link.outbox.add(HEADER);
    link.outbox.add(headerBlock);
  }

  /** Bytes wait for a window. */
  get isWaiting(): boolean {
    return this.#waitingAt < this.#waiting.length;
  }

  /** Sends the bytes, or as many as the windows allow; they must stay as they are. Not while others wait. */
  send(bytes: Buffer, ends: boolean): void {
    this.#waiting = bytes;
    this.#waitingAt = 0;
    this.#ends = ends;
    this.resume();
  }

  /** Goes on, as far as the windows allow now. */
  resume(): void {
    const link = this.#link;
    while (this.isWaiting) {
      const left = this.#waiting.length - this.#waitingAt;
      const bytes = Math.min(left, MAX_FRAME_BYTES, this.windowBytes, link.sendWindowBytes);
      if (bytes <= 0) return;
      const last = this.#ends && bytes === left;
      writeFrameHeader(HEADER, 0, bytes, FrameType.data, last ? FrameFlag.endStream : 0, this.id);
      link.outbox.add(HEADER);
      link.outbox.add(this.#waiting.subarray(this.#waitingAt, this.#waitingAt + bytes));
      this.#waitingAt += bytes;
      this.windowBytes -= bytes;
      link.sendWindowBytes -= bytes;
      if (last) this.#ended = true;
    }
    this.#waiting = NOTHING;
    this.#waitingAt = 0;
  }

  /** Nothing more comes from us, after what waits. */
  close(): void {
    if (this.#ended) return;
    if (this.isWaiting) {
      this.#ends = true;
      return;
    }
    this.#ended = true;
    this.#link.outbox.add(encodeFrame(FrameType.data, FrameFlag.endStream, this.id, NOTHING));
  }

  /** The peer has ended the stream: what waits is given up, and the peer told so. */
  abandon(): void {
    const breaksOff = this.isWaiting;
    if (!breaksOff) this.close();
    else if (!this.#ended) this.#link.outbox.add(encodeFrame(FrameType.rstStream, 0, this.id, CANCEL));
    this.forget();
  }

  /** The peer has reset the stream: there is nothing to say on it any more. */
  forget(): void {
    this.#ended = true;
    this.#waiting = NOTHING;
    this.#waitingAt = 0;
  }
}
