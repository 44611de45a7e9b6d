// A worker whose runs end when a test says so, and how it says.
import type { BatchRunner } from '../../src/batching/scheduler.ts';
import { ScorewireError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor.ts';
import type { RunReply, RunRequest } from '../../src/workers/messages.ts';
import { RunFailed } from '../../src/workers/worker.ts';

type Request = Omit<RunRequest, 'kind'>;

/** A run that a worker has, or had. Rows are known by the number that is their first input's first element. */
export class FakeRun {
  readonly request: Request;
  /** Numbers of the rows, in order. */
  readonly rows: number[];
  readonly #resolve: (reply: RunReply) => void;
  readonly #reject: (error: unknown) => void;

  constructor(request: Request, resolve: (reply: RunReply) => void, reject: (error: unknown) => void) {
    this.request = request;
    this.rows = rowNumbers(request);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Answers every output asked for with the rows' numbers, or with `outputs`. */
  finish(runUs: number, outputs?: Tensor[]): void {
    const echo = (): Tensor => ({ type: 'float32', dims: [this.rows.length, 1], data: Float32Array.from(this.rows) });
    this.#resolve({ kind: 'ran', runUs, outputs: outputs ?? this.request.outputs.map(echo) });
  }

  /** The model refuses the batch; the worker is well. */
  fail(message = 'the model refused'): void {
    this.#reject(new RunFailed(message));
  }

  reject(error: unknown): void {
    this.#reject(error);
  }
}

export class FakeWorker implements BatchRunner {
  readonly id: number;
  alive = true;
  /** The run under way. */
  run_: FakeRun | undefined;
  /** All runs ever, in order. */
  readonly runs: FakeRun[] = [];

  constructor(id = 1) {
    this.id = id;
  }

  run(request: Request): Promise<RunReply> {
    if (!this.alive) return Promise.reject(workerExited(this.id));
    if (this.run_ !== undefined) return Promise.reject(new Error(`worker ${this.id} was given two runs at once`));
    return new Promise<RunReply>((resolve, reject) => {
      const over =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          this.run_ = undefined;
          settle(value);
        };
      this.run_ = new FakeRun(request, over(resolve), over(reject));
      this.runs.push(this.run_);
    });
  }
}
