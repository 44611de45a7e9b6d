// One scheduler over all models and workers: who runs next, with how many rows, and what is refused at the door.
import { ScorewireError } from '../errors.ts';
import type { RunReply } from '../workers/messages.ts';
import { RunFailed } from '../workers/worker.ts';
import { requireRows, union } from './batch-outputs.ts';
import { BulkLane, type BulkSource } from './bulk-lane.ts';
import type { Clock } from './clock.ts';
import { type CloseDecision, closeBatch } from './close-batch.ts';
import { countRows, joinRows } from './join-rows.ts';
import { bestRows, Lane } from './lane.ts';
import { Leaving } from './leaving.ts';
import { answerDead, isDead, type QueuedRows } from './queued-rows.ts';
import { type BatchRunner, rowError, type ScheduledModel, type SchedulerObserver } from './scheduling.ts';

/** Milliseconds that a refused caller is told to stay away, at least and at most. */
const RETRY_LEAST_MS = 5;
const RETRY_MOST_MS = 5_000;

/** Milliseconds after a row for which work in bulk is brief: where one came, others will. */
const BRIEF_FOR_MS = 1000;

export class Scheduler {
  readonly #clock: Clock;
  readonly #observer: SchedulerObserver;
  readonly #lanes = new Map<number, Lane>();
  readonly #bulk: BulkLane;
  /** Without a batch of rows; they may have blocks of the bulk lane. */
  readonly #idle: BatchRunner[] = [];
  readonly #workers = new Set<BatchRunner>();
  /** Whose batch each worker has, if it has one, and when it is expected to be done with it. */
  readonly #busy = new Map<BatchRunner, { lane: Lane; doneMs: number } | undefined>();
  readonly #leaving = new Leaving((worker) => this.#hasBatch.get(worker) === true || this.#bulk.isWith(worker));
  /** Whether a worker has a batch, or the runs that it was split into; of those too that get no other one. */
  readonly #hasBatch = new Map<BatchRunner, boolean>();
  /** When the last row came. */
  #lastRowMs = Number.NEGATIVE_INFINITY;
  #virtualMs = 0;
  #dispatchPending = false;
  #cancelTimer: (() => void) | undefined;
  #dueMs = new Float64Array(64);
  #rowsUpTo = new Int32Array(64);

  constructor(clock: Clock, observer: SchedulerObserver) {
    this.#clock = clock;
    this.#observer = observer;
    this.#bulk = new BulkLane(
      observer,
      (session) => this.#lanes.get(session)?.model,
      (session, worker) => {
        this.#leaving.look(worker);
        const lane = this.#lanes.get(session);
        if (lane !== undefined) this.#emptied(lane);
        if (this.#bulk.waiting) this.#dispatchSoon();
      },
    );
  }

  /** Takes a source of work in bulk in, or again after it had none. */
  addBulk(source: BulkSource): void {
    this.#bulk.add(source);
    this.#dispatchSoon();
  }

  /** Asks it for no more blocks; those that run end as they end. */
  removeBulk(source: BulkSource): void {
    this.#bulk.remove(source);
  }

  addModel(model: ScheduledModel, maxQueueRows: number): void {
    this.#lanes.set(model.session, new Lane(model, maxQueueRows));
  }

  /**
   * From here the model's rows are refused, UNAVAILABLE; resolves when those that are queued or in a run are answered, and nothing of
   * it runs any more. Whoever has work in bulk for it has ended that before.
   */
  async removeModel(session: number): Promise<void> {
    const lane = this.#lanes.get(session);
    if (lane === undefined) return;
    await new Promise<void>((resolve) => {
      lane.whenEmpty = resolve;
      this.#emptied(lane);
    });
    this.#lanes.delete(session);
    this.#bulk.forget(session);
  }

  #emptied({ model, queue, batches, whenEmpty }: Lane): void {
    if (queue.length === 0 && batches === 0 && !this.#bulk.has(model.session)) whenEmpty?.();
  }

  addWorker(worker: BatchRunner): void {
    this.#workers.add(worker);
    this.#idle.push(worker);
    this.#dispatchSoon();
  }

