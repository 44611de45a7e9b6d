// The door: whether the server takes calls at all, and how many at once.
import { ScorewireError } from '../errors.ts';

/** Milliseconds that a caller is told to stay away when the server holds as many calls as it may. */
const FULL_RETRY_MS = 20;

export class Admission {
  readonly #limit: number;
  #inFlight = 0;
  #state: 'starting' | 'open' | 'draining' = 'starting';
  #whenEmpty: (() => void) | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  open(): void {
    this.#state = 'open';
  }

  /** From here new calls are refused; those under way go on. */
  drain(): void {
    this.#state = 'draining';
  }

  /**
   * Takes a permit; whoever gets one gives it back by `leave`, once.
   * @throws ScorewireError UNAVAILABLE before start-up ends and while draining, RESOURCE_EXHAUSTED when full.
   */
  enter(): void {
    if (this.#state !== 'open') {
      throw this.#state === 'starting'
        ? new ScorewireError('unavailable', 'NOT_READY', 'the server is not ready yet; try again')
        : new ScorewireError('unavailable', 'DRAINING', 'the server is shutting down; try another one');
    }
    if (this.#inFlight >= this.#limit) {
      throw new ScorewireError(
        'overloaded',
        'TOO_MANY_CALLS',
        `the server holds ${this.#limit} calls; try again later`,
        {
          retryAfterMs: FULL_RETRY_MS,
        },
      );
    }
    this.#inFlight++;
  }

  leave(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#whenEmpty?.();
  }

  /** Resolves when no call is under way; only meant for after `drain`. */
  async empty(): Promise<void> {
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
  }
}
