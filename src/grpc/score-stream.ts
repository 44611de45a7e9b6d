// scorewire.v1.ScoringService/ScoreStream: items in, results out, as they are done or in order, on a call that stays open.
import { status as Status } from '@grpc/grpc-js';
import { invalidField, ScorewireError, toScorewireError } from '../errors.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import {
  type ScoreRequest,
  type ScoreResponse,
  type ScoreStreamRequest,
  ScoreStreamResponse,
  ScoringServiceService,
  type StreamItem,
  type StreamResult,
} from '../gen/scorewire/v1/scoring.ts';
import { durationMs } from './duration.ts';
import { toRowError, toStatus } from './status.ts';
import type { StreamCall, StreamHandler, StreamMethod } from './stream-call.ts';
import {
  type CellsByModel,
  cellsByModel,
  contextOf,
  Malformed,
  recordOutcome,
  tolerant,
  tooLate,
  type UnaryEdge,
  type UnaryHandler,
} from './unary.ts';

/**
 * Items of one stream that are scored at once. What comes on top waits with its sender, so that a stream has no more of the
 * queue than its share and none of the memory.
 */
const MAX_OPEN_ITEMS = 512;

const METHOD = ScoringServiceService.scoreStream.path.slice(1);

/** The open streams, so that a drain can end them. */
export class ScoreStreams {
  readonly #edge: UnaryEdge;
  readonly #score: UnaryHandler<ScoreRequest, ScoreResponse>;
  readonly #cellsOf: CellsByModel;
  readonly #open = new Set<ScoreStream>();
  #draining = false;

  /** @param score what scores one request */
  constructor(edge: UnaryEdge, score: UnaryHandler<ScoreRequest, ScoreResponse>) {
    this.#edge = edge;
    this.#score = score;
    this.#cellsOf = cellsByModel(edge.metrics, METHOD);
  }