  /** The worker gets no more batches; the run that it has, if any, ends as it ends. */
  removeWorker(worker: BatchRunner): void {
    this.#workers.delete(worker);
    this.#busy.delete(worker);
    if (this.#hasBatch.get(worker) === false) this.#hasBatch.delete(worker);
    const index = this.#idle.indexOf(worker);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** As `removeWorker`, for one that is well; resolves when what it has is done, the runs that a failing batch is split into too. */
  retireWorker(worker: BatchRunner): Promise<void> {
    this.removeWorker(worker);
    return this.#leaving.wait(worker);
  }

  get idleWorkers(): number {
    return this.#idle.length;
  }

  queueDepth(session: number): number {
    return this.#lanes.get(session)?.queue.length ?? 0;
  }

  /** Batches that workers have now. */
  get running(): number {
    let running = 0;
    for (const lane of this.#lanes.values()) running += lane.running.size;
    return running;
  }

  /**
   * Queues rows of a request. From here the scheduler answers them, once. Throws, and leaves them with the caller, where they must
   * be refused: RESOURCE_EXHAUSTED where the queue is full, or where under load the prediction says that the row's
   * deadline or budget can't be held; UNAVAILABLE where there is no worker at all, or the model is unloaded.
   */
  submit(session: number, row: QueuedRows): void {
    const lane = this.#lane(session);
    const nowMs = this.#clock.nowMs();
    if (this.#workers.size === 0) {
      throw new ScorewireError('unavailable', 'NO_WORKER', 'no worker is ready; try again', { retryAfterMs: 100 });
    }
    if (lane.queue.full) {
      lane.queue.sweep(nowMs);
      if (lane.queue.full) {
        throw this.#refusal(
          lane,
          'QUEUE_FULL',
          'the queue of the model is full',
          this.#freeInMs(nowMs) + this.#queuedMs(lane),
        );
      }
    }
    this.#shedByPrediction(lane, row, nowMs);
    if (lane.queue.length === 0) lane.startTag = Math.max(this.#virtualMs, lane.finishTag);
    lane.queue.push(row);
    this.#lastRowMs = nowMs;
    this.#dispatchSoon();
  }

  /**
   * Fails every row that is queued or in a run, for a drain whose time is over; the runs themselves end as they end, and
   * nobody waits for them.
   */
  giveUp(error: () => ScorewireError): void {
    for (const lane of this.#lanes.values()) {
      for (const row of lane.queue.drain()) row.fail(error());
      for (const rows of lane.running.drain()) for (const row of rows) row.fail(error());
      this.#emptied(lane);
    }
    this.#bulk.giveUp(error);
  }

  #lane(session: number): Lane {
    const lane = this.#lanes.get(session);
    if (lane === undefined || lane.whenEmpty !== undefined) {
      throw new ScorewireError('unavailable', 'MODEL_NOT_READY', 'the model is being unloaded');
    }
    return lane;
  }

  /**
   * Only under load: where a worker is idle or nothing is queued, a row is always taken, so that an estimate gone
   * wrong can't lock the model out.
   */
  #shedByPrediction(lane: Lane, row: QueuedRows, nowMs: number): void {
    if (lane.queue.length === 0 || this.#idle.length > 0) return;
    if (this.#lateMs(lane, row, nowMs) <= 0) return;
    lane.queue.sweep(nowMs);
    if (lane.queue.length === 0) return;
    const lateMs = this.#lateMs(lane, row, nowMs);
    if (lateMs <= 0) return;
    throw this.#refusal(lane, 'OVERLOADED', 'too much work is queued to answer within the latency budget', lateMs);
  }

  /**
   * Milliseconds by which a row that comes now would miss its deadline or its budget; not above 0 where it makes both.
   * The client's deadline is hard, so all counts that lies before the answer. The budget is there to keep the model's
   * own queue short: a neighbour's run is no fault of the queue, and a model that costs a hundredth of it must not turn
   * callers away for as long as that run lasts.
   */
  #lateMs(lane: Lane, row: QueuedRows, nowMs: number): number {
    const workMs = this.#queuedMs(lane) + this.#reserveMs(lane);
    return Math.max(
      nowMs + this.#freeInMs(nowMs) + workMs - row.deadlineMs,
      nowMs + this.#freeInMs(nowMs, lane) + workMs - row.budgetEndMs,
    );
  }

  /** Milliseconds until a worker is done with the batch that it has; only batches of `own` count, where that is given. */
  #freeInMs(nowMs: number, own?: Lane): number {
    if (this.#idle.length > 0) return 0;
    let leastMs = Number.POSITIVE_INFINITY;
    for (const busy of this.#busy.values()) {
      if (busy === undefined) continue;
      leastMs = Math.min(leastMs, own === undefined || busy.lane === own ? busy.doneMs - nowMs : 0);
    }
    return leastMs === Number.POSITIVE_INFINITY ? 0 : Math.max(0, leastMs);
  }

  /** Milliseconds of work from the next batch to the answer of a row that comes now, worked off in the best batches. */
  #queuedMs(lane: Lane): number {
    const batchMs = lane.model.cost.workMs(bestRows(lane));
    const ownMs = Math.ceil((lane.queue.length + 1) / bestRows(lane)) * batchMs;
    // Other models come in between: by their fair share no longer than this one, and no longer than they have work.
    let othersMs = 0;
    for (const other of this.#lanes.values()) {
      if (other === lane || other.queue.length === 0) continue;
      const best = bestRows(other);
      const otherMs = Math.ceil(other.queue.length / best) * other.model.cost.workMs(best);
      othersMs += Math.min(ownMs, otherMs);
    }
    // The batches in front of the row run on all workers at once; its own comes last.
    return (ownMs - batchMs + othersMs) / this.#workers.size + batchMs;
  }

  /**
   * Rows let in until the last moment would leave the oldest no time but for a small batch, or none: the queue would
   * then be worked off in small batches, that is slowly, and all behind them come late. So one batch is kept in reserve.
   */
  #reserveMs(lane: Lane): number {
    return lane.model.cost.workMs(bestRows(lane));
  }

