// The rule that says when a batch is closed, and with how many rows. Pure: a table of cases is its test.

export type CloseInput = {
  /** Now, on the scheduler's clock, milliseconds. */
  nowMs: number;
  /** Requests that could ride together, oldest first: when each should be answered (client's deadline or budget). */
  dueMs: ArrayLike<number>;
  /** How many rows each of them and those before it have, together. */
  rowsUpTo: ArrayLike<number>;
  /** How many entries of `dueMs` count; at least 1. */
  queued: number;
  /** When the oldest of them came. */
  oldestMs: number;
  /** The most rows a batch may have; a single request may have more. */
  maxRows: number;
  /** Beyond this many rows a larger batch saves nothing. */
  kneeRows: number;
  /** How long the oldest may wait for company; 0 is the default. */
  maxDelayMs: number;
  /** Milliseconds that a batch of so many rows takes, hand-over included. */
  predictMs: (rows: number) => number;
};

/** Run the oldest `requests` now; or, if that is 0, wait up to `waitMs` for more. */
export type CloseDecision = { requests: number; waitMs: number };

/**
 * The largest batch that keeps what it can keep:
 * - never beyond `maxRows` nor the knee, where rows wait longer and none gets cheaper;
 * - nothing is made late by company: a request that the batch ending with it would answer in time sets the size;
 * - one that would be late even then no longer counts: holding others back doesn't help it;
 * - it waits only if a delay is configured, only while the batch is not full, and never into a due time.
 */
export function closeBatch(input: CloseInput): CloseDecision {
  const { nowMs, dueMs, rowsUpTo, queued, predictMs } = input;
  const most = Math.min(input.maxRows, input.kneeRows);
  let limit = 1;
  while (limit < queued && (rowsUpTo[limit] as number) <= most) limit++;
  let requests = limit;
  let takesMs = predictMs(rowsUpTo[requests - 1] as number);
  let soonestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < requests; i++) {
    const slackMs = (dueMs[i] as number) - nowMs;
    soonestMs = Math.min(soonestMs, slackMs);
    if (slackMs >= takesMs || slackMs < predictMs(rowsUpTo[i] as number)) continue;
    // Fewer rows take less, so every request before this one stays in time as well.
    while (requests > i + 1 && takesMs > slackMs) takesMs = predictMs(rowsUpTo[--requests - 1] as number);
  }
  if (input.maxDelayMs > 0 && limit === queued && (rowsUpTo[limit - 1] as number) < most) {
    const more = (rowsUpTo[requests - 1] as number) + 1;
    const waitMs = Math.min(input.oldestMs + input.maxDelayMs - nowMs, soonestMs - predictMs(more));
    if (waitMs > 0) return { requests: 0, waitMs };
  }
  return { requests, waitMs: 0 };
}
