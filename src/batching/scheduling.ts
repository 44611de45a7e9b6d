// What the scheduler, and what it puts work into lanes for, need of others.
import { ScorewireError } from '../errors.ts';
import type { RunReply, RunRequest } from '../workers/messages.ts';
import type { CostCurve } from './cost-curve.ts';
import type { BatchShape } from './queued-rows.ts';

/** What the scheduler needs of a worker: one run at a time. */
export interface BatchRunner {
  readonly id: number;
  readonly alive: boolean;
  run(request: Omit<RunRequest, 'kind'>): Promise<RunReply>;
}

/** What the scheduler needs to know of a model. */
export type ScheduledModel = BatchShape & {
  name: string;
  version: number;
  /** The session's number in every worker. */
  session: number;
  /** 1 for a model that takes no batches, or that batching would change. */
  maxRows: number;
  maxDelayMs: number;
  cost: CostCurve;
};

/** What happened, for whoever measures. Called once a batch, never once a request; `rows` are those of the batch. */
export interface SchedulerObserver {
  batchDone(model: ScheduledModel, rows: number, runUs: number): void;
  batchFailed(model: ScheduledModel, rows: number, error: unknown): void;
  shed(model: ScheduledModel, reason: string): void;
}

/** What rows are told whose run ended with this error. */
export function rowError({ name }: ScheduledModel, error: unknown): ScorewireError {
  if (error instanceof ScorewireError) return error;
  return new ScorewireError('internal', 'RUN_FAILED', `${name}: the model could not run this row`, {
    metadata: { model: name },
    cause: error,
  });
}
