// A call with tensors of more rows than a batch may have: run in blocks, as work in bulk, so that calls of single rows go first.
import { type BulkBlock, type BulkSource, blockRows } from '../batching/bulk-lane.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import { ScorewireError } from '../errors.ts';
import { allocate, copyInto, type Tensor, type TensorData, view } from '../tensor.ts';
import type { RunReply } from '../workers/messages.ts';
import type { TensorCall, TensorCallback } from './tensor-call.ts';

export class TensorBlocks implements BulkSource {
  readonly session: number;
  readonly #call: TensorCall;
  readonly #rows: number;
  readonly #queuedMs: number;
  readonly #scheduler: Scheduler;
  readonly #done: TensorCallback;
  readonly #blockRows: number;
  readonly #inputs: readonly Tensor[];
  #outputs: Tensor[] | undefined;
  #nextRow = 0;
  #rowsDone = 0;
  #startedMs = 0;
  #runUs = 0;
  #ended = false;

  /** @param rows of the call's tensors */
  constructor(call: TensorCall, rows: number, queuedMs: number, scheduler: Scheduler, done: TensorCallback) {
    this.session = call.model.session;
    this.#call = call;
    this.#rows = rows;
    this.#queuedMs = queuedMs;
    this.#scheduler = scheduler;
    this.#done = done;
    this.#blockRows = blockRows(call.model);
    this.#inputs = call.model.shape.inputs.map(({ name }) => call.inputs.get(name) as Tensor);
  }

  next(): BulkBlock | undefined {
    if (this.#ended || this.#nextRow === this.#rows) return undefined;
    const nowMs = performance.now();
    if (this.#call.deadlineMs <= nowMs) {
      this.#end(
        new ScorewireError(
          'deadline_exceeded',
          'DEADLINE_EXPIRED_IN_QUEUE',
          'the deadline passed before all rows were run',
        ),
      );
      return undefined;
    }
    if (this.#call.abandoned()) {
      this.#end(new ScorewireError('cancelled', 'CALLER_LEFT', 'the caller left before all rows were run'));
      return undefined;
    }
    if (this.#nextRow === 0) this.#startedMs = nowMs;
    const first = this.#nextRow;
    const rows = Math.min(this.#blockRows, this.#rows - first);
    this.#nextRow = first + rows;
    return {
      rows,
      inputs: this.#inputs.map(({ data }) => {
        const width = data.length / this.#rows;
        const part = view(data, first * width, (first + rows) * width);
        // What is sent to a worker is sent with the whole buffer that it lies in.
        return Array.isArray(part) ? part : part.slice();
      }),
      dims: this.#inputs.map(({ dims }) => dims.slice(1)),
      outputNames: this.#call.outputNames,
      done: (from, count, reply) => this.#take(first + from, count, reply),
      failed: (_from, _count, error) => this.#end(error),
    };
  }

  giveUp(error: ScorewireError): void {
    this.#end(error);
  }

  #take(firstRow: number, rows: number, reply: RunReply): void {
    if (this.#ended) return;
    this.#runUs += reply.runUs;
    this.#outputs ??= reply.outputs.map(({ type, dims, data }) => ({
      type,
      dims: [this.#rows, ...dims.slice(1)],
      data: allocate(type, (data.length / rows) * this.#rows),
    }));
    for (const [index, { dims, data }] of reply.outputs.entries()) {
      const whole = (this.#outputs[index] as Tensor).data;
      const width = data.length / rows;
      if (dims[0] !== rows || width * this.#rows !== whole.length) {
        const name = this.#call.outputNames[index];
        const cause = new Error(`output ${name} has dimensions [${dims.join(',')}] for ${rows} rows`);
        this.#end(
          new ScorewireError(
            'internal',
            'BAD_OUTPUT',
            `${this.#call.model.spec.name}: the model's output can't be read`,
            { cause },
          ),
        );
        return;
      }
      copyInto(whole as TensorData, firstRow * width, data);
    }
    this.#rowsDone += rows;
    if (this.#rowsDone === this.#rows) this.#end(undefined);
  }

  #end(error: ScorewireError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#scheduler.removeBulk(this);
    if (error !== undefined) {
      this.#done(error, undefined);
      return;
    }
    this.#done(undefined, {
      outputs: this.#outputs as Tensor[],
      queuedMs: this.#queuedMs,
      startedMs: this.#startedMs,
      endedMs: performance.now(),
      inferenceUs: this.#runUs,
      batchRows: this.#blockRows,
    });
  }
}
