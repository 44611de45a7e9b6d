import { ScorewireError } from '../errors.ts';
import type { DataType, Tensor, TensorData } from '../tensor.ts';

/** What a batch of a model looks like. */
export type BatchShape = {
  inputs: readonly {
    name: string;
    type: DataType;
    /** Dimensions of one row, where the model fixes them. */
    rowDims: readonly number[];
  }[];
  /** Whether the graph has a batch dimension to put in front of the row's. */
  batchDimension: boolean;
};

/** The batch that rows rode in; their part of an output is what belongs to the rows from `index` on. */
export type BatchResult = {
  outputNames: readonly string[];
  outputs: readonly Tensor[];
  rows: number;
  /** When it was handed to a worker, on the scheduler's clock, milliseconds. */
  startMs: number;
  runUs: number;
};

/**
 * Rows of one request that wait for their batch: one, where a call scores one, or those of a call with tensors, which are not
 * parted. The scheduler owns them from `submit` until it calls exactly one of `succeed` and `fail`, once. What `submit` refuses
 * stays with the caller and gets neither.
 */
export interface QueuedRows {
  /** At least 1. */
  readonly rows: number;
  /** The rows' elements, row after row, one array an input of the model, in its order. */
  readonly inputs: readonly TensorData[];
  /** Dimensions of one row, one list an input, where the model leaves them open; rows that differ don't mix. */
  readonly dims: readonly (readonly number[])[] | undefined;
  /** What a run with them looks like, where that is not the model's own shape; they mix with nothing then. */
  readonly shape: BatchShape | undefined;
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

/** Whether nobody waits for them any more. */
export function isDead(row: QueuedRows, nowMs: number): boolean {
  return row.deadlineMs <= nowMs || row.abandoned();
}

/** Tells dead rows what became of them. */
export function answerDead(row: QueuedRows, nowMs: number): void {
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
