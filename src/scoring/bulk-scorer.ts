// Many rows of one model: blocks to the workers as these have room, and scores back by chunks of rows.
import { type BulkBlock, type BulkSource, blockRows } from '../batching/bulk-lane.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import { type ScorewireError, toScorewireError } from '../errors.ts';
import type { EncodedBlock } from '../features/block-encoder.ts';
import type { RowSource } from '../features/row-source.ts';
import type { PutCounts } from '../scores/score-store.ts';
import type { TensorData } from '../tensor.ts';
import { BlockFeed, type FeedEvents } from './block-feed.ts';
import type { BulkSink } from './bulk-sink.ts';
import { ChunkOrder } from './chunk-order.ts';
import { type EntityBatch, EntityRun } from './entity-run.ts';
import type { ModelRegistry } from './model-registry.ts';
import { ScoredChunk } from './scored-chunk.ts';
import { requireStore, scoreOutputs } from './scorer.ts';
import type { ServedModel } from './served-model.ts';
import type { ComputedScore, StoredScores } from './stored-scores.ts';

export class BulkScorer {
  readonly #models: ModelRegistry;
  readonly #scheduler: Scheduler;
  readonly #stored: StoredScores;

  constructor(models: ModelRegistry, scheduler: Scheduler, stored: StoredScores) {
    this.#models = models;
    this.#scheduler = scheduler;
    this.#stored = stored;
  }

  /**
   * A model that gives scores; whoever has it begins a run with it in the same turn, or a feed, which keep it to their end. `version`
   * absent: the live one.
   * @throws ScorewireError NOT_FOUND, FAILED_PRECONDITION
   */
  model(name: string, version: bigint | undefined): ServedModel {
    const model = this.#models.get(name, version);
    scoreOutputs(model);
    return model;
  }