  #refusal(lane: Lane, reason: string, why: string, retryAfterMs: number): ScorewireError {
    this.#observer.shed(lane.model, reason);
    return new ScorewireError('overloaded', reason, `${lane.model.name}: ${why}; try again later`, {
      retryAfterMs: Math.min(RETRY_MOST_MS, Math.max(RETRY_LEAST_MS, Math.ceil(retryAfterMs))),
      metadata: { model: lane.model.name },
    });
  }

  #dispatchSoon(): void {
    if (this.#dispatchPending) return;
    this.#dispatchPending = true;
    this.#clock.endOfTurn(this.#dispatch);
  }

  /** Gives every idle worker the batch that is next; where all queues wait for company, wakes up in time. */
  readonly #dispatch = (): void => {
    this.#dispatchPending = false;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const dropped: QueuedRows[] = [];
    this.#startAll(dropped);
    const nowMs = this.#clock.nowMs();
    if (this.#bulk.waiting) this.#bulk.feed(this.#idle, nowMs - this.#lastRowMs < BRIEF_FOR_MS);
    for (const row of dropped) answerDead(row, nowMs);
    if (dropped.length > 0)
      for (const lane of this.#lanes.values()) if (lane.whenEmpty !== undefined) this.#emptied(lane);
  };

  #startAll(dropped: QueuedRows[]): void {
    while (this.#idle.length > 0) {
      const nowMs = this.#clock.nowMs();
      let next: Lane | undefined;
      let nextRequests = 0;
      let waitMs = Number.POSITIVE_INFINITY;
      for (const lane of this.#lanes.values()) {
        if (lane.queue.length === 0) continue;
        if (next !== undefined && lane.startTag >= next.startTag) continue;
        const decision = this.#close(lane, nowMs, dropped);
        if (decision === undefined) continue;
        if (decision.requests > 0) {
          next = lane;
          nextRequests = decision.requests;
        } else {
          waitMs = Math.min(waitMs, decision.waitMs);
        }
      }
      if (next === undefined) {
        if (waitMs !== Number.POSITIVE_INFINITY) this.#cancelTimer = this.#clock.after(waitMs, this.#dispatch);
        return;
      }
      const rows = next.candidates.slice(0, nextRequests);
      next.queue.remove(rows, nextRequests);
      this.#start(next, this.#idle.pop() as BatchRunner, rows, nowMs);
    }
  }

  #close(lane: Lane, nowMs: number, dropped: QueuedRows[]): CloseDecision | undefined {
    const { model } = lane;
    const queued = lane.queue.peek(lane.candidates, Math.min(model.maxRows, model.cost.kneeRows), nowMs, dropped);
    if (queued === 0) return undefined;
    if (this.#dueMs.length < queued) {
      this.#dueMs = new Float64Array(queued * 2);
      this.#rowsUpTo = new Int32Array(queued * 2);
    }
    let rows = 0;
    for (let i = 0; i < queued; i++) {
      const row = lane.candidates[i] as QueuedRows;
      rows += row.rows;
      this.#dueMs[i] = Math.min(row.deadlineMs, row.budgetEndMs);
      this.#rowsUpTo[i] = rows;
    }
    return closeBatch({
      nowMs,
      dueMs: this.#dueMs,
      rowsUpTo: this.#rowsUpTo,
      queued,
      oldestMs: (lane.candidates[0] as QueuedRows).arrivedMs,
      maxRows: model.maxRows,
      kneeRows: model.cost.kneeRows,
      maxDelayMs: model.maxDelayMs,
      predictMs: (rows) => model.cost.predictMs(rows),
    });
  }

  #start(lane: Lane, worker: BatchRunner, rows: QueuedRows[], nowMs: number): void {
    const { model } = lane;
    lane.candidates.length = 0;
    const costMs = model.cost.predictMs(countRows(rows));
    this.#virtualMs = Math.max(this.#virtualMs, lane.startTag);
    lane.finishTag = lane.startTag + costMs;
    lane.startTag = lane.finishTag;
    this.#busy.set(worker, { lane, doneMs: nowMs + costMs });
    lane.batches++;
    this.#hasBatch.set(worker, true);
    this.#run(lane, worker, rows, nowMs).finally(() => {
      // What a model pays is what it took, the runs that a failing batch was split into included.
      const surplusMs = this.#clock.nowMs() - nowMs - costMs;
      lane.finishTag += surplusMs;
      lane.startTag += surplusMs;
      lane.batches--;
      if (this.#busy.has(worker)) this.#busy.set(worker, undefined);
      if (this.#workers.has(worker)) this.#hasBatch.set(worker, false);
      else this.#hasBatch.delete(worker);
      this.#leaving.look(worker);
      if (lane.whenEmpty !== undefined) this.#emptied(lane);
      if (this.#workers.has(worker) && worker.alive) this.#idle.push(worker);
      // A turn of the event loop costs a few system calls: none for nothing.
      for (const other of this.#lanes.values()) if (other.queue.length > 0) return this.#dispatchSoon();
      if (this.#bulk.waiting) this.#dispatchSoon();
    });
  }

  /** Never rejects: every row is answered in here. */
  async #run(lane: Lane, worker: BatchRunner, rows: readonly QueuedRows[], startMs: number): Promise<void> {
    const { model } = lane;
    const outputNames = union(rows);
    const count = countRows(rows);
    let reply: RunReply;
    lane.running.add(rows);
    try {
      reply = await worker.run({ session: model.session, inputs: joinRows(model, rows), outputs: outputNames });
      if (model.batchDimension && rows.length > 1) requireRows(reply, outputNames, count);
    } catch (error) {
      if (lane.running.delete(rows)) await this.#runFailed(lane, worker, rows, error);
      return;
    }
    // Where it is gone, `giveUp` has answered the rows.
    if (!lane.running.delete(rows)) return;
    if (count <= model.maxRows) model.cost.observe(count, reply.runUs, (this.#clock.nowMs() - startMs) * 1000);
    this.#observer.batchDone(model, count, reply.runUs);
    const result = { outputNames, outputs: reply.outputs, rows: count, startMs, runUs: reply.runUs };
    let index = 0;
    for (const part of rows) {
      try {
        part.succeed(result, index);
      } catch (error) {
        // A fault in one caller's answer must not cost the others theirs.
        this.#observer.batchFailed(model, part.rows, error);
      }
      index += part.rows;
    }
  }

  /**
   * A batch that the model refuses is halved until the request at fault stands alone: at most 2n - 1 runs for n requests, on
   * the worker that the batch had. A worker that went away takes its rows with it: they may have had an effect on
   * whatever took it down, so they are not tried again.
   */
  async #runFailed(lane: Lane, worker: BatchRunner, rows: readonly QueuedRows[], error: unknown): Promise<void> {
    const { model } = lane;
    this.#observer.batchFailed(model, countRows(rows), error);
    if (error instanceof RunFailed && rows.length > 1) {
      const middle = rows.length >> 1;
      const halves = [rows.slice(0, middle), rows.slice(middle)];
      for (const half of halves) lane.running.add(half);
      for (const half of halves) {
        if (!lane.running.delete(half)) continue;
        const nowMs = this.#clock.nowMs();
        const alive: QueuedRows[] = [];
        for (const row of half) {
          if (isDead(row, nowMs)) answerDead(row, nowMs);
          else alive.push(row);
        }
        if (alive.length > 0) await this.#run(lane, worker, alive, nowMs);
      }
      return;
    }
    const answer = rowError(model, error);
    for (const row of rows) row.fail(answer);
  }
}
