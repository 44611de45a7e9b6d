// A row whose answers are counted.
import type { BatchResult, QueuedRows } from '../../src/batching/queued-rows.ts';
import type { ScorewireError } from '../../src/errors.ts';
import type { TensorData } from '../../src/tensor.ts';

export type FakeRowOptions = {
  /** 1 where nothing is said; all of them have the row's number. */
  rows?: number;
  shape?: string;
  outputNames?: readonly string[];
  arrivedMs?: number;
  deadlineMs?: number;
  budgetEndMs?: number;
  /** Called with every answer. */
  answered?: (row: FakeRow) => void;
};

/** What rows want that don't say. One array, as the contract asks. */
export const SCORE_OUTPUTS: readonly string[] = ['score'];

export type Answer = { result: BatchResult; index: number } | { error: ScorewireError };

export class FakeRow implements QueuedRows {
  readonly number: number;
  readonly rows: number;
  readonly shape = undefined;
  readonly inputs: readonly TensorData[];
  readonly dims: readonly (readonly number[])[] | undefined;
  readonly shapeKey: string;
  readonly outputNames: readonly string[];
  readonly arrivedMs: number;
  readonly deadlineMs: number;
  readonly budgetEndMs: number;
  readonly answers: Answer[] = [];
  left = false;
  readonly #answered: ((row: FakeRow) => void) | undefined;

  /** `shape` is a width, as text: the row then has so many elements, and rides only with rows as wide. */
  constructor(number: number, options: FakeRowOptions = {}) {
    const { shape = '', arrivedMs = 0 } = options;
    const width = shape === '' ? 1 : Number(shape);
    this.number = number;
    this.rows = options.rows ?? 1;
    this.inputs = [new Float32Array(this.rows * width).fill(number)];
    this.dims = shape === '' ? undefined : [[width]];
    this.shapeKey = shape;
    this.outputNames = options.outputNames ?? SCORE_OUTPUTS;
    this.arrivedMs = arrivedMs;
    this.deadlineMs = options.deadlineMs ?? Number.POSITIVE_INFINITY;
    this.budgetEndMs = options.budgetEndMs ?? Number.POSITIVE_INFINITY;
    this.#answered = options.answered;
  }

  abandoned(): boolean {
    return this.left;
  }

  succeed(result: BatchResult, index: number): void {
    this.answers.push({ result, index });
    this.#answered?.(this);
  }

  fail(error: ScorewireError): void {
    this.answers.push({ error });
    this.#answered?.(this);
  }

  /** 'score' with the row's own number, the error's reason, or '' while there is none. Throws at a second answer. */
  get outcome(): string {
    if (this.answers.length > 1) throw new Error(`row ${this.number} was answered ${this.answers.length} times`);
    const [answer] = this.answers;
    if (answer === undefined) return '';
    if ('error' in answer) return answer.error.reason;
    const score = answer.result.outputs[0]?.data[answer.index];
    return score === this.number ? 'score' : `score of row ${score}`;
  }

  get error(): ScorewireError | undefined {
    const [answer] = this.answers;
    return answer !== undefined && 'error' in answer ? answer.error : undefined;
  }
}
