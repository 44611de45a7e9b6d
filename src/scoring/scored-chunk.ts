// The scores of some rows that lie together, as they come from runs of parts of them.
import type { ScorewireError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';
import type { Tensor } from '../tensor.ts';
import type { RunReply } from '../workers/messages.ts';
import { segmentIndex } from './classify.ts';
import { readScore, unreadable } from './read-score.ts';
import type { ScoreOrigin } from './score-call.ts';

/** Where a row's score came from, as a number; 0 where it has none. */
export const ORIGIN_CODES: Readonly<Record<ScoreOrigin, number>> = {
  precomputed: 1,
  real_time: 2,
  stale: 3,
  default: 4,
};

/** Scores of rows [firstRow, firstRow + rows). */
export class ScoredChunk {
  readonly firstRow: number;
  /** NaN where the row has an error. */
  readonly scores: Float32Array;
  /** -1 where there is none. */
  readonly labels: Int32Array;
  /** Index in the model's segments, -1 where there is none. */
  readonly segments: Int32Array;
  /** ORIGIN_CODES; 0 where the row has an error. */
  readonly origins: Uint8Array;
  /** `row` counts from the first of all. */
  readonly errors: { row: number; error: ScorewireError }[] = [];
  /** Rows without a score or an error so far. */
  left: number;

  constructor(firstRow: number, rows: number) {
    this.firstRow = firstRow;
    this.scores = new Float32Array(rows).fill(Number.NaN);
    this.labels = new Int32Array(rows).fill(-1);
    this.segments = new Int32Array(rows).fill(-1);
    this.origins = new Uint8Array(rows);
    this.left = rows;
  }

  get rows(): number {
    return this.scores.length;
  }

  /** A row's score; `place` counts from the first of the chunk. Doesn't change `left`. */
  set(spec: ModelSpec, place: number, score: number, label: number, origin: ScoreOrigin): void {
    this.scores[place] = score;
    this.labels[place] = label;
    this.segments[place] = segmentIndex(score, spec.segments);
    this.origins[place] = ORIGIN_CODES[origin];
  }

  /** What a run gave for `count` rows, `rows[from]` and those after it. Doesn't change `left`. */
  read(spec: ModelSpec, reply: RunReply, rows: Int32Array, from: number, count: number): void {
    for (let index = 0; index < count; index++) {
      const row = rows[from + index] as number;
      const place = row - this.firstRow;
      try {
        const { score, label } = readScore(spec, reply.outputs[0] as Tensor, count, index);
        this.set(spec, place, score, label, 'real_time');
      } catch (cause) {
        this.errors.push({ row, error: unreadable(spec, cause) });
      }
    }
  }

  /** Rows that could not be run. Doesn't change `left`. */
  fail(rows: Int32Array, from: number, count: number, error: ScorewireError): void {
    for (let index = from; index < from + count; index++) this.errors.push({ row: rows[index] as number, error });
  }
}
