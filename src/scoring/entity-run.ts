// Many entities of one model, with or without rows: looked up, the others completed and scored, all by chunks of rows.
import { blockRows } from '../batching/bulk-lane.ts';
import type { Scheduler } from '../batching/scheduler.ts';
import { invalidField, type ScorewireError, toScorewireError } from '../errors.ts';
import { encodeCompleted } from '../features/encode-completed.ts';
import { PickedSource } from '../features/picked-source.ts';
import type { ColumnReader, RowSource } from '../features/row-source.ts';
import type { PutCounts, StoredScore } from '../scores/score-store.ts';
import { BlockFeed, type RowPiece } from './block-feed.ts';
import type { BulkSink } from './bulk-sink.ts';
import { ChunkOrder } from './chunk-order.ts';
import { entityProblem } from './entity-call.ts';
import { afterFailure, afterLookUp, blamed, type ScoringPolicy, type StalenessLimits } from './policy.ts';
import { ScoredChunk } from './scored-chunk.ts';
import type { ServedModel } from './served-model.ts';
import { BATCH_MS, type ComputedScore, labelOf, notStored, type StoredScores, storeFailure } from './stored-scores.ts';

export type EntityBatch = {
  /** Of `entities`, of `rows`, or of both. */
  count: number;
  entities: ColumnReader | undefined;
  rows: RowSource | undefined;
  policy: ScoringPolicy;
  limits: StalenessLimits;
  /** Rows of a chunk, at most. */
  chunkRows: number;
  /** Chunks in the order of their rows; else as they are done. */
  inOrder: boolean;
  /** Who has scores computed to be stored, and waits for that; absent: they are written back as calls' are. */
  job?: string;
  /** Told what became of those, a part of them at a time. */
  kept?: (counts: PutCounts) => void;
};

export type EntityRunParts = {
  scheduler: Scheduler;
  stored: StoredScores;
};

/** Rows that are looked up, completed and encoded together: it holds the I/O thread. */
const PIECE_ROWS = 256;
/** Pieces under way at once, so that workers needn't wait for look-ups. */
const MAX_PIECES = 4;
/** Chunks that may be under way, or done and behind one that isn't. */
const MAX_CHUNKS = 8;

/** Rows under way together, of one chunk. */
type Piece = {
  chunk: ScoredChunk;
  /** The first row, from the first of all. */
  from: number;
  rows: number;
  entities: readonly string[] | undefined;
  /** What the store has by the row's place in the piece, be it old. */
  found: readonly (StoredScore | undefined)[];
  /** Why the store did not answer. */
  lookUpFailure: ScorewireError | undefined;
  /** As of which time the features of a row hold, by its place in the piece. */
  asOfMs: Float64Array;
};

export class EntityRun {
  readonly #model: ServedModel;
  readonly #batch: EntityBatch;
  readonly #parts: EntityRunParts;
  readonly #sink: BulkSink;
  readonly #order: ChunkOrder;
  readonly #feed: BlockFeed;
  /** Pieces that the workers have, by their first row. */
  readonly #open = new Map<number, Piece>();
  #nextRow = 0;
  #chunk: ScoredChunk | undefined;
  #pieces = 0;
  #rowsTaken = 0;
  #paused = false;
  #stepping = false;
  #ended = false;

