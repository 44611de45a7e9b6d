// What a connection has to send in this turn of the event loop, gathered so that it goes out in one write.

import type { Socket } from 'node:net';

const BUFFER_BYTES = 256 * 1024;

/** Gathers bytes and writes them at once. Its buffers go round: a steady run allocates none. */
export class Outbox {
  readonly #socket: Socket;
  readonly #free: Buffer[] = [];
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Adds a copy of the bytes and says where in `buffer` it lies, for patches before the next `add` or `flush`. */
  add(bytes: Buffer): number {
    if (this.#used + bytes.length > this.#buffer.length) {
      this.flush();
      if (bytes.length > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(bytes.length);
    }
    const at = this.#used;
    bytes.copy(this.#buffer, at);
    this.#used += bytes.length;
    return at;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  flush(): void {
    if (this.#used === 0) return;
    const written = this.#buffer;
    this.#socket.write(written.subarray(0, this.#used), () => this.#free.push(written));
    this.#used = 0;
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }
}
