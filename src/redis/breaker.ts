// When not to ask at all: after failures in a row calls fail at once for a while, then one of them finds out.

export type BreakerState = 'closed' | 'open' | 'half-open';

export type BreakerRule = {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** Milliseconds that it stays open at first; each probe that fails doubles them. */
  readonly openForMs: number;
  /** Milliseconds that it stays open at most. */
  readonly openForAtMostMs: number;
};

export class Breaker {
  readonly #rule: BreakerRule;
  readonly #now: () => number;
  readonly #changed: (state: BreakerState) => void;
  #state: BreakerState = 'closed';
  #failures = 0;
  #openForMs: number;
  #probeFromMs = 0;

  /** @param now monotonic milliseconds */
  constructor(rule: BreakerRule, now: () => number, changed: (state: BreakerState) => void = () => {}) {
    this.#rule = rule;
    this.#now = now;
    this.#changed = changed;
    this.#openForMs = rule.openForMs;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether it is open, and the next call would find out. */
  get due(): boolean {
    return this.#state === 'open' && this.#now() >= this.#probeFromMs;
  }

  /** Whether a call may go; whoever may has to say how it went. While half-open one call is under way, and no other may go. */
  allows(): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half-open' || this.#now() < this.#probeFromMs) return false;
    this.#become('half-open');
    return true;
  }

  /** A call succeeded, be it one that was sent before it opened. */
  succeeded(): void {
    this.#failures = 0;
    this.#openForMs = this.#rule.openForMs;
    this.#become('closed');
  }

  failed(): void {
    if (this.#state === 'closed') {
      this.#failures++;
      if (this.#failures >= this.#rule.failures) this.#open();
    } else if (this.#state === 'half-open') {
      this.#openForMs = Math.min(2 * this.#openForMs, this.#rule.openForAtMostMs);
      this.#open();
    }
  }

  #open(): void {
    this.#probeFromMs = this.#now() + this.#openForMs;
    this.#become('open');
  }

  #become(state: BreakerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#changed(state);
  }
}
