// What the scheduler keeps of a model.
import { Few } from './few.ts';
import type { QueuedRows } from './queued-rows.ts';
import { RowQueue } from './row-queue.ts';
import type { ScheduledModel } from './scheduling.ts';

/** A model's queue, and its place in the fair order. */
export class Lane {
  readonly model: ScheduledModel;
  readonly queue: RowQueue;
  /** Start-time fair queueing (Goyal, Vin and Cheng 1996): virtual start of the next batch, in milliseconds of work. */
  startTag = 0;
  finishTag = 0;
  /** Batches that workers have, each with the rows that are not answered yet. */
  readonly running = new Few<readonly QueuedRows[]>();
  candidates: QueuedRows[] = [];
  /** Batches under way, from the first run of their rows to the last. */
  batches = 0;
  /** Set where the model takes no more rows: called when it has none any more. */
  whenEmpty: (() => void) | undefined;

  constructor(model: ScheduledModel, queueLimit: number) {
    this.model = model;
    this.queue = new RowQueue(queueLimit);
  }
}

/** The batch that a row which comes now would ride in, were it up to the cost alone. */
export function bestRows({ model, queue }: Lane): number {
  return Math.min(queue.length + 1, model.maxRows, model.cost.kneeRows);
}
