// A worker whose runs end when a test says so, and as it says.
import type { BatchRunner } from '../../src/batching/scheduling.ts';
import { ScorewireError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor.ts';
import type { RunReply, RunRequest } from '../../src/workers/messages.ts';
import { RunFailed } from '../../src/workers/worker.ts';

type Request = Omit<RunRequest, 'kind'>;

/** A run that a worker has, or had. Rows are known by number: the first element of their first input. */
export class FakeRun {
  readonly request: Request;
  /** Numbers of the rows, in the batch's order. */
  readonly rows: readonly number[];
  readonly #resolve: (reply: RunReply) => void;
  readonly #reject: (error: unknown) => void;

  constructor(request: Request, resolve: (reply: RunReply) => void, reject: (error: unknown) => void) {
    this.request = request;
    this.rows = rowNumbers(request);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Answers every output asked for with the rows' numbers; or with `outputs`. */
  finish(runUs = 1000, outputs?: Tensor[]): void {
    const numbers = (): Tensor => ({
      type: 'float32',
      dims: [this.rows.length, 1],
      data: Float32Array.from(this.rows),
    });
    this.#resolve({ kind: 'ran', runUs, outputs: outputs ?? this.request.outputs.map(numbers) });
  }

  /** The model refuses the batch, and the worker is well. */
  fail(message = 'the model refused the batch'): void {
    this.#reject(new RunFailed(message));
  }

  /** Anything else that can go wrong. */
  reject(error: unknown): void {
    this.#reject(error);
  }
}

export class FakeWorker implements BatchRunner {
  readonly id: number;
  alive = true;
  /** The run under way. */
  current: FakeRun | undefined;
  /** Every run that the worker ever got, in order. */
  readonly runs: FakeRun[] = [];
  /** Called when a run starts. What it throws, the scheduler takes for a fault of the run. */
  started: ((run: FakeRun, worker: FakeWorker) => void) | undefined;

  constructor(id = 1) {
    this.id = id;
  }

  run(request: Request): Promise<RunReply> {
    if (!this.alive) return Promise.reject(workerExited(this.id));
    if (this.current !== undefined) throw new Error(`worker ${this.id} was given a run while it had one`);
    return new Promise<RunReply>((resolve, reject) => {
      this.current = new FakeRun(
        request,
        (reply) => {
          this.current = undefined;
          resolve(reply);
        },
        (error) => {
          this.current = undefined;
          reject(error);
        },
      );
      this.runs.push(this.current);
      this.started?.(this.current, this);
    });
  }

  /** The thread goes away, and takes the run under way with it. */
  die(): void {
    this.alive = false;
    this.current?.reject(workerExited(this.id));
  }
}

function workerExited(id: number): ScorewireError {
  return new ScorewireError('unavailable', 'WORKER_EXITED', 'the worker that had this request went away; try again', {
    metadata: { worker: String(id) },
  });
}

function rowNumbers({ inputs }: Request): number[] {
  const first = inputs[0];
  if (first === undefined) return [];
  const rows = first.dims[0] ?? 1;
  const width = first.data.length / rows;
  return Array.from({ length: rows }, (_, row) => Number(first.data[row * width]));
}
