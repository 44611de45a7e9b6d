// Work in bulk: blocks of rows that fill what calls of single rows leave. It never makes one of those wait for more than what a
// worker already has: a millisecond or two of work, and a part of that while there are such calls.
import { ScorewireError } from '../errors.ts';
import { type TensorData, view } from '../tensor.ts';
import type { NamedTensor, RunReply } from '../workers/messages.ts';
import { RunFailed } from '../workers/worker.ts';
import { type BatchRunner, rowError, type ScheduledModel, type SchedulerObserver } from './scheduling.ts';

/** Rows that are run together. The lane calls `done` or `failed` for each of its rows once, in parts or as a whole. */
export interface BulkBlock {
  readonly rows: number;
  /** One contiguous array an input of the model, the rows in order. */
  readonly inputs: readonly TensorData[];
  /** Dimensions of one row, one list an input, where the model leaves them open. */
  readonly dims: readonly (readonly number[])[] | undefined;
  readonly outputNames: readonly string[];
  /** Rows [from, from + rows) of the block have run. */
  done(from: number, rows: number, reply: RunReply): void;
  failed(from: number, rows: number, error: ScorewireError): void;
}

/** Whoever has rows to run. */
export interface BulkSource {
  readonly session: number;
  /** The next block; undefined where there is none now: who has more later says so by `add`. */
  next(): BulkBlock | undefined;
  /** Nothing of it will be run any more. */
  giveUp(error: ScorewireError): void;
}

/** A worker that has a block gets a second one, so that it need not wait for the I/O thread in between, if that is short. */
const MAX_BLOCKS = 2;
const SHORT_MS = 1;
/** What a run may take beside calls of single rows; a worker then has one at a time, for those calls wait for all that it has. */
const BRIEF_US = 500;

/** Rows of a block from `from` on, of which no worker has been given any. */
type Part = { source: BulkSource; model: ScheduledModel; block: BulkBlock; from: number };

export class BulkLane {
  readonly #observer: SchedulerObserver;
  readonly #modelOf: (session: number) => ScheduledModel | undefined;
  readonly #onFree: (session: number, worker: BatchRunner) => void;
  /** In turn: who gave a block goes to the end. */
  readonly #sources: BulkSource[] = [];
  readonly #blocks = new WeakMap<BatchRunner, number>();
  /** Blocks that workers have, by session. */
  readonly #running = new Map<number, number>();
  /** What is left of blocks that were given in parts. */
  #parts: Part[] = [];

  /** @param onFree called when a worker is done with a block */
  constructor(
    observer: SchedulerObserver,
    modelOf: (session: number) => ScheduledModel | undefined,
    onFree: (session: number, worker: BatchRunner) => void,
  ) {
    this.#observer = observer;
    this.#modelOf = modelOf;
    this.#onFree = onFree;
  }

  get waiting(): boolean {
    return this.#sources.length > 0 || this.#parts.length > 0;
  }

