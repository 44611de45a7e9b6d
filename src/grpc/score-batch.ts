// scorewire.v1.ScoringService/ScoreBatch: many rows in one message, their scores back in chunks.
import { invalidField, ScorewireError } from '../errors.ts';
import type { RowSource } from '../features/row-source.ts';
import {
  Origin,
  type ScoreBatchRequest,
  ScoreBatchResponse,
  type ScoreChunk,
  ScoringServiceService,
} from '../gen/scorewire/v1/scoring.ts';
import type { Admission } from '../scoring/admission.ts';
import type { BulkRun, BulkScorer } from '../scoring/bulk-scorer.ts';
import type { ScoredChunk } from '../scoring/scored-chunk.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { type BatchRequest, readBatchRequest } from './batch-request.ts';
import { chunkOf, type PickedRows, TopRows } from './picked-rows.ts';
import { requireRealTime } from './scoring-service.ts';
import { codeName, toRowError, toScorewireError, toStatus } from './status.ts';
import { oneMessage, type StreamCall, type StreamHandler, type StreamMethod } from './stream-call.ts';
import { toTimestamp } from './timestamp.ts';
import { type CellsByModel, cellsByModel, Malformed, malformed, tolerant, type UnaryEdge } from './unary.ts';

const DEFAULT_CHUNK_ROWS = 1000;
/** A chunk, and the k best, come in one message: this many rows make some 1.5 MB, which clients take by default. */
const MAX_CHUNK_ROWS = 100_000;

const METHOD = ScoringServiceService.scoreBatch.path.slice(1);

export type ScoreBatchParts = {
  edge: UnaryEdge;
  admission: Admission;
  /** Not there before the models are. */
  scorer: () => BulkScorer;
  maxMessageBytes: number;
};

export function scoreBatchMethod(parts: ScoreBatchParts): StreamMethod {
  const { path } = ScoringServiceService.scoreBatch;
  const cellsOf = cellsByModel(parts.edge.metrics, METHOD);
  // Rows stay the bytes that came until it is their turn.
  const decode = tolerant({ path, requestDeserialize: (message: Buffer) => message });
  return {
    path,
    maxMessageBytes: parts.maxMessageBytes,
    keepsMessages: true,
    tooLargeHint: 'send the rows in several calls',
    open: (call) => {
      const batch = new Batch(call, parts, cellsOf);
      return batch.handler(decode);
    },
  };
}

/** One call. */
class Batch {
  readonly #call: StreamCall;
  readonly #parts: ScoreBatchParts;
  readonly #cellsOf: CellsByModel;
  #run: BulkRun | undefined;
  #admitted = false;
  #model = '';

  constructor(call: StreamCall, parts: ScoreBatchParts, cellsOf: CellsByModel) {
    this.#call = call;
    this.#parts = parts;
    this.#cellsOf = cellsOf;
  }

  handler(decode: (message: Buffer) => Buffer | Malformed): StreamHandler {
    return oneMessage(this.#call, decode, (request) => this.#start(request), {
      onDrain: () => this.#run?.resume(),
      onAbort: () => this.#close('CANCELLED'),
    });
  }

  #start(message: Buffer | Malformed): void {
    try {
      if (message instanceof Malformed) throw malformed(METHOD);
      const decoded = readBatchRequest(message);
      const { admission, scorer } = this.#parts;
      admission.enter();
      this.#admitted = true;
      const rows = rowsOf(decoded);
      const { request } = decoded;
      const { chunkRows, topK } = sizesOf(request);
      const model = scorer().model(request.model, request.version);
      this.#model = request.model;
      checkRows(model, rows);
      const answer = new Answer(this.#call, model, request, rows.count, topK, this.#parts.edge);
      this.#run = scorer().start(model, rows, chunkRows, request.inOrder, {
        take: (chunk) => answer.take(chunk),
        done: () => {
          answer.end();
          this.#close('OK');
        },
        failed: (error) => this.#refuse(error),
      });
    } catch (error) {
      this.#refuse(toScorewireError(error));
    }
  }

  #refuse(error: ScorewireError): void {
    const { edge } = this.#parts;
    const code = codeName(error.kind);
    edge.metrics.errors.cell({ code, reason: error.reason }).add(1);
    this.#call.refuse(toStatus(error, '', edge.logFault));
    this.#close(code);
  }

  #close(code: string): void {
    this.#run?.cancel();
    if (this.#admitted) this.#parts.admission.leave();
    this.#admitted = false;
    this.#cellsOf(this.#model).record(code, (performance.now() - this.#call.startedMs) / 1000);
  }
}

