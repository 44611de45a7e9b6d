// What a connection has to send, gathered over one turn of the event loop so that it goes out in one write.
import type { Socket } from 'node:net';

const BUFFER_BYTES = 16 * 1024;
/** Buffers that are kept for later, of all connections together: each has one or two under way while it is busy, else none. */
const MAX_FREE = 64;
/** Bytes that the socket may hold back before nothing more is asked of it. */
const CONGESTED_BYTES = 256 * 1024;
/** Buffers that the socket may hold before the next is filled to its end: each is held whole, however little is in it. */
const MOST_LENT_EARLY = 4;

const free: Buffer[] = [];

/** Gathers bytes in place. Its buffers go round: a steady run allocates none. */
export class Outbox {
  readonly #socket: Socket;
  /** Buffers that the socket still reads, oldest first. */
  readonly #lent: Buffer[] = [];
  #buffer: Buffer | undefined;
  #used = 0;
  #scheduled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Where what was reserved last is written; valid until the next call. */
  get buffer(): Buffer {
    return this.#buffer as Buffer;
  }

  /** Whether the peer doesn't take what it was sent: the socket's `drain` says when it does. */
  get congested(): boolean {
    return this.#socket.writableLength > CONGESTED_BYTES;
  }

  /** Room for so many bytes; returns where in `buffer`. They go out at the end of the turn, or once the socket takes them. */
  reserve(bytes: number): number {
    if (this.#buffer === undefined || this.#used + bytes > this.#buffer.length) {
      this.flush();
      if (bytes > BUFFER_BYTES) this.#buffer = Buffer.allocUnsafeSlow(bytes);
      else this.#buffer = free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(flushScheduled, this);
    }
    const at = this.#used;
    this.#used += bytes;
    return at;
  }

  /** For a copy of the bytes, as `reserve`. */
  add(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.buffer.set(bytes, at);
  }

  /** Hands on what there is at once. */
  flush(): void {
    if (this.#used === 0) return;
    const full = this.buffer;
    const used = this.#used;
    this.#buffer = undefined;
    this.#used = 0;
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#lent.push(full);
    this.#socket.write(full.subarray(0, used), this.#onWritten);
  }

  readonly #onWritten = (): void => {
    const buffer = this.#lent.shift() as Buffer;
    if (buffer.length === BUFFER_BYTES && free.length < MAX_FREE) free.push(buffer);
    if (!this.#scheduled) this.#flushWhole();
  };

  /** For `flushScheduled`. */
  turnEnded(): void {
    this.#scheduled = false;
    this.#flushWhole();
  }

  /** Unless there are many with the socket: then this one waits for one of them to come back, or to be full. */
  #flushWhole(): void {
    if (this.#lent.length < MOST_LENT_EARLY) this.flush();
  }
}

function flushScheduled(outbox: Outbox): void {
  outbox.turnEnded();
}
