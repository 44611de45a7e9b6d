// Calls with tensors, on the way to the workers: in one queue with rows where a model's runs may be put together, else alone.
import type { BatchResult, BatchShape, QueuedRows } from '../batching/queued-rows.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import { ScorewireError, toScorewireError } from '../errors.ts';
import { type Tensor, type TensorData, view } from '../tensor.ts';
import { TensorBlocks } from './tensor-blocks.ts';
import type { TensorCall, TensorCallback } from './tensor-call.ts';

export class TensorRuns {
  readonly #scheduler: Scheduler;
  /** Of those that mix with nothing, which have a key of their own each. */
  #alone = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** See RunTensors. More rows than a batch may have are run as work in bulk, in parts. */
  run(call: TensorCall, callback: TensorCallback): void {
    const { model } = call;
    const queuedMs = performance.now();
    if (call.deadlineMs <= queuedMs) {
      throw new ScorewireError(
        'deadline_exceeded',
        'DEADLINE_EXPIRED',
        'the deadline passed before the request was queued',
      );
    }
    const { uses } = model;
    const done: TensorCallback = (error, answer) => {
      uses.end();
      callback(error, answer);
    };
    const rows = rowsOf(call);
    uses.begin();
    try {
      if (rows > model.maxRows) this.#scheduler.addBulk(new TensorBlocks(call, rows, queuedMs, this.#scheduler, done));
      else
        this.#scheduler.submit(
          model.session,
          rows > 0 ? ofRows(call, rows, queuedMs, done) : this.#ofOne(call, queuedMs, done),
        );
    } catch (error) {
      uses.end();
      throw error;
    }
  }

  #ofOne(call: TensorCall, queuedMs: number, done: TensorCallback): PendingTensors {
    const shape: BatchShape = {
      inputs: [...call.inputs].map(([name, { type, dims }]) => ({ name, type, rowDims: dims })),
      batchDimension: false,
    };
    const inputs = [...call.inputs.values()].map(({ data }) => data);
    const counted = call.model.contract.maxRows > 0 ? ([...call.inputs.values()][0]?.dims[0] ?? 1) : 1;
    const form = { rows: Math.max(1, counted), inputs, dims: undefined, shape, shapeKey: `alone ${this.#alone++}` };
    return new PendingTensors(call, form, queuedMs, done);
  }
}

/** How many rows the tensors are of, where they are rows that may run beside others; else 0. */
function rowsOf({ model, inputs }: TensorCall): number {
  const { shape, batchingProblem } = model;
  if (batchingProblem !== '' || !shape.batchDimension) return 0;
  // Inputs that have values of their own are the same for all rows of a run.
  if (inputs.size !== shape.inputs.length || inputs.size === 0) return 0;
  let rows = 0;
  for (const { name } of shape.inputs) {
    const own = inputs.get(name)?.dims[0];
    if (own === undefined || own === 0 || (rows > 0 && own !== rows)) return 0;
    rows = own;
  }
  return rows;
}

function ofRows(call: TensorCall, rows: number, queuedMs: number, done: TensorCallback): PendingTensors {
  const { shape } = call.model;
  const inputs = shape.inputs.map(({ name }) => (call.inputs.get(name) as Tensor).data);
  return new PendingTensors(call, { rows, inputs, shape: undefined, ...openDims(call) }, queuedMs, done);
}

/** Dimensions of a row and the key of those that may mix, as rows of the same model have them. */
export function openDims({ model, inputs }: TensorCall): Pick<QueuedRows, 'dims' | 'shapeKey'> {
  let fixed = true;
  const dims: (readonly number[])[] = [];
  for (const { name, rowDims } of model.shape.inputs) {
    const own = (inputs.get(name) as Tensor).dims;
    fixed &&= own.length === rowDims.length + 1 && rowDims.every((dim, index) => dim === own[index + 1]);
    dims.push(own.slice(1));
  }
  if (fixed && model.spec.rows.kind !== 'open') return { dims: undefined, shapeKey: '' };
  return { dims, shapeKey: dims.map((list) => list.join('x')).join() };
}

/** What the queue is to know of a call's tensors. */
type Form = Pick<QueuedRows, 'rows' | 'inputs' | 'dims' | 'shape' | 'shapeKey'>;

/** The tensors of a call between the queue and their answer. */
class PendingTensors implements QueuedRows {
  readonly rows: number;
  readonly inputs: readonly TensorData[];
  readonly dims: readonly (readonly number[])[] | undefined;
  readonly shape: BatchShape | undefined;
  readonly shapeKey: string;
  readonly outputNames: readonly string[];
  readonly arrivedMs: number;
  readonly deadlineMs: number;
  readonly budgetEndMs: number;
  readonly #call: TensorCall;
  readonly #done: TensorCallback;

  constructor(call: TensorCall, { rows, inputs, dims, shape, shapeKey }: Form, queuedMs: number, done: TensorCallback) {
    this.rows = rows;
    this.inputs = inputs;
    this.dims = dims;
    this.shape = shape;
    this.shapeKey = shapeKey;
    this.outputNames = call.outputNames;
    this.arrivedMs = queuedMs;
    this.deadlineMs = call.deadlineMs;
    this.budgetEndMs = call.receivedMs + call.model.tensorBudgetMs;
    this.#call = call;
    this.#done = done;
  }

  abandoned(): boolean {
    return this.#call.abandoned();
  }

  succeed(result: BatchResult, index: number): void {
    let outputs: Tensor[];
    try {
      outputs = this.#outputs(result, index);
    } catch (cause) {
      this.#done(toScorewireError(cause), undefined);
      return;
    }
    this.#done(undefined, {
      outputs,
      queuedMs: this.arrivedMs,
      startedMs: result.startMs,
      endedMs: performance.now(),
      inferenceUs: result.runUs,
      batchRows: result.rows,
    });
  }

  fail(error: ScorewireError): void {
    this.#done(error, undefined);
  }

  #outputs({ outputs, outputNames, rows }: BatchResult, index: number): Tensor[] {
    const found =
      this.outputNames === outputNames
        ? outputs
        : this.outputNames.map((name) => outputs[outputNames.indexOf(name)] as Tensor);
    if (rows === this.rows || this.shape !== undefined) return found as Tensor[];
    return found.map(({ type, dims, data }) => {
      const width = data.length / rows;
      return {
        type,
        dims: [this.rows, ...dims.slice(1)],
        data: view(data, index * width, (index + this.rows) * width),
      };
    });
  }
}
