// The rule that says when a batch is closed, and with how many rows. Pure: a table of cases is its test.

export type CloseInput = {
  /** Now, on the scheduler's clock, milliseconds. */
  nowMs: number;
  /** Rows that could ride together, oldest first: when each should be answered (client's deadline or budget). */
  dueMs: ArrayLike<number>;
  /** How many entries of `dueMs` count; at least 1. */
  queued: number;
  /** When the oldest of them came. */
  oldestMs: number;
  /** The most rows a batch may have. */
  maxRows: number;
  /** Beyond this many rows a larger batch saves nothing. */
  kneeRows: number;
  /** How long the oldest may wait for company; 0 is the default. */
  maxDelayMs: number;
  /** Milliseconds that a batch of so many rows takes, hand-over included. */
  predictMs: (rows: number) => number;
};

/** Run the oldest `rows` now; or, if `rows` is 0, wait up to `waitMs` for more. */
export type CloseDecision = { rows: number; waitMs: number };

/**
 * The largest batch that keeps what it can keep:
 * - never beyond `maxRows` nor the knee, where rows wait longer and none gets cheaper;
 * - no row is made late by company: a row that the batch ending with it would answer in time sets the size;
 * - a row that would be late even then no longer counts: holding others back doesn't help it;
 * - it waits only if a delay is configured, only while the batch is not full, and never into a row's due time.
 */
export function closeBatch(input: CloseInput): CloseDecision {
  const { nowMs, dueMs, queued, predictMs } = input;
  const most = Math.min(input.maxRows, input.kneeRows);
  const limit = Math.min(queued, most);
  let rows = limit;
  let takesMs = predictMs(rows);
  let soonestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rows; i++) {
    const slackMs = (dueMs[i] as number) - nowMs;
    soonestMs = Math.min(soonestMs, slackMs);
    if (slackMs >= takesMs || slackMs < predictMs(i + 1)) continue;
    // Fewer rows take less, so every row before this one stays in time as well.
    while (rows > i + 1 && takesMs > slackMs) takesMs = predictMs(--rows);
  }
  if (input.maxDelayMs > 0 && limit < most) {
    const waitMs = Math.min(input.oldestMs + input.maxDelayMs - nowMs, soonestMs - predictMs(rows + 1));
    if (waitMs > 0) return { rows: 0, waitMs };
  }
  return { rows, waitMs: 0 };
}
