// A call with tensors: what Open Inference Protocol and TensorFlow Serving have in the place of rows.
import type { ScorewireError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import type { ServedModel } from './served-model.ts';

export type TensorCall = {
  /** Whoever calls has it from the registry in the same turn. */
  model: ServedModel;
  /**
   * By input, with the dimensions that the graph takes: the caller has checked names, types, shapes and counts. Each array has a buffer
   * of its own, or of its request's alone, and belongs to the run from here on.
   */
  inputs: ReadonlyMap<string, Tensor>;
  /** Outputs wanted, in the order of the answer. Calls that want all share `model.outputNames`. */
  outputNames: readonly string[];
  /** `performance.now()` milliseconds; Infinity where the caller doesn't give up. */
  receivedMs: number;
  deadlineMs: number;
  abandoned: () => boolean;
};

export type TensorAnswer = {
  /** In the order of the call's `outputNames`. */
  outputs: readonly Tensor[];
  queuedMs: number;
  startedMs: number;
  endedMs: number;
  inferenceUs: number;
  /** Rows of the batch that it rode in. */
  batchRows: number;
};

export type TensorCallback = (error: ScorewireError | undefined, answer: TensorAnswer | undefined) => void;

/**
 * Runs a call, in one batch with rows and with other calls where the model may be batched. Calls back exactly once, perhaps
 * before it returns.
 * @throws ScorewireError what can be said at once: RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED
 */
export type RunTensors = (call: TensorCall, callback: TensorCallback) => void;
