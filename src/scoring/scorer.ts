// The facade of scoring: a call in, exactly one answer or error out.
import type { BatchResult, QueuedRow } from '../batching/queued-row.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import { invalidField, ScorewireError } from '../errors.ts';
import type { EncodedRow, Row } from '../features/row.ts';
import { elementCount, type Tensor, type TensorData, view } from '../tensor.ts';
import { segmentIndex } from './classify.ts';
import type { ModelRegistry } from './model-registry.ts';
import { readScore, unreadable } from './read-score.ts';
import type { ServedModel } from './served-model.ts';

export type ScoreCall = {
  model: string;
  /** Absent: the live version. */
  version: bigint | undefined;
  /** Canonical; '' if none was given. */
  entityId: string;
  row: Row;
  /** Tensors wanted beside the score. */
  outputNames: readonly string[];
  /** When the call arrived and when its caller gives up (Infinity: never), in `performance.now()` milliseconds. */
  receivedMs: number;
  deadlineMs: number;
  /** Whether the caller left. */
  abandoned: () => boolean;
};

export type ScoreAnswer = {
  model: ServedModel;
  entityId: string;
  /** float32; NaN only where the model's score can't be told and tensors were asked for. */
  score: number;
  /** -1 where there is none. */
  label: number;
  /** Index in the model's segments, -1 where there is none. */
  segment: number;
  /** The tensors asked for, without the batch dimension; undefined where none were. */
  outputs: Map<string, Tensor> | undefined;
  scoredAtMs: number;
  /** Marks on the `performance.now()` clock, milliseconds: encoded, handed to a worker, answered. */
  receivedMs: number;
  queuedMs: number;
  startedMs: number;
  endedMs: number;
  inferenceUs: number;
  batchRows: number;
};

export type ScoreCallback = (error: ScorewireError | undefined, answer: ScoreAnswer | undefined) => void;

export class Scorer {
  readonly #models: ModelRegistry;
  readonly #scheduler: Scheduler;

  constructor(models: ModelRegistry, scheduler: Scheduler) {
    this.#models = models;
    this.#scheduler = scheduler;
  }

  /**
   * Scores one row. Calls back exactly once, never before it returns.
   * @throws ScorewireError what can be said at once (the callback is not called then): NOT_FOUND, INVALID_ARGUMENT,
   * FAILED_PRECONDITION, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE.
   */
  score(call: ScoreCall, callback: ScoreCallback): void {
    const model = this.#models.get(call.model, call.version);
    const outputNames = wantedOutputs(model, call.outputNames);
    const row = model.encode(call.row);
    const queuedMs = performance.now();
    if (call.deadlineMs <= queuedMs) {
      throw new ScorewireError(
        'deadline_exceeded',
        'DEADLINE_EXPIRED',
        'the deadline passed before the row was queued',
      );
    }
    this.#scheduler.submit(model.session, new PendingScore(call, model, row, outputNames, queuedMs, callback));
  }
}

/** What a run fetches for a score. @throws ScorewireError FAILED_PRECONDITION where the model's score can't be told */
export function scoreOutputs({ spec, scoreOutputs: outputs }: ServedModel): readonly string[] {
  if (spec.score !== undefined) return outputs;
  throw new ScorewireError(
    'failed_precondition',
    'SCORE_NOT_CONFIGURED',
    `${spec.scoreProblem} (its tensors are served: ask for them by output_names)`,
    {
      metadata: { model: spec.name },
    },
  );
}

function wantedOutputs(model: ServedModel, asked: readonly string[]): readonly string[] {
  const { spec } = model;
  if (asked.length === 0) return scoreOutputs(model);
  for (const [index, name] of asked.entries()) {
    if (!spec.outputs.some((output) => output.name === name)) {
      const known = spec.outputs.map((output) => output.name).join(', ');
      throw invalidField(`output_names[${index}]`, `expected one of ${known}, found "${name.slice(0, 100)}"`);
    }
    // A list that must repeat itself is no request: half a million names would hold all other callers up.
    if (index === spec.outputs.length) {
      throw invalidField('output_names', `expected at most ${spec.outputs.length} names, found ${asked.length}`);
    }
  }
  return [...new Set([...model.scoreOutputs, ...asked])];
}

/** A row between the queue and its answer. */
class PendingScore implements QueuedRow {
  readonly #call: ScoreCall;
  readonly #model: ServedModel;
  readonly #row: EncodedRow;
  readonly #callback: ScoreCallback;
  readonly outputNames: readonly string[];
  readonly arrivedMs: number;

  constructor(
    call: ScoreCall,
    model: ServedModel,
    row: EncodedRow,
    outputNames: readonly string[],
    arrivedMs: number,
    callback: ScoreCallback,
  ) {
    this.#call = call;
    this.#model = model;
    this.#row = row;
    this.#callback = callback;
    this.outputNames = outputNames;
    this.arrivedMs = arrivedMs;
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

  get deadlineMs(): number {
    return this.#call.deadlineMs;
  }

  get budgetEndMs(): number {
    return this.#call.receivedMs + this.#model.latencyBudgetMs;
  }

  abandoned(): boolean {
    return this.#call.abandoned();
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
    let score = Number.NaN;
    let label = -1;
    if (spec.score !== undefined) {
      const output = result.outputs[result.outputNames.indexOf(spec.score.output)] as Tensor;
      ({ score, label } = readScore(spec, output, result.rows, index));
    }
    return {
      model,
      entityId: this.#call.entityId,
      score,
      label,
      segment: segmentIndex(score, spec.segments),
      outputs: this.#call.outputNames.length === 0 ? undefined : this.#tensors(result, index),
      scoredAtMs: Date.now(),
      receivedMs: this.#call.receivedMs,
      queuedMs: this.arrivedMs,
      startedMs: result.startMs,
      endedMs: performance.now(),
      inferenceUs: result.runUs,
      batchRows: result.rows,
    };
  }

  #tensors(result: BatchResult, index: number): Map<string, Tensor> {
    const tensors = new Map<string, Tensor>();
    for (const name of this.#call.outputNames) {
      const { type, dims, data } = result.outputs[result.outputNames.indexOf(name)] as Tensor;
      const perRow = dims[0] === result.rows;
      const rowDims = perRow ? dims.slice(1) : dims;
      const width = elementCount(rowDims);
      tensors.set(name, { type, dims: rowDims, data: perRow ? view(data, index * width, (index + 1) * width) : data });
    }
    return tensors;
  }
}
