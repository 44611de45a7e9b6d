// How much of large messages the server holds at once: what a client says of a message's length is believed, so that a thousand
// halves of large ones can't take the memory that a thousand whole ones would.
import { status as Status } from '@grpc/grpc-js';
import type { RefusedStatus } from './call-head.ts';

/** From here on a message counts as large. */
export const LARGE_BYTES = 1024 * 1024;

export const NO_ROOM: RefusedStatus = {
  code: Status.RESOURCE_EXHAUSTED,
  details: 'the server holds as many large messages as it may; try again later',
};

/** Bytes of large messages, of all calls together. */
export class MessageBudget {
  readonly #limit: number;
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
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
}
