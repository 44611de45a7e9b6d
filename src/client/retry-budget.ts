/**
 * How many retries a client may add to a server's load, as in gRPC's retry throttling (proposal A6): failures empty it, successes
 * fill it slowly, and below half nothing is retried.
 */
export class RetryBudget {
  readonly #most: number;
  readonly #perSuccess: number;
  #tokens: number;

  constructor(tokens: number, perSuccess: number) {
    this.#most = tokens;
    this.#perSuccess = perSuccess;
    this.#tokens = tokens;
  }

  /** Whether there is something left for retries. */
  get allows(): boolean {
    return this.#tokens > this.#most / 2;
  }

  failed(): void {
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  succeeded(): void {
    this.#tokens = Math.min(this.#most, this.#tokens + this.#perSuccess);
  }
}
