// What a ScoreBatch call sends back: chunks in turn, then the summary.
import type { ColumnReader } from '../features/row-source.ts';
import { type RowError, type ScoreBatchRequest, ScoreBatchResponse } from '../gen/scorewire/v1/scoring.ts';
import type { ScoreOrigin } from '../scoring/score-call.ts';
import { ORIGIN_CODES, type ScoredChunk } from '../scoring/scored-chunk.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { chunkMessage } from './chunk-message.ts';
import { chunkOf, type PickedRows, TopRows } from './picked-rows.ts';
import { inSlices, type Sliced } from './slices.ts';
import { type FaultLog, toRowError } from './status.ts';
import type { StreamCall } from './stream-call.ts';
import { toTimestamp } from './timestamp.ts';

export type BatchAnswerParts = {
  call: StreamCall;
  model: ServedModel;
  request: ScoreBatchRequest;
  /** Of the request. */
  rows: number;
  entities: ColumnReader | undefined;
  logFault: FaultLog;
};

export type BatchAnswerEvents = {
  /** More chunks are taken, after a `take` that returned false. */
  room(): void;
  /** All has been sent: so many rows with a score of each origin. */
  sent(rows: Readonly<Record<ScoreOrigin, number>>): void;
  /** A fault inside: nothing more will be sent. */
  failed(error: unknown): void;
};

export class BatchAnswer {
  readonly #parts: BatchAnswerParts;
  readonly #events: BatchAnswerEvents;
  /** float32: rows at or below it are left out. */
  readonly #above: number;
  readonly #best: TopRows | undefined;
  #failedRows = 0;
  /** By ORIGIN_CODES. */
  readonly #origins = new Uint32Array(5);
  /** Chunks that are to be written, the first of them being written now. */
  readonly #waiting: (PickedRows | TopRows)[] = [];
  #writing: { cancel(): void } | undefined;
  #hasRoom = true;
  #ending = false;

  constructor(parts: BatchAnswerParts, events: BatchAnswerEvents) {
    const { minScore, topK } = parts.request;
    this.#parts = parts;
    this.#events = events;
    this.#above = minScore === undefined ? Number.NEGATIVE_INFINITY : Math.fround(minScore);
    this.#best = topK === 0 ? undefined : new TopRows(topK);
  }

  /** False: enough for now. */
  take(chunk: ScoredChunk): boolean {
    this.#failedRows += chunk.errors.length;
    for (const code of chunk.origins) this.#origins[code] = (this.#origins[code] as number) + 1;
    if (this.#best !== undefined) {
      this.#best.take(chunk, this.#above);
      return true;
    }
    return this.#send(chunkOf(chunk, this.#above));
  }

  /** There are no more chunks. */
  end(): void {
    this.#ending = true;
    if (this.#best !== undefined) this.#send(this.#best);
    else if (this.#waiting.length === 0) this.#finish();
  }

  /** The caller has taken what was sent. */
  onDrain(): void {
    if (this.#waiting.length === 0) this.#events.room();
  }

  cancel(): void {
    this.#writing?.cancel();
    this.#waiting.length = 0;
  }

  /** False: enough for now. */
  #send(picked: PickedRows | TopRows): boolean {
    this.#waiting.push(picked);
    if (this.#waiting.length === 1) this.#writeNext();
    return this.#waiting.length === 0 && this.#hasRoom;
  }

  /** Most chunks are written before this returns. */
  #writeNext(): void {
    const next = this.#waiting[0] as PickedRows | TopRows;
    const writing = inSlices(
      this.#messageOf(next),
      (message) => {
        this.#waiting.shift();
        this.#hasRoom = this.#parts.call.sendFramed(message);
        if (this.#waiting.length > 0) this.#writeNext();
        else if (this.#ending) this.#finish();
        else if (this.#hasRoom) this.#events.room();
      },
      (error) => this.#events.failed(error),
    );
    if (this.#waiting[0] === next) this.#writing = writing;
  }

  *#messageOf(picked: PickedRows | TopRows): Sliced<Buffer> {
    const rows = picked instanceof TopRows ? yield* picked.chunk() : picked;
    return yield* chunkMessage(rows, (error) => this.#rowError(error));
  }

  #rowError({ row, error }: PickedRows['errors'][number]): RowError {
    const { entities, logFault } = this.#parts;
    // There may be a million of them, and a caller knows which row has which.
    const part = error.kind === 'internal' ? entities?.read(row, row + 1) : undefined;
    const entityId = part === undefined ? '' : (part.values[part.start] as string);
    return toRowError(error, row, entityId, logFault);
  }

  #finish(): void {
    const { call, model, rows } = this.#parts;
    const answered = {
      precomputed: this.#origins[ORIGIN_CODES.precomputed] as number,
      real_time: this.#origins[ORIGIN_CODES.real_time] as number,
      stale: this.#origins[ORIGIN_CODES.stale] as number,
      default: this.#origins[ORIGIN_CODES.default] as number,
    };
    const summary = {
      model: model.spec.name,
      version: BigInt(model.spec.version),
      rows: BigInt(rows),
      scored: BigInt(rows - this.#failedRows),
      failed: BigInt(this.#failedRows),
      scoredAt: toTimestamp(Date.now()),
      precomputed: BigInt(answered.precomputed),
      realTime: BigInt(answered.real_time),
      stale: BigInt(answered.stale),
      defaulted: BigInt(answered.default),
    };
    call.send(ScoreBatchResponse.encode({ part: { $case: 'summary', value: summary } }).finish());
    call.end();
    this.#events.sent(answered);
  }
}
