// Rows that come encoded, piece by piece, from elsewhere: a job's, which reads and encodes them in a thread of its own.
import type { BulkBlock, BulkSource } from '../batching/bulk-lane.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import type { ScorewireError } from '../errors.ts';
import type { EncodedBlock } from '../features/block-encoder.ts';
import { free } from '../tensor.ts';
import { ScoredChunk } from './scored-chunk.ts';
import type { ServedModel } from './served-model.ts';

/** Rows that lie together. Those that could not be encoded are in none of the blocks. */
export type RowPiece = {
  /** From the first of all. */
  firstRow: number;
  rows: number;
  /** `rows` of a block count from the first of all. */
  blocks: readonly Omit<EncodedBlock, 'errors'>[];
};

export type FeedEvents = {
  /** Every row of a piece that was in a block has its score or its error. Pieces may come in another order. */
  scored(chunk: ScoredChunk): void;
  /** The server can't go on: what was pushed and is not scored yet never will be. */
  failed(error: ScorewireError): void;
};

/** A worker that goes away takes the rows with it that it had; they are given to another one, so many times at most. */
const MAX_TRIES = 2;

/** The inputs are the feed's. */
type WaitingBlock = { block: Omit<EncodedBlock, 'errors'>; chunk: ScoredChunk; tries: number };

export class BlockFeed implements BulkSource {
  readonly session: number;
  readonly #model: ServedModel;
  readonly #scheduler: Scheduler;
  readonly #events: FeedEvents;
  #waiting: WaitingBlock[] = [];
  #ended = false;
  readonly #release: () => void;

  constructor(model: ServedModel, scheduler: Scheduler, events: FeedEvents) {
    this.session = model.session;
    this.#model = model;
    this.#scheduler = scheduler;
    this.#events = events;
    this.#release = model.uses.hold();
  }

  push({ firstRow, rows, blocks }: RowPiece): void {
    const chunk = new ScoredChunk(firstRow, rows);
    chunk.left = blocks.reduce((sum, block) => sum + block.rows.length, 0);
    if (chunk.left === 0) {
      this.#events.scored(chunk);
      return;
    }
    for (const block of blocks) this.#waiting.push({ block, chunk, tries: 1 });
    this.#scheduler.addBulk(this);
  }

  /** What has not been given to a worker never is, and nothing is heard of the rest. */
  end(): void {
    this.#ended = true;
    this.#waiting = [];
    this.#scheduler.removeBulk(this);
    this.#release();
  }

  giveUp(error: ScorewireError): void {
    if (this.#ended) return;
    this.end();
    this.#events.failed(error);
  }

  next(): BulkBlock | undefined {
    const waiting = this.#waiting.shift();
    return waiting === undefined ? undefined : this.#blockOf(waiting);
  }

  #blockOf({ block, chunk, tries }: WaitingBlock): BulkBlock {
    const { rows, inputs, dims } = block;
    let left = rows.length;
    /** What ran in parts may have to be run again in parts: the inputs are needed until none is left. */
    const release = (count: number): void => {
      left -= count;
      if (left === 0) inputs.forEach(free);
    };
    return {
      rows: rows.length,
      inputs,
      dims,
      outputNames: this.#model.scoreOutputs,
      done: (from, count, reply) => {
        chunk.read(this.#model.spec, reply, rows, from, count);
        release(count);
        this.#settle(chunk, count);
      },
      failed: (from, count, error) => {
        if (error.kind === 'unavailable' && tries < MAX_TRIES && !this.#ended) {
          const again = partOf(block, from, count);
          if (again !== block) release(count);
          this.#waiting.unshift({ block: again, chunk, tries: tries + 1 });
          this.#scheduler.addBulk(this);
          return;
        }
        chunk.fail(rows, from, count, error);
        release(count);
        this.#settle(chunk, count);
      },
    };
  }

  #settle(chunk: ScoredChunk, rows: number): void {
    chunk.left -= rows;
    if (chunk.left === 0 && !this.#ended) this.#events.scored(chunk);
  }
}

/** Rows [from, from + count) of a block, which may have been run in parts. */
function partOf(block: WaitingBlock['block'], from: number, count: number): WaitingBlock['block'] {
  const { rows, inputs, dims } = block;
  if (count === rows.length) return block;
  const parts = inputs.map((input) => {
    const width = input.length / rows.length;
    return input.slice(from * width, (from + count) * width);
  });
  return { rows: rows.slice(from, from + count), inputs: parts, dims };
}
