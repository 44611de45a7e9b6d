// Where a job's scores go: files, and the score store on top.
import type { PutCounts } from '../scores/score-store.ts';

/** Why a row has no score. */
export type RejectedRow = {
  /** From the first of all. */
  row: number;
  entityId: string | null;
  reason: string;
  /** The feature at fault; empty where none is. */
  field: string;
  message: string;
  /** The row's features as JSON. */
  values: string;
};

/** Rows that lie together, with what became of them. */
export type ScoredRows = {
  firstRow: number;
  /** NaN where the row was rejected. */
  scores: Float32Array;
  /** -1 where there is none. */
  labels: Int32Array;
  /** Index in the model's segments, -1 where there is none. */
  segments: Int32Array;
  rejected: readonly RejectedRow[];
  scoredAtMs: number;
  /** Since when the features hold that a row was scored by, milliseconds since 1970. */
  asOfMs: Float64Array;
  /** null where a row is about nobody. */
  entities(): readonly (string | null)[];
};

/** What a job that ended says about all of its rows, those of earlier runs of it included. */
export type JobCounts = {
  /** Rows of the input, what was no row and only looked like one included. */
  rows: number;
  scored: number;
  /** By reason. */
  rejected: Readonly<Record<string, number>>;
  /** Rows by segment, in the model's order; empty where it has none. */
  segments: Readonly<Record<string, number>>;
  /** What became of scores that were put into the score store, by this run; absent where none were to be. */
  stored?: PutCounts;
};

export interface JobSink {
  /** Rows that are kept already, by a run before this one: scoring goes on behind them. */
  readonly rowsKept: number;
  /** How many of those were rejected. */
  readonly rejectedKept: number;
  /** Takes the next rows, in order. */
  take(rows: ScoredRows): Promise<void>;
  /** From here on all that was taken outlives the process. */
  keep(): Promise<void>;
  /** After the last row was kept: makes the result visible, all of it at once. */
  finish(): Promise<JobCounts>;
}