  /** Whether a worker has, or is yet to get, a block of this session. */
  has(session: number): boolean {
    return (this.#running.get(session) ?? 0) > 0 || this.#parts.some(({ model }) => model.session === session);
  }

  /** The session is used no more. */
  forget(session: number): void {
    this.#running.delete(session);
  }

  isWith(worker: BatchRunner): boolean {
    return (this.#blocks.get(worker) ?? 0) > 0;
  }

  /** Takes a source in, or again after it had none. */
  add(source: BulkSource): void {
    if (!this.#sources.includes(source)) this.#sources.push(source);
  }

  remove(source: BulkSource): void {
    const index = this.#sources.indexOf(source);
    if (index >= 0) this.#sources.splice(index, 1);
    this.#parts = this.#parts.filter((part) => part.source !== source);
  }

  giveUp(error: () => ScorewireError): void {
    for (const source of new Set([...this.#sources, ...this.#parts.map((part) => part.source)])) source.giveUp(error());
    this.#sources.length = 0;
    this.#parts = [];
  }

  /**
   * Gives these workers, who have no batch of single rows, as many blocks as they should have. `brief`: there are calls of single
   * rows, which are not to wait for long.
   */
  feed(workers: readonly BatchRunner[], brief: boolean): void {
    for (let has = 0; has < (brief ? 1 : MAX_BLOCKS); has++) {
      for (const worker of workers) {
        if (!this.waiting) return;
        if ((this.#blocks.get(worker) ?? 0) === has) this.#give(worker, has, brief);
      }
    }
  }

  #give(worker: BatchRunner, has: number, brief: boolean): void {
    const tooLong = (model: ScheduledModel): boolean => has > 0 && model.cost.workMs(blockRows(model)) > SHORT_MS;
    const begun = this.#parts.findIndex(({ model }) => !tooLong(model));
    if (begun >= 0) {
      const [part] = this.#parts.splice(begun, 1) as [Part];
      this.#start(worker, has, part, brief);
      return;
    }
    for (let tries = this.#sources.length; tries > 0; tries--) {
      const source = this.#sources.shift() as BulkSource;
      const model = this.#modelOf(source.session);
      if (model === undefined) {
        source.giveUp(new ScorewireError('unavailable', 'MODEL_NOT_READY', 'the model was unloaded'));
        continue;
      }
      if (tooLong(model)) {
        this.#sources.push(source);
        continue;
      }
      const block = source.next();
      if (block === undefined) continue;
      this.#sources.push(source);
      this.#start(worker, has, { source, model, block, from: 0 }, brief);
      return;
    }
  }

  #start(worker: BatchRunner, has: number, part: Part, brief: boolean): void {
    const { model, block, from } = part;
    const left = block.rows - from;
    const rows = brief ? Math.min(left, briefRows(model)) : left;
    if (rows < left) this.#parts.push({ ...part, from: from + rows });
    const { session } = model;
    this.#blocks.set(worker, has + 1);
    this.#running.set(session, (this.#running.get(session) ?? 0) + 1);
    this.#run(worker, model, block, from, rows).finally(() => {
      this.#blocks.set(worker, (this.#blocks.get(worker) ?? 1) - 1);
      this.#running.set(session, (this.#running.get(session) ?? 1) - 1);
      this.#onFree(session, worker);
    });
  }

  /** Never rejects. A part that the model refuses is halved until the row at fault stands alone. */
  async #run(worker: BatchRunner, model: ScheduledModel, block: BulkBlock, from: number, rows: number): Promise<void> {
    let reply: RunReply;
    try {
      const inputs = inputsOf(model, block, from, rows);
      reply = await worker.run({ session: model.session, inputs, outputs: block.outputNames });
    } catch (error) {
      this.#observer.batchFailed(model, rows, error);
      if (error instanceof RunFailed && rows > 1) {
        const half = rows >> 1;
        await this.#run(worker, model, block, from, half);
        await this.#run(worker, model, block, from + half, rows - half);
        return;
      }
      block.failed(from, rows, rowError(model, error));
      return;
    }
    this.#observer.batchDone(model, rows, reply.runUs);
    try {
      block.done(from, rows, reply);
    } catch (error) {
      this.#observer.batchFailed(model, rows, error);
    }
  }
}

/** Rows of a block at most, and the time that its run may take beyond what a batch takes anyway. */
const MAX_BLOCK_ROWS = 256;
const BLOCK_RUN_US = 1000;

/**
 * How many rows of the model make a block: a batch of the best size, and more while the run stays short, since each run
 * brings the model into the cache anew.
 */
export function blockRows({ maxRows, cost }: Pick<ScheduledModel, 'maxRows' | 'cost'>): number {
  if (maxRows === 1) return 1;
  let rows = Math.max(1, Math.min(maxRows, cost.kneeRows));
  while (2 * rows <= MAX_BLOCK_ROWS && 2 * cost.runUs(rows) <= BLOCK_RUN_US) rows *= 2;
  return rows;
}

/** How many of them are run at once beside calls of single rows. */
function briefRows(model: Pick<ScheduledModel, 'maxRows' | 'cost'>): number {
  let rows = blockRows(model);
  while (rows > 1 && model.cost.runUs(rows) > BRIEF_US) rows = Math.ceil(rows / 2);
  return rows;
}

function inputsOf(model: ScheduledModel, block: BulkBlock, from: number, rows: number): NamedTensor[] {
  return model.inputs.map(({ name, type, rowDims: fixed }, index) => {
    const rowDims = block.dims?.[index] ?? fixed;
    const dims = model.batchDimension ? [rows, ...rowDims] : rowDims;
    const all = block.inputs[index] as TensorData;
    const width = all.length / block.rows;
    const data = rows === block.rows ? all : copyOf(view(all, from * width, (from + rows) * width));
    return { name, type, dims, data };
  });
}

/** What is sent to a worker is sent with the whole buffer that it lies in. */
function copyOf(data: TensorData): TensorData {
  return Array.isArray(data) ? data : data.slice();
}