function rowsOf({ rows, entities, request }: BatchRequest): RowSource {
  if (rows === undefined) {
    const found = entities > 0 ? `${entities} entity_ids alone` : 'neither';
    throw new ScorewireError(
      entities > 0 ? 'unimplemented' : 'invalid_argument',
      entities > 0 ? 'NO_STORE' : 'INVALID_FIELD',
      `rows: expected matrix or columns, found ${found}; looking features and scores up by entity is not built yet`,
      { violations: [{ field: 'rows', description: `expected matrix or columns, found ${found}` }] },
    );
  }
  requireRealTime(request.policy);
  return rows;
}

function sizesOf({ chunkRows, topK }: ScoreBatchRequest): { chunkRows: number; topK: number } {
  for (const [field, value] of [
    ['chunk_rows', chunkRows],
    ['top_k', topK],
  ] as const) {
    if (value > MAX_CHUNK_ROWS) throw invalidField(field, `expected at most ${MAX_CHUNK_ROWS}, found ${value}`);
  }
  return { chunkRows: chunkRows === 0 ? DEFAULT_CHUNK_ROWS : chunkRows, topK };
}

/** What is wrong with every row is said once, and not for each. */
function checkRows({ spec, encode }: ServedModel, rows: RowSource): void {
  const { rows: layout } = spec;
  if (rows.count === 0) return;
  // The encoder says what is wrong with all rows where the layout has no features to speak of.
  if (layout.kind !== 'features') {
    encode(rows.row(0, []));
    return;
  }
  if (!layout.dense && rows.form === 'dense') {
    throw invalidField('matrix', `${spec.name} has text features: expected columns, found matrix`);
  }
  if (!layout.named && rows.form === 'named') {
    throw invalidField('columns', `${spec.name} has no feature names: expected matrix, found columns`);
  }
  const problem = rows.problem(spec.name, layout.features);
  if (problem !== undefined) throw invalidField(problem.field, problem.description);
}

/** What a call sends back. */
class Answer {
  readonly #call: StreamCall;
  readonly #model: ServedModel;
  readonly #edge: UnaryEdge;
  readonly #rows: number;
  /** float32: rows at or below it are left out. */
  readonly #above: number;
  readonly #best: TopRows | undefined;
  #failed = 0;

  constructor(
    call: StreamCall,
    model: ServedModel,
    { minScore }: ScoreBatchRequest,
    rows: number,
    topK: number,
    edge: UnaryEdge,
  ) {
    this.#call = call;
    this.#model = model;
    this.#edge = edge;
    this.#rows = rows;
    this.#above = minScore === undefined ? Number.NEGATIVE_INFINITY : Math.fround(minScore);
    this.#best = topK === 0 ? undefined : new TopRows(topK);
  }

  /** False: the caller doesn't keep up. */
  take(chunk: ScoredChunk): boolean {
    this.#failed += chunk.errors.length;
    if (this.#best !== undefined) {
      this.#best.take(chunk, this.#above);
      return true;
    }
    return this.#send(chunkOf(chunk, this.#above));
  }

  end(): void {
    if (this.#best !== undefined) this.#send(this.#best.chunk());
    const summary = {
      model: this.#model.spec.name,
      version: BigInt(this.#model.spec.version),
      rows: BigInt(this.#rows),
      scored: BigInt(this.#rows - this.#failed),
      failed: BigInt(this.#failed),
      scoredAt: toTimestamp(Date.now()),
    };
    this.#call.send(ScoreBatchResponse.encode({ part: { $case: 'summary', value: summary } }).finish());
    this.#call.end();
  }

  #send({ errors, ...lists }: PickedRows): boolean {
    const chunk: ScoreChunk = {
      ...lists,
      firstRow: BigInt(lists.firstRow),
      origins: lists.scores.map(() => Origin.ORIGIN_REAL_TIME),
      errors: errors.map(({ row, error }) => toRowError(error, row, '', this.#edge.logFault)),
    };
    return this.#call.send(ScoreBatchResponse.encode({ part: { $case: 'chunk', value: chunk } }).finish());
  }
}