  constructor(model: ServedModel, batch: EntityBatch, parts: EntityRunParts, sink: BulkSink) {
    this.#model = model;
    this.#batch = batch;
    this.#parts = parts;
    this.#sink = sink;
    this.#order = new ChunkOrder(batch.inOrder, (chunk) => this.#hand(chunk));
    this.#feed = new BlockFeed(model, parts.scheduler, {
      scored: (chunk) => this.#scored(chunk),
      failed: (error) => this.#fail(error),
    });
    if (batch.count === 0) setImmediate(() => this.#finish());
    else this.#step();
  }

  /** Chunks are taken again. */
  resume(): void {
    this.#paused = false;
    this.#step();
  }

  /** Nobody wants the scores any more. */
  cancel(): void {
    this.#ended = true;
    this.#feed.end();
  }

  /** One piece a turn of the event loop, so that others get theirs. */
  #step(): void {
    if (this.#stepping || this.#ended) return;
    this.#stepping = true;
    setImmediate(() => {
      this.#stepping = false;
      if (this.#ended || this.#paused || this.#pieces >= MAX_PIECES || this.#nextRow === this.#batch.count) return;
      if (this.#nextRow - this.#rowsTaken >= MAX_CHUNKS * this.#batch.chunkRows) return;
      this.#pieces++;
      this.#begin().catch((error: unknown) => this.#fail(toScorewireError(error)));
      this.#step();
    });
  }

  async #begin(): Promise<void> {
    const { count, chunkRows, entities, policy } = this.#batch;
    const from = this.#nextRow;
    this.#chunk ??= new ScoredChunk(from, Math.min(chunkRows, count - from));
    const chunk = this.#chunk;
    const rows = Math.min(PIECE_ROWS, chunk.firstRow + chunk.rows - from);
    this.#nextRow += rows;
    if (this.#nextRow === chunk.firstRow + chunk.rows) this.#chunk = undefined;
    const piece: Piece = {
      chunk,
      from,
      rows,
      entities: entities === undefined ? undefined : textsOf(entities, from, from + rows),
      found: [],
      lookUpFailure: undefined,
      asOfMs: new Float64Array(rows),
    };
    const named = this.#checked(piece);
    const left = policy === 'real_time_only' ? named : await this.#lookUp(piece, named, policy);
    if (this.#ended) return;
    if (left.length === 0) this.#done(piece, rows);
    else await this.#compute(piece, left);
  }

  /** The places of rows that are about somebody, where they must be; the others have their error. */
  #checked(piece: Piece): Int32Array {
    const { policy, rows } = this.#batch;
    const { entities } = piece;
    if (entities === undefined || (policy === 'real_time_only' && rows !== undefined)) return allOf(piece.rows);
    return allOf(piece.rows).filter((place) => {
      const problem = entityProblem(entities[place] as string);
      if (problem === '') return true;
      piece.chunk.errors.push({ row: piece.from + place, error: invalidField('entity_ids', problem) });
      return false;
    });
  }

  /** Answers what the store can; returns the places of the rows that the model is to score. */
  async #lookUp(
    piece: Piece,
    places: Int32Array,
    policy: Exclude<ScoringPolicy, 'real_time_only'>,
  ): Promise<Int32Array> {
    const { stored } = this.#parts;
    const entities = piece.entities as readonly string[];
    try {
      piece.found = await stored.fetchMany(this.#model, entities);
    } catch (cause) {
      piece.lookUpFailure = storeFailure(cause);
    }
    const failure = piece.lookUpFailure;
    const cells = stored.cells(this.#model);
    const nowMs = Date.now();
    const left: number[] = [];
    for (const place of places) {
      const found = piece.found[place];
      const next = afterLookUp(policy, found && nowMs - found.scoredAtMs, this.#batch.limits);
      if (next === 'precomputed') cells.hit.add();
      else if (stored.store !== undefined) (failure === undefined ? cells.miss : cells.unavailable).add();
      if (next === 'compute') left.push(place);
      else if (next !== 'nothing') this.#set(piece, place, found as StoredScore, next);
      else this.#fallBack(piece, place, failure ?? notStored(this.#model, entities[place] as string));
    }
    return Int32Array.from(left);
  }

  /** Completes, encodes and hands on rows, by their places in the piece. */
  async #compute(piece: Piece, places: Int32Array): Promise<void> {
    const model = this.#model;
    const { rows: source } = this.#batch;
    const { from, entities } = piece;
    const absolute = places.map((place) => from + place);
    const rows = source && new PickedSource(source, absolute);
    const names = entities && Array.from(places, (place) => entities[place] as string);
    let failed = 0;
    const fail = (index: number, error: ScorewireError): void => {
      failed++;
      this.#fallBack(piece, places[index] as number, error);
    };
    const blocks: RowPiece['blocks'][number][] = [];
    try {
      const complete = await model.features.completeMany(rows, names, 0, places.length, Date.now(), BATCH_MS);
      if (this.#ended) return;
      for (const [index, place] of places.entries()) piece.asOfMs[place] = complete.asOfMs[index] as number;
      const step = blockRows(model);
      for (let start = 0; start < places.length; start += step) {
        const end = Math.min(places.length, start + step);
        const block = encodeCompleted(model.encodeBlock, complete, start, end);
        for (const { row, error } of block.errors) fail(row, error);
        const rowsOfAll = block.rows.map((row) => absolute[row] as number);
        if (block.rows.length > 0) blocks.push({ ...block, rows: rowsOfAll });
      }
    } catch (cause) {
      const error = toScorewireError(cause);
      if (error.kind === 'internal') throw error;
      for (let index = 0; index < places.length; index++) fail(index, error);
    }
    if (failed === places.length) {
      this.#done(piece, piece.rows);
      return;
    }
    this.#settle(piece, piece.rows - (places.length - failed));
    this.#open.set(from, piece);
    this.#feed.push({ firstRow: from, rows: piece.rows, blocks });
  }

  /** The workers are done with what they had of a piece. */
  #scored(scored: ScoredChunk): void {
    const piece = this.#open.get(scored.firstRow) as Piece;
    this.#open.delete(scored.firstRow);
    const { spec } = this.#model;
    const { chunk, from } = piece;
    const scoredAtMs = Date.now();
    const computed: ComputedScore[] = [];
    let rows = scored.errors.length;
    for (let place = 0; place < scored.rows; place++) {
      if (scored.origins[place] === 0) continue;
      const [score, label] = [scored.scores[place] as number, scored.labels[place] as number];
      chunk.set(spec, from + place - chunk.firstRow, score, label, 'real_time');
      rows++;
      if (this.#batch.rows !== undefined) continue;
      const entityId = (piece.entities as readonly string[])[place] as string;
      const featuresAsOfMs = piece.asOfMs[place] as number;
      computed.push({ entityId, score, label, outputs: undefined, scoredAtMs, featuresAsOfMs });
    }
    for (const { row, error } of scored.errors) this.#fallBack(piece, row - from, error);
    const { job, kept } = this.#batch;
    if (job === undefined) {
      this.#parts.stored.writeBack(this.#model, computed);
      this.#done(piece, rows);
      return;
    }
    this.#parts.stored.keep(this.#model, computed, job).then(
      (counts) => {
        kept?.(counts);
        this.#done(piece, rows);
      },
      (error: unknown) => this.#fail(toScorewireError(error)),
    );
  }

  #set({ chunk, from }: Piece, place: number, { score, label }: StoredScore, origin: 'precomputed' | 'stale'): void {
    const { spec } = this.#model;
    chunk.set(spec, from + place - chunk.firstRow, score, labelOf(spec, score, label), origin);
  }

  #fallBack(piece: Piece, place: number, error: ScorewireError): void {
    const { spec } = this.#model;
    const { policy, limits } = this.#batch;
    const found = piece.found[place];
    const hasDefault = spec.defaultScore !== undefined && policy !== 'real_time_only';
    const answer = policy === 'real_time_only' ? 'error' : afterFailure(error, found !== undefined, limits, hasDefault);
    const at = piece.from + place - piece.chunk.firstRow;
    if (answer === 'stale') {
      this.#set(piece, place, found as StoredScore, 'stale');
    } else if (answer === 'default') {
      const score = Math.fround(spec.defaultScore as number);
      piece.chunk.set(spec, at, score, labelOf(spec, score, -1), 'default');
    } else {
      piece.chunk.errors.push({ row: piece.from + place, error: blamed(error, piece.lookUpFailure) });
    }
  }

  /** The last rows of a piece have a score or an error. */
  #done(piece: Piece, rows: number): void {
    this.#pieces--;
    this.#settle(piece, rows);
    this.#step();
  }

  #settle({ chunk }: Piece, rows: number): void {
    if (rows > 0 && !this.#ended) this.#order.settle(chunk, rows);
  }

  #hand(chunk: ScoredChunk): void {
    if (this.#ended) return;
    this.#rowsTaken += chunk.rows;
    if (!this.#sink.take(chunk)) this.#paused = true;
    if (this.#rowsTaken === this.#batch.count) this.#finish();
    else this.#step();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#feed.end();
    this.#sink.done();
  }

  #fail(error: ScorewireError): void {
    if (this.#ended) return;
    this.cancel();
    this.#sink.failed(error);
  }
}

function allOf(rows: number): Int32Array {
  return Int32Array.from({ length: rows }, (_, row) => row);
}

function textsOf(column: ColumnReader, from: number, to: number): readonly string[] {
  const { values, start } = column.read(from, to);
  return (values as readonly string[]).slice(start, start + to - from);
}
