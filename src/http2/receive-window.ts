// What a client may send in bodies, on all streams of its connection together.
import { ConnectionError, ErrorCode } from './error-codes.ts';
import { CONNECTION_WINDOW_BYTES } from './limits.ts';

export class ReceiveWindow {
  #usedBytes = 0;

  /**
   * Takes the bytes of a DATA frame; returns for how many the client is to get new room now.
   * @throws ConnectionError where there was no room for them
   */
  take(bytes: number): number {
    this.#usedBytes += bytes;
    if (this.#usedBytes > CONNECTION_WINDOW_BYTES) {
      throw new ConnectionError(ErrorCode.flowControlError, 'more DATA than the connection has room for');
    }
    if (this.#usedBytes < CONNECTION_WINDOW_BYTES / 2) return 0;
    const used = this.#usedBytes;
    this.#usedBytes = 0;
    return used;
  }
}
