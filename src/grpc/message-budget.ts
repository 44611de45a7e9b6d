// How much of large messages the server holds at once: what a client says of a message's length is believed, so that a thousand
// halves of large ones can't take the memory that a thousand whole ones would.
import { ScorewireError } from '../errors.ts';

/** From here on a message counts as large. */
export const LARGE_BYTES = 1024 * 1024;

/** Bytes of buffers that are kept for the next large message, and how long. */
const MAX_SPARE_BYTES = 128 * 1024 * 1024;
const SPARE_MS = 10_000;

/** Bytes of large messages, of all calls together; and their buffers, which go round: fifty fresh megabytes cost more than to fill them. */
export class MessageBudget {
  readonly #limit: number;
  #held = 0;
  #spare: Buffer[] = [];
  #spareBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws ScorewireError INVALID_ARGUMENT for what there is no room for though nobody else has any */
  check(bytes: number): void {
    if (bytes <= this.#limit) return;
    throw new ScorewireError(
      'invalid_argument',
      'TOO_LARGE_TO_HOLD',
      `what the request takes in memory, about ${Math.ceil(bytes)} bytes, is more than limits.max_batch_bytes has room for (${this.#limit}); send it in several requests`,
    );
  }

  /** False: there is no room. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#limit) return false;
    this.#held += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#held -= bytes;
  }

  /** A buffer of at least so many bytes, for whoever has taken them. There may be another message's bytes in it. */
  lend(bytes: number): Buffer {
    const fits = this.#spare.findIndex(({ length }) => length >= bytes && length < 2 * bytes);
    if (fits < 0) return Buffer.allocUnsafeSlow(sizeFor(bytes));
    const [buffer] = this.#spare.splice(fits, 1) as [Buffer];
    this.#spareBytes -= buffer.length;
    return buffer;
  }

  /** Takes one back that nobody reads any more. */
  return(buffer: Buffer): void {
    if (this.#spareBytes + buffer.length > MAX_SPARE_BYTES) return;
    this.#spare.push(buffer);
    this.#spareBytes += buffer.length;
    this.#timer ??= setTimeout(() => this.#forget(), SPARE_MS).unref();
    this.#timer.refresh();
  }

  #forget(): void {
    this.#spare = [];
    this.#spareBytes = 0;
  }
}

/** Sizes in steps of an eighth, so that the next message of about the same size fits. Pages that nobody touches are none. */
function sizeFor(bytes: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}
