// A clock that stands still until a test moves it, and turns of the event loop that end when a test says so.
import type { Clock } from '../../src/batching/clock.ts';

/** A timer moves time by so much at least: no clock stands still while one waits. */
const LEAST_MS = 1e-6;

type Timer = { dueMs: number; callback: () => void };

export class FakeClock implements Clock {
  #nowMs: number;
  #endOfTurn: (() => void)[] = [];
  #timers: Timer[] = [];

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  endOfTurn(callback: () => void): void {
    this.#endOfTurn.push(callback);
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(ms, LEAST_MS), callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** When the next timer is due; undefined where none is set. */
  get nextTimerMs(): number | undefined {
    return this.#timers.length === 0 ? undefined : Math.min(...this.#timers.map((timer) => timer.dueMs));
  }

  /** Whether something waits for the turn to end. */
  get turnPending(): boolean {
    return this.#endOfTurn.length > 0;
  }

  /** Moves time without anything happening: what a busy event loop sees. */
  skip(ms: number): void {
    this.#nowMs += ms;
  }

  /** Ends turns until nothing waits for one: promises first, as Node does. */
  async endTurn(): Promise<void> {
    await promisesSettled();
    while (this.#endOfTurn.length > 0) {
      const callbacks = this.#endOfTurn;
      this.#endOfTurn = [];
      for (const callback of callbacks) {
        callback();
        await promisesSettled();
      }
    }
  }

  /** Ends the turn, then moves time by `ms`; timers fire on the way, each in a turn of its own. */
  async advance(ms: number): Promise<void> {
    await this.endTurn();
    const endMs = this.#nowMs + ms;
    for (let next = this.#due(endMs); next !== undefined; next = this.#due(endMs)) {
      const timer = next;
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
      await this.endTurn();
    }
    this.#nowMs = endMs;
  }

  #due(endMs: number): Timer | undefined {
    return this.#timers.filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
  }
}

/** Resolves when every promise that can settle by itself has. */
function promisesSettled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
