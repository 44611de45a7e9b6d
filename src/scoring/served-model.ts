import type { CostCurve } from '../batching/cost-curve.ts';
import type { BlockEncoder } from '../features/block-encoder.ts';
import type { RowEncoder } from '../features/row-encoder.ts';
import type { ModelSpec } from '../models/model.ts';

/** One version of a model that is loaded and warm in the workers. */
export type ServedModel = {
  spec: ModelSpec;
  /** The session's number in every worker, and the key of its queue. */
  session: number;
  encode: RowEncoder;
  encodeBlock: BlockEncoder;
  /** Why rows are run one by one; '' where they may share a batch. */
  batchingProblem: string;
  maxRows: number;
  maxDelayMs: number;
  /** Soft: shapes batches, and sheds under load. */
  latencyBudgetMs: number;
  cost: CostCurve;
  /** What a run fetches for a score; one shared array, see QueuedRow.outputNames. */
  scoreOutputs: readonly string[];
  loadedAtMs: number;
};
