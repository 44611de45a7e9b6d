// From what a caller sends to rows that can be encoded: the same for calls, streams, batches, jobs and refreshes.
import type { ScorewireError } from '../errors.ts';
import type { Row } from './row.ts';
import type { RowSource } from './row-source.ts';

/** A row with all that could be found for it. */
export type CompleteRow = {
  row: Row;
  /** When the oldest of its stored features was true, milliseconds since 1970; without any of those, now. */
  asOfMs: number;
};

/** Rows with all that could be found for them. */
export type CompleteRows = {
  rows: RowSource;
  /** As of one row: one a row. */
  asOfMs: Float64Array;
  /** Rows that can't be completed; `row` counts from the first of these rows. What `rows` has for them means nothing. */
  errors: readonly { row: number; error: ScorewireError }[];
};

export interface FeaturePipeline {
  /** Whether an entity alone is enough to find features by. */
  readonly byEntity: boolean;
  /**
   * Completes a row. What the request brings wins over what is computed, that over what the store has, that over defaults
   * (which the encoder fills in).
   * @param row undefined: the entity alone
   * @param entity canonical; '' where there is none
   * @param withinMs how long the caller waits for a feature store at most
   * @throws ScorewireError (or rejects with) INVALID_ARGUMENT that names what is missing, FAILED_PRECONDITION (NO_FEATURES) for
   * an entity alone where the model has no feature store, UNAVAILABLE (FEATURES_UNAVAILABLE)
   */
  complete(row: Row | undefined, entity: string, nowMs: number, withinMs: number): CompleteRow | Promise<CompleteRow>;
  /**
   * Completes rows [from, to) of `rows`, or the entities alone.
   * @param entities of rows [from, to); undefined where the rows have none
   */
  completeMany(
    rows: RowSource | undefined,
    entities: readonly string[] | undefined,
    from: number,
    to: number,
    nowMs: number,
    withinMs: number,
  ): Promise<CompleteRows>;
}