  method(): StreamMethod {
    const { scoreStream } = ScoringServiceService;
    const decode = tolerant(scoreStream);
    return {
      path: scoreStream.path,
      open: (call) => {
        const stream: ScoreStream = new ScoreStream(call, this.#edge, this.#score, this.#cellsOf, decode, () =>
          this.#open.delete(stream),
        );
        this.#open.add(stream);
        if (this.#draining) stream.drain();
        return stream;
      },
    };
  }

  /** Takes no more items; streams end when those that are open are answered. */
  drain(): void {
    this.#draining = true;
    for (const stream of [...this.#open]) stream.drain();
  }
}

type Decode = ReturnType<typeof tolerant<ScoreStreamRequest>>;

class ScoreStream implements StreamHandler {
  readonly #call: StreamCall;
  readonly #edge: UnaryEdge;
  readonly #score: UnaryHandler<ScoreRequest, ScoreResponse>;
  readonly #cellsOf: CellsByModel;
  readonly #decode: Decode;
  readonly #onClosed: () => void;
  /** Items whose result has not been handed on. */
  #openItems = 0;
  /** Where the order counts: a place for each open item's result, in the order of the items. */
  #places: { result: StreamResult | undefined }[] | undefined;
  #begun = false;
  /** Results of this turn of the event loop, which go out in one message. */
  #results: StreamResult[] = [];
  #flushing = false;
  #full = false;
  #ending = false;
  #draining = false;

  constructor(
    call: StreamCall,
    edge: UnaryEdge,
    score: UnaryHandler<ScoreRequest, ScoreResponse>,
    cellsOf: CellsByModel,
    decode: Decode,
    onClosed: () => void,
  ) {
    this.#call = call;
    this.#edge = edge;
    this.#score = score;
    this.#cellsOf = cellsOf;
    this.#decode = decode;
    this.#onClosed = onClosed;
  }

  onMessage(message: Buffer): void {
    const request = this.#decode(message);
    if (request instanceof Malformed) {
      const details = 'the message is not a well-formed ScoreStreamRequest';
      this.#call.abort({ code: Status.INVALID_ARGUMENT, details });
      return;
    }
    if (!this.#begun) this.#places = request.inOrder ? [] : undefined;
    this.#begun = true;
    const receivedMs = performance.now();
    for (const item of request.items) this.#take(item, receivedMs);
    this.#setFlow();
  }

  onEnd(): void {
    this.#ending = true;
    this.#endIfDone();
  }

  onDrain(): void {
    this.#full = false;
    this.#setFlow();
  }

  onAbort(): void {
    this.#onClosed();
  }

  drain(): void {
    this.#draining = true;
    this.#call.pause();
    this.#endIfDone();
  }

  #take({ id, request, timeout }: StreamItem, receivedMs: number): void {
    const context = contextOf(this.#edge, METHOD, this.#call, receivedMs, () => this.#call.ended);
    let open = true;
    const place = { result: undefined };
    this.#openItems++;
    this.#places?.push(place);
    const done = (failure: ScorewireError | undefined, response?: ScoreResponse): void => {
      if (!open) return;
      open = false;
      const error = failure ?? tooLate(context);
      recordOutcome(this.#edge, this.#cellsOf, context, error);
      const outcome =
        error === undefined
          ? ({ $case: 'response', value: response as ScoreResponse } as const)
          : ({ $case: 'error', value: toRowError(error, 0, context.entityId, this.#edge.logFault) } as const);
      this.#settle({ id, outcome }, place);
    };
    try {
      if (request === undefined) throw NO_REQUEST;
      if (timeout !== undefined) context.deadlineMs = Math.min(context.deadlineMs, receivedMs + timeoutMs(timeout));
      this.#score(request, context, done);
    } catch (error) {
      done(toScorewireError(error));
    }
  }

  #settle(result: StreamResult, place: { result: StreamResult | undefined }): void {
    if (this.#places === undefined) {
      this.#add(result);
      return;
    }
    place.result = result;
    while (this.#places[0]?.result !== undefined) this.#add(this.#places.shift()?.result as StreamResult);
  }

  #add(result: StreamResult): void {
    this.#openItems--;
    if (this.#call.ended) return;
    this.#results.push(result);
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(flush, this);
  }

  /** For `flush`. */
  send(): void {
    this.#flushing = false;
    if (this.#call.ended) return;
    const results = this.#results;
    this.#results = [];
    let message: Uint8Array;
    try {
      message = ScoreStreamResponse.encode({ results }).finish();
    } catch (fault) {
      this.#call.refuse(toStatus(toScorewireError(fault), '', this.#edge.logFault));
      this.#onClosed();
      return;
    }
    if (!this.#call.send(message)) this.#full = true;
    this.#setFlow();
    this.#endIfDone();
  }

  /** Reads on only while there is room for what comes and for what goes. */
  #setFlow(): void {
    if (this.#full || this.#openItems >= MAX_OPEN_ITEMS || this.#draining) this.#call.pause();
    else this.#call.resume();
  }

  #endIfDone(): void {
    if (this.#openItems > 0 || this.#results.length > 0 || this.#call.ended) return;
    if (this.#ending) this.#call.end();
    else if (this.#draining) this.#call.refuse(toStatus(DRAINING, '', this.#edge.logFault));
    else return;
    this.#onClosed();
  }
}

const NO_REQUEST = new ScorewireError(
  'invalid_argument',
  'INVALID_FIELD',
  'request: expected a ScoreRequest, found none',
  {
    violations: [{ field: 'request', description: 'expected a ScoreRequest, found none' }],
  },
);
const DRAINING = new ScorewireError('unavailable', 'DRAINING', 'the server is shutting down; go on with another one');

/** @throws ScorewireError INVALID_ARGUMENT for what is no time to wait */
function timeoutMs(timeout: Duration): number {
  const ms = durationMs(timeout);
  if (ms >= 0) return ms;
  const { seconds, nanos } = timeout;
  throw invalidField('timeout', `expected a Duration that is not negative, found ${seconds} s and ${nanos} ns`);
}

function flush(stream: ScoreStream): void {
  stream.send();
}
