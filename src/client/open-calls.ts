import { ScoreError } from './score-error.ts';

/** What a client still has under way, so that closing it can wait for that. */
export class OpenCalls {
  #open = 0;
  #closed = false;
  readonly #empty = Promise.withResolvers<void>();

  /** @throws ScoreError CANCELLED once the client is closed */
  enter(): void {
    if (this.#closed) throw new ScoreError('CANCELLED', 'the client is closed', { reason: 'CLIENT_CLOSED' });
    this.#open++;
  }

  leave(): void {
    this.#open--;
    if (this.#closed && this.#open === 0) this.#empty.resolve();
  }

  /** Of `call`, while it is under way. */
  async within<T>(call: () => Promise<T>): Promise<T> {
    this.enter();
    try {
      return await call();
    } finally {
      this.leave();
    }
  }

  /** Lets nothing more in; resolves when all that is in has left. */
  close(): Promise<void> {
    this.#closed = true;
    if (this.#open === 0) this.#empty.resolve();
    return this.#empty.promise;
  }
}
