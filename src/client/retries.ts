import { RetryBudget } from './retry-budget.ts';
import type { ScoreError } from './score-error.ts';
import type { Clock, RetryOptions } from './types.ts';

/** Decides whether and when what failed is tried again; one for all calls of a client. */
export class Retries {
  readonly #options: Required<RetryOptions> | undefined;
  readonly #budget: RetryBudget;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** A stream that breaks gives one error to all that was on it: that is one failure of the server, and not hundreds. */
  readonly #counted = new WeakSet<ScoreError>();

  /** @param options undefined: nothing is retried */
  constructor(options: Required<RetryOptions> | undefined, clock: Clock, random: () => number) {
    this.#options = options;
    this.#budget = new RetryBudget(options?.budgetTokens ?? 0, options?.tokensPerSuccess ?? 0);
    this.#clock = clock;
    this.#random = random;
  }

  succeeded(): void {
    this.#budget.succeeded();
  }

  /** Counts a failure of attempt number `attempt`, from 1; milliseconds to the next one, undefined where there is to be none. */
  waitMs(error: ScoreError, attempt: number, deadlineAtMs: number): number | undefined {
    if (this.#options === undefined || !isSafe(error)) return undefined;
    if (!this.#counted.has(error)) {
      this.#counted.add(error);
      this.#budget.failed();
    }
    if (attempt >= this.#options.maxAttempts || !this.#budget.allows) return undefined;
    const waitMs = error.retryAfterMs ?? backoffMs(attempt, this.#options, this.#random());
    return this.#clock.nowMs() + waitMs < deadlineAtMs ? waitMs : undefined;
  }
}

/** Scoring changes nothing, so whatever may go well the next time may be tried again. */
function isSafe({ code, retryAfterMs }: ScoreError): boolean {
  return code === 'UNAVAILABLE' || (code === 'RESOURCE_EXHAUSTED' && retryAfterMs !== undefined);
}

/** After attempt number `attempt`, from 1: between half of the step and all of it, so that callers don't come back as one. */
export function backoffMs(
  attempt: number,
  { initialBackoffMs, maxBackoffMs }: Pick<Required<RetryOptions>, 'initialBackoffMs' | 'maxBackoffMs'>,
  random: number,
): number {
  const stepMs = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (attempt - 1));
  return (stepMs * (1 + random)) / 2;
}
