// scorewire.v1.ScoringService/ScoreBatch: many rows in one message, their scores back in chunks.
import { invalidField } from '../errors.ts';
import type { RowSource } from '../features/row-source.ts';
import { type ScoreBatchRequest, ScoringServiceService } from '../gen/scorewire/v1/scoring.ts';
import type { Admission } from '../scoring/admission.ts';
import type { BulkScorer } from '../scoring/bulk-scorer.ts';
import type { BulkSink } from '../scoring/bulk-sink.ts';
import { limitsOf, policyOf, type ScoringPolicy } from '../scoring/policy.ts';
import type { ScoreOrigin } from '../scoring/score-call.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { BatchAnswer } from './batch-answer.ts';
import { type BatchRequest, readBatchRequest } from './batch-request.ts';
import { maxStalenessMs, scoringPolicy } from './scoring-service.ts';
import { inSlices } from './slices.ts';
import { oneMessage, type StreamCall, type StreamHandler, type StreamMethod } from './stream-call.ts';
import { type CellsByModel, cellsByModel, malformed, refuseCall, type UnaryEdge } from './unary.ts';
import { NotWellFormed } from './wire-cursor.ts';

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
  /** Told how many rows of a call were answered by scores of each origin. */
  answered: (model: ServedModel, rows: Readonly<Record<ScoreOrigin, number>>) => void;
};

export function scoreBatchMethod(parts: ScoreBatchParts): StreamMethod {
  const { path } = ScoringServiceService.scoreBatch;
  const cellsOf = cellsByModel(parts.edge.metrics, METHOD);
  return {
    path,
    maxMessageBytes: parts.maxMessageBytes,
    keepsMessagesAbove: 0,
    tooLargeHint: (bytes, maxBytes) =>
      `send the rows in ${Math.ceil(bytes / maxBytes)} calls or more, each with a part of them`,
    open: (call) => new Batch(call, parts, cellsOf).handler(),
  };
}

/** One call. */
class Batch {
  readonly #call: StreamCall;
  readonly #parts: ScoreBatchParts;
  readonly #cellsOf: CellsByModel;
  #reading: { cancel(): void } | undefined;
  #run: { resume(): void; cancel(): void } | undefined;
  #answer: BatchAnswer | undefined;
  #admitted = false;
  #model = '';

  constructor(call: StreamCall, parts: ScoreBatchParts, cellsOf: CellsByModel) {
    this.#call = call;
    this.#parts = parts;
    this.#cellsOf = cellsOf;
  }

  handler(): StreamHandler {
    // Rows stay the bytes that came until it is their turn.
    return oneMessage(
      this.#call,
      (message) => message,
      (message) => this.#read(message),
      {
        onDrain: () => this.#answer?.onDrain(),
        onAbort: () => this.#close('CANCELLED'),
      },
    );
  }

  #read(message: Buffer): void {
    try {
      this.#parts.admission.enter();
      this.#admitted = true;
      this.#reading = inSlices(
        readBatchRequest(message),
        (decoded) => this.#start(decoded),
        (error) => this.#refuse(error instanceof NotWellFormed ? malformed(METHOD) : error),
      );
    } catch (error) {
      this.#refuse(error);
    }
  }

  #start(decoded: BatchRequest): void {
    try {
      const { scorer, edge } = this.#parts;
      const { request, entities, rows } = decoded;
      const { chunkRows, topK } = sizesOf(request);
      const model = scorer().model(request.model, request.version);
      this.#model = request.model;
      const policy = batchPolicy(decoded);
      if (policy === 'precomputed_only') scorer().requireStore();
      if (rows !== undefined) checkRows(model, rows);
      const count = (rows?.count ?? entities?.length) as number;
      const answer = new BatchAnswer(
        { call: this.#call, model, request, rows: count, entities, logFault: edge.logFault },
        {
          room: () => this.#run?.resume(),
          sent: (rows) => {
            this.#parts.answered(model, rows);
            this.#close('OK');
          },
          failed: (error) => this.#refuse(error),
        },
      );
      this.#answer = answer;
      const sink: BulkSink = {
        take: (chunk) => answer.take(chunk),
        done: () => answer.end(),
        failed: (error) => this.#refuse(error),
      };
      const size = topK > 0 ? DEFAULT_CHUNK_ROWS : chunkRows;
      if (rows !== undefined && policy === 'real_time_only' && !model.features.adds) {
        this.#run = scorer().start(model, rows, size, request.inOrder, sink);
        return;
      }
      const limits = limitsOf(model.storedScores, maxStalenessMs(request.maxStaleness), request.allowStale);
      const batch = { count, entities, rows, policy, limits, chunkRows: size, inOrder: request.inOrder };
      this.#run = scorer().startEntities(model, batch, sink);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    this.#close(refuseCall(this.#parts.edge, this.#call, error));
  }

  #close(code: string): void {
    this.#reading?.cancel();
    this.#run?.cancel();
    this.#answer?.cancel();
    if (this.#admitted) this.#parts.admission.leave();
    this.#admitted = false;
    this.#cellsOf(this.#model).record(code, (performance.now() - this.#call.startedMs) / 1000);
  }
}

/** @throws ScorewireError INVALID_ARGUMENT where there is nothing to score, or to look up by */
function batchPolicy({ rows, entities, request }: BatchRequest): ScoringPolicy {
  const policy = policyOf(scoringPolicy(request.policy), rows !== undefined);
  if (rows === undefined && entities === undefined) {
    throw invalidField('rows', 'expected matrix, columns or entity_ids, found none of them');
  }
  if (policy !== 'real_time_only' && entities === undefined) {
    throw invalidField('entity_ids', 'expected one a row, as stored scores are asked for; found none');
  }
  return policy;
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
