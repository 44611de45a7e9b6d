// A score by the model: features found, row encoded, queued, and read from what a run gives.
import type { BatchResult, QueuedRows } from '../batching/queued-rows.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import { ScorewireError, toScorewireError } from '../errors.ts';
import type { CompleteRow } from '../features/feature-pipeline.ts';
import type { EncodedRow, Row } from '../features/row.ts';
import { elementCount, type Tensor, type TensorData, view } from '../tensor.ts';
import { segmentIndex } from './classify.ts';
import { readScore, unreadable } from './read-score.ts';
import type { ScoreAnswer, ScoreCallback, Waiting } from './score-call.ts';
import type { ServedModel } from './served-model.ts';
import { shareOf } from './stored-scores.ts';

export class RealTime {
  readonly #scheduler: Scheduler;
  readonly #featuresTimeoutMs: number;

  /** @param featuresTimeoutMs that a feature store may take at most */
  constructor(scheduler: Scheduler, featuresTimeoutMs: number) {
    this.#scheduler = scheduler;
    this.#featuresTimeoutMs = featuresTimeoutMs;
  }

  /**
   * Scores a row, or an entity by its features. Calls back exactly once, or throws what can be said at once.
   * @param fetched what a run fetches: the score's output, and the tensors asked for
   * @param lookedUpMs when the store had been asked, or the call arrived
   * @throws ScorewireError
   */
  score(
    model: ServedModel,
    row: Row | undefined,
    waiting: Waiting,
    fetched: readonly string[],
    lookedUpMs: number,
    callback: ScoreCallback,
  ): void {
    const untilMs = Math.min(waiting.deadlineMs, waiting.receivedMs + model.latencyBudgetMs);
    const withinMs = shareOf(untilMs, this.#featuresTimeoutMs);
    const complete = model.features.complete(row, waiting.entityId, Date.now(), withinMs);
    if (!(complete instanceof Promise)) {
      this.#submit(model, complete, waiting, fetched, lookedUpMs, callback);
      return;
    }
    complete
      .then((found) => this.#submit(model, found, waiting, fetched, lookedUpMs, callback))
      .catch((error: unknown) => callback(toScorewireError(error), undefined));
  }

  #submit(
    model: ServedModel,
    { row, asOfMs }: CompleteRow,
    waiting: Waiting,
    fetched: readonly string[],
    lookedUpMs: number,
    callback: ScoreCallback,
  ): void {
    const encoded = model.encode(row);
    const queuedMs = performance.now();
    if (waiting.deadlineMs <= queuedMs) {
      throw new ScorewireError(
        'deadline_exceeded',
        'DEADLINE_EXPIRED',
        'the deadline passed before the row was queued',
      );
    }
    const pending = new PendingScore(model, encoded, waiting, fetched, { lookedUpMs, queuedMs, asOfMs }, callback);
    this.#scheduler.submit(model.session, pending);
  }
}

type Marks = { lookedUpMs: number; queuedMs: number; asOfMs: number };

/** A row between the queue and its answer. */
class PendingScore implements QueuedRows {
  readonly #model: ServedModel;
  readonly #row: EncodedRow;
  readonly #waiting: Waiting;
  readonly #marks: Marks;
  readonly #callback: ScoreCallback;
  readonly outputNames: readonly string[];

  constructor(
    model: ServedModel,
    row: EncodedRow,
    waiting: Waiting,
    outputNames: readonly string[],
    marks: Marks,
    callback: ScoreCallback,
  ) {
    this.#model = model;
    this.#row = row;
    this.#waiting = waiting;
    this.#marks = marks;
    this.#callback = callback;
    this.outputNames = outputNames;
  }

  get rows(): number {
    return 1;
  }

  get shape(): undefined {
    return undefined;
  }

  get inputs(): readonly TensorData[] {
    return this.#row.inputs;
  }

  get dims(): readonly (readonly number[])[] | undefined {
    return this.#row.dims;
  }

  get shapeKey(): string {
    return this.#row.shapeKey;
  }

  get arrivedMs(): number {
    return this.#marks.queuedMs;
  }

  get deadlineMs(): number {
    return this.#waiting.deadlineMs;
  }

  get budgetEndMs(): number {
    return this.#waiting.receivedMs + this.#model.latencyBudgetMs;
  }

  abandoned(): boolean {
    return this.#waiting.abandoned();
  }

  succeed(result: BatchResult, index: number): void {
    let answer: ScoreAnswer;
    try {
      answer = this.#answer(result, index);
    } catch (cause) {
      this.fail(unreadable(this.#model.spec, cause));
      return;
    }
    this.#callback(undefined, answer);
  }

  fail(error: ScorewireError): void {
    this.#callback(error, undefined);
  }

  #answer(result: BatchResult, index: number): ScoreAnswer {
    const model = this.#model;
    const { spec } = model;
    const { entityId, outputNames, receivedMs } = this.#waiting;
    const { lookedUpMs, queuedMs, asOfMs } = this.#marks;
    let score = Number.NaN;
    let label = -1;
    if (spec.score !== undefined) {
      const output = result.outputs[result.outputNames.indexOf(spec.score.output)] as Tensor;
      ({ score, label } = readScore(spec, output, result.rows, index));
    }
    const nowMs = Date.now();
    return {
      model,
      entityId,
      origin: 'real_time',
      score,
      label,
      segment: segmentIndex(score, spec.segments),
      outputs: outputNames.length === 0 ? undefined : tensorsOf(result, index, outputNames),
      scoredAtMs: nowMs,
      answeredAtMs: nowMs,
      featuresAsOfMs: asOfMs,
      receivedMs,
      lookedUpMs,
      queuedMs,
      startedMs: result.startMs,
      endedMs: performance.now(),
      inferenceUs: result.runUs,
      batchRows: result.rows,
    };
  }
}

function tensorsOf(result: BatchResult, index: number, names: readonly string[]): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const name of names) {
    const { type, dims, data } = result.outputs[result.outputNames.indexOf(name)] as Tensor;
    const perRow = dims[0] === result.rows;
    const rowDims = perRow ? dims.slice(1) : dims;
    const width = elementCount(rowDims);
    tensors.set(name, { type, dims: rowDims, data: perRow ? view(data, index * width, (index + 1) * width) : data });
  }
  return tensors;
}
