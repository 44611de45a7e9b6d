import type { CostCurve } from '../batching/cost-curve.ts';
import type { BatchShape } from '../batching/queued-rows.ts';
import type { BlockEncoder } from '../features/block-encoder.ts';
import type { FeaturePipeline } from '../features/feature-pipeline.ts';
import type { RowEncoder } from '../features/row-encoder.ts';
import type { ModelSpec, TensorContract } from '../models/model.ts';
import type { ScoreScope } from '../scores/score-store.ts';
import type { ModelStatistics } from '../telemetry/model-statistics.ts';
import type { Uses } from './uses.ts';

/** What holds for a version's stored scores, where a call doesn't say otherwise. */
export type StoredScoreLimits = {
  /** An older score is no answer. */
  freshForMs: number;
  /** How long scores of jobs and of callers are kept, and those written back. */
  keptForMs: number;
  writtenBackForMs: number;
  writeBack: boolean;
  /** Whether an older score is an answer where the model can't give one in time. */
  allowStale: boolean;
};

/** One version of a model that is loaded and warm in the workers. */
export type ServedModel = {
  spec: ModelSpec;
  /** The session's number in every worker, and the key of its queue. */
  session: number;
  /** What a request lacks, found. */
  features: FeaturePipeline;
  encode: RowEncoder;
  encodeBlock: BlockEncoder;
  /** Why rows are run one by one; '' where they may share a batch. */
  batchingProblem: string;
  maxRows: number;
  maxDelayMs: number;
  /** Soft: shapes batches, and sheds under load. */
  latencyBudgetMs: number;
  /**
   * The same for calls with tensors; Infinity where nobody set one: their callers come from servers that let requests wait, and refuse
   * only what their callers or their config put a time to.
   */
  tensorBudgetMs: number;
  cost: CostCurve;
  /** What a run fetches for a score; one shared array, see QueuedRows.outputNames. */
  scoreOutputs: readonly string[];
  /** All outputs of the contract, in its order; shared like `scoreOutputs`. */
  outputNames: readonly string[];
  /** What callers who bring tensors may send. */
  contract: TensorContract;
  /** A batch of rows, as a run takes it. */
  shape: BatchShape;
  statistics: ModelStatistics;
  uses: Uses;
  /** Whose stored scores are its own. */
  scope: ScoreScope;
  storedScores: StoredScoreLimits;
  loadedAtMs: number;
};