  /**
   * Begins to score; whoever gets the run may pause and cancel it.
   * @param chunkRows rows of a chunk, at most
   * @param inOrder chunks in the order of their rows; else as they are done
   */
  start(model: ServedModel, rows: RowSource, chunkRows: number, inOrder: boolean, sink: BulkSink): BulkRun {
    const run = new BulkRun(model, rows, chunkRows, inOrder, sink, this.#scheduler);
    this.#scheduler.addBulk(run);
    return run;
  }

  /** As `start`, for rows that may be in the store, or that lack features which are found elsewhere. */
  startEntities(model: ServedModel, batch: EntityBatch, sink: BulkSink): EntityRun {
    return new EntityRun(model, batch, { scheduler: this.#scheduler, stored: this.#stored }, sink);
  }

  /** Puts what a job computed into the store. @throws ScorewireError UNAVAILABLE */
  keep(model: ServedModel, computed: readonly ComputedScore[], job: string): Promise<PutCounts> {
    return this.#stored.keep(model, computed, job);
  }

  /** @throws ScorewireError FAILED_PRECONDITION where scores are not kept */
  requireStore(): void {
    requireStore(this.#stored.store);
  }

  /** For whoever brings rows as blocks that are encoded already, as he has them. */
  feed(model: ServedModel, events: FeedEvents): BlockFeed {
    return new BlockFeed(model, this.#scheduler, events);
  }
}

/** Encoding a block holds the I/O thread. */
const MAX_ENCODE_MS = 1;
const MIN_ROWS_AT_ONCE = 16;

export class BulkRun implements BulkSource {
  readonly session: number;
  readonly #model: ServedModel;
  readonly #rows: RowSource;
  readonly #chunkRows: number;
  readonly #sink: BulkSink;
  readonly #scheduler: Scheduler;
  readonly #blockRows: number;
  /** Of those as many as are soon encoded: rows that are wrong take long. */
  #rowsAtOnce: number;
  /** Inputs of blocks that have run: a worker got a copy. To make new ones for each block would mean much to collect. */
  readonly #spare: (readonly TensorData[])[] = [];
  #nextRow = 0;
  /** The chunk that the next block is from. */
  #chunk: ScoredChunk | undefined;
  readonly #order: ChunkOrder;
  #rowsTaken = 0;
  #paused = false;
  #ended = false;
  readonly #release: () => void;

  constructor(
    model: ServedModel,
    rows: RowSource,
    chunkRows: number,
    inOrder: boolean,
    sink: BulkSink,
    scheduler: Scheduler,
  ) {
    this.session = model.session;
    this.#model = model;
    this.#rows = rows;
    this.#chunkRows = chunkRows;
    this.#order = new ChunkOrder(inOrder, (chunk) => this.#hand(chunk));
    this.#sink = sink;
    this.#scheduler = scheduler;
    this.#release = model.uses.hold();
    this.#blockRows = blockRows(model);
    this.#rowsAtOnce = this.#blockRows;
  }

  /** Chunks are taken again. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#ended) this.#scheduler.addBulk(this);
  }

  /** Nobody wants the scores any more: what has not been given to a worker never is. */
  cancel(): void {
    this.#ended = true;
    this.#scheduler.removeBulk(this);
    this.#release();
  }

  giveUp(error: ScorewireError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release();
    this.#sink.failed(error);
  }

  next(): BulkBlock | undefined {
    if (this.#ended || this.#paused) return undefined;
    if (this.#nextRow === this.#rows.count) {
      if (this.#rows.count === 0) this.#finish();
      return undefined;
    }
    const from = this.#nextRow;
    this.#chunk ??= new ScoredChunk(from, Math.min(this.#chunkRows, this.#rows.count - from));
    const chunk = this.#chunk;
    const end = chunk.firstRow + chunk.rows;
    const to = Math.min(from + this.#rowsAtOnce, end);
    const block = this.#encode(from, to);
    if (block === undefined) return undefined;
    this.#nextRow = to;
    if (to === end) this.#chunk = undefined;
    for (const { row, error } of block.errors) chunk.errors.push({ row, error });
    if (block.errors.length > 0) this.#order.settle(chunk, block.errors.length);
    if (block.rows.length > 0) return this.#blockOf(block, chunk);
    // Not at once: a million rows that are all wrong must not keep everybody waiting.
    this.#scheduler.addBulk(this);
    return undefined;
  }

  /** A fault in here must not end whoever asks for blocks. */
  #encode(from: number, to: number): EncodedBlock | undefined {
    const startMs = performance.now();
    try {
      const block = this.#model.encodeBlock(this.#rows, from, to, this.#spare.pop());
      const tookMs = performance.now() - startMs;
      if (tookMs > MAX_ENCODE_MS) this.#rowsAtOnce = Math.max(MIN_ROWS_AT_ONCE, this.#rowsAtOnce >> 1);
      else if (tookMs < MAX_ENCODE_MS / 4) this.#rowsAtOnce = Math.min(this.#blockRows, 2 * this.#rowsAtOnce);
      return block;
    } catch (cause) {
      this.giveUp(toScorewireError(cause));
      return undefined;
    }
  }

  #blockOf({ rows, inputs, dims }: EncodedBlock, chunk: ScoredChunk): BulkBlock {
    let left = rows.length;
    const settle = (count: number): void => {
      left -= count;
      if (left === 0) this.#spare.push(inputs);
      this.#order.settle(chunk, count);
    };
    return {
      rows: rows.length,
      inputs,
      dims,
      outputNames: this.#model.scoreOutputs,
      done: (from, count, reply) => {
        if (this.#ended) return;
        chunk.read(this.#model.spec, reply, rows, from, count);
        settle(count);
      },
      failed: (from, count, error) => {
        if (this.#ended) return;
        chunk.fail(rows, from, count, error);
        settle(count);
      },
    };
  }

  #hand(chunk: ScoredChunk): void {
    if (this.#ended) return;
    this.#rowsTaken += chunk.rows;
    if (!this.#sink.take(chunk)) this.#paused = true;
    if (this.#rowsTaken === this.#rows.count) this.#finish();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release();
    this.#sink.done();
  }
}
