/** Time as the scheduler knows it, so that tests can make it stand still. */
export interface Clock {
  /** Monotonic milliseconds, with fractions. */
  nowMs(): number;
  /** Calls back at the end of this event-loop turn, when everything that the turn read has been queued. */
  endOfTurn(callback: () => void): void;
  /** Calls back after `ms` milliseconds; returns a function that calls it off. */
  after(ms: number, callback: () => void): () => void;
}

/** Node's timers can't wait less than this; a shorter wait passes the turns instead. */
const LEAST_TIMER_MS = 1.5;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  endOfTurn: (callback) => {
    setImmediate(callback);
  },
  after: (ms, callback) => {
    if (ms >= LEAST_TIMER_MS) {
      const timer = setTimeout(callback, ms - 1);
      return () => clearTimeout(timer);
    }
    const immediate = setImmediate(callback);
    return () => clearImmediate(immediate);
  },
};
