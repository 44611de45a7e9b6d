import { ScorewireError } from '../errors.ts';
import type { Tensor, TensorData } from '../tensor.ts';

/** The batch that a row rode in; the row's part of an output is the row at `index`. */
export type BatchResult = {
  outputNames: readonly string[];
  outputs: readonly Tensor[];
  rows: number;
  /** When it was handed to a worker, on the scheduler's clock, milliseconds. */
  startMs: number;
  runUs: number;
};

/**
 * A row that waits for its batch. The scheduler owns it from `submit` until it calls exactly one of `succeed` and
 * `fail`, once. A row that `submit` refuses stays with the caller and gets neither.
 */
export interface QueuedRow {
  /** The row's elements, one array an input of the model, in its order. */
  readonly inputs: readonly TensorData[];
  /** Dimensions of the row, one list an input, where the model leaves them open; rows that differ don't mix. */
  readonly dims: readonly (readonly number[])[] | undefined;
  /** Equal for rows that may ride together; '' where the model fixes all dimensions. */
  readonly shapeKey: string;
  /** Outputs wanted, by name. Rows that want the same share one array, so that comparing it is cheap. */
  readonly outputNames: readonly string[];
  readonly arrivedMs: number;
  /** The client's deadline on the scheduler's clock; Infinity where there is none. Hard. */
  readonly deadlineMs: number;
  /** When the latency budget runs out. Soft. */
  readonly budgetEndMs: number;
  /** Whether the caller left. */
  abandoned(): boolean;
  succeed(result: BatchResult, index: number): void;
  fail(error: ScorewireError): void;
}

/** Whether nobody waits for the row any more. */
export function isDead(row: QueuedRow, nowMs: number): boolean {
  return row.deadlineMs <= nowMs || row.abandoned();
}

/** Tells a dead row what became of it. */
export function answerDead(row: QueuedRow, nowMs: number): void {
  row.fail(
    row.deadlineMs <= nowMs
      ? new ScorewireError(
          'deadline_exceeded',
          'DEADLINE_EXPIRED_IN_QUEUE',
          'the deadline passed while the row was queued',
        )
      : new ScorewireError('cancelled', 'CALLER_LEFT', 'the caller left while the row was queued'),
  );
}
