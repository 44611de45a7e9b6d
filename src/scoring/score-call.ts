// A call for one score, and its answer.
import type { ScorewireError } from '../errors.ts';
import type { Row } from '../features/row.ts';
import type { Tensor } from '../tensor.ts';
import type { ScoringPolicy } from './policy.ts';
import type { ServedModel } from './served-model.ts';

/** Who waits for a score. */
export type Waiting = {
  /** Canonical; '' if none was given. */
  entityId: string;
  /** Tensors wanted beside the score. */
  outputNames: readonly string[];
  /** When the call arrived and when its caller gives up (Infinity: never), in `performance.now()` milliseconds. */
  receivedMs: number;
  deadlineMs: number;
  /** Whether the caller left. */
  abandoned: () => boolean;
};

export type ScoreCall = Waiting & {
  model: string;
  /** Absent: the live version. */
  version: bigint | undefined;
  /** Undefined: the entity alone. */
  row: Row | undefined;
  /** Absent: as it goes with or without a row. */
  policy?: ScoringPolicy | undefined;
  /** Age up to which a stored score is an answer; absent: the model's. */
  maxStalenessMs?: number | undefined;
  /** Absent: the model's setting, and no where `maxStalenessMs` is set. */
  allowStale?: boolean | undefined;
};

/** Where a score came from. */
export type ScoreOrigin = 'precomputed' | 'real_time' | 'stale' | 'default';

export type ScoreAnswer = {
  model: ServedModel;
  entityId: string;
  origin: ScoreOrigin;
  /** float32; NaN only where the model's score can't be told and tensors were asked for. */
  score: number;
  /** -1 where there is none. */
  label: number;
  /** Index in the model's segments, -1 where there is none. */
  segment: number;
  /** The tensors asked for, without the batch dimension; undefined where none were. */
  outputs: ReadonlyMap<string, Tensor> | undefined;
  /** Milliseconds since 1970: when it was computed, and when it was given. */
  scoredAtMs: number;
  answeredAtMs: number;
  /** Since when the features hold that it was computed from. */
  featuresAsOfMs: number;
  /**
   * Marks on the `performance.now()` clock, milliseconds: arrived, looked for in the store, encoded, handed to a worker, answered.
   */
  receivedMs: number;
  lookedUpMs: number;
  queuedMs: number;
  startedMs: number;
  endedMs: number;
  inferenceUs: number;
  /** 0 where no model ran for it. */
  batchRows: number;
};

export type ScoreCallback = (error: ScorewireError | undefined, answer: ScoreAnswer | undefined) => void;
