// inference.GRPCInferenceService/ModelStreamInfer: requests in, responses out in their order, on a call that stays open.
import { ScorewireError } from '../errors.ts';
import { GRPCInferenceServiceService, ModelStreamInferResponse } from '../gen/inference/inference.ts';
import { LARGE_BYTES } from '../grpc/message-budget.ts';
import { toStatus } from '../grpc/status.ts';
import type { StreamCall, StreamHandler, StreamMethod } from '../grpc/stream-call.ts';
import { type CellsByModel, cellsByModel, contextOf, recordOutcome, tooLate } from '../grpc/unary.ts';
import { AT_ONCE_MESSAGE_BYTES, InferCall, type InferCaller } from './infer-call.ts';
import { toInferError } from './infer-error.ts';
import { type ModelInferParts, tooLargeHint } from './model-infer.ts';

/** Requests of one stream that are under way at once. What comes on top waits with its sender. */
const MAX_OPEN_REQUESTS = 256;

const { path: PATH } = GRPCInferenceServiceService.modelStreamInfer;
const METHOD = PATH.slice(1);

const DRAINING = toInferError(
  new ScorewireError('unavailable', 'DRAINING', 'the server is shutting down; go on with another one'),
  '',
  false,
);

/** The open streams, so that a drain can end them. */
export class InferStreams {
  readonly #parts: ModelInferParts;
  readonly #cellsOf: CellsByModel;
  readonly #open = new Set<InferStream>();
  #draining = false;

  constructor(parts: ModelInferParts) {
    this.#parts = parts;
    this.#cellsOf = cellsByModel(parts.edge.metrics, METHOD);
  }

  method(): StreamMethod {
    return {
      path: PATH,
      maxMessageBytes: this.#parts.maxMessageBytes,
      tooLargeHint,
      keepsMessagesAbove: AT_ONCE_MESSAGE_BYTES,
      open: (call) => {
        const stream: InferStream = new InferStream(call, this.#parts, this.#cellsOf, () => this.#open.delete(stream));
        this.#open.add(stream);
        if (this.#draining) stream.drain();
        return stream;
      },
    };
  }

  /** Takes no more requests; streams end when those that are open are answered. */
  drain(): void {
    this.#draining = true;
    for (const stream of [...this.#open]) stream.drain();
  }
}

/** A request's place in the order; `send` sends its answer, once it is there, for which so many bytes are held. */
type Place = { send: (() => void) | undefined; held: number };

class InferStream implements StreamHandler {
  readonly #call: StreamCall;
  readonly #parts: ModelInferParts;
  readonly #cellsOf: CellsByModel;
  readonly #onClosed: () => void;
  /** Whether an error ends the stream, and is its status. */
  readonly #endsByError: boolean;
  readonly #places: Place[] = [];
  /** A large message is read, and the next one waits. */
  #reading = false;
  #full = false;
  #ending = false;
  #draining = false;

  constructor(call: StreamCall, parts: ModelInferParts, cellsOf: CellsByModel, onClosed: () => void) {
    this.#call = call;
    this.#parts = parts;
    this.#cellsOf = cellsOf;
    this.#onClosed = onClosed;
    this.#endsByError = call.header('triton_grpc_error') === 'true';
  }

  onMessage(message: Buffer): void {
    const { edge } = this.#parts;
    const call = this.#call;
    const context = contextOf(edge, METHOD, call, performance.now(), () => call.ended);
    const place: Place = { send: undefined, held: 0 };
    this.#places.push(place);
    let heldBytes = 0;
    const caller: InferCaller = {
      peer: call.peer,
      header: (name) => call.header(name),
      get ended() {
        return call.ended;
      },
      hold: (bytes) => {
        const held = call.hold(bytes);
        if (held) heldBytes += bytes;
        return held;
      },
      release: () => this.#release(message),
    };
    this.#reading = message.length > AT_ONCE_MESSAGE_BYTES;
    new InferCall(this.#parts, context, caller, true, (failure, response, id) => {
      const error = failure ?? tooLate(context);
      recordOutcome(edge, this.#cellsOf, context, error);
      if (error !== undefined) {
        place.send = () => this.#sendError(error, id);
      } else if (response !== undefined) {
        // What is held for a response is held until it is sent.
        if (!call.ended) place.held = Math.min(heldBytes, response.bytes.length);
        place.send = () => this.#send(response.bytes, place.held);
      }
      call.giveBack(heldBytes - place.held);
      heldBytes = 0;
      this.#sendInOrder();
    }).start(message);
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
    this.#closed();
  }

  drain(): void {
    this.#draining = true;
    this.#call.pause();
    this.#endIfDone();
  }

  #release(message: Buffer): void {
    if (!this.#reading) return;
    this.#reading = false;
    if (this.#call.ended) return;
    if (message.length > LARGE_BYTES) this.#call.release();
    this.#setFlow();
  }

  #sendInOrder(): void {
    while (this.#places[0]?.send !== undefined && !this.#call.ended) this.#places.shift()?.send?.();
    this.#setFlow();
    this.#endIfDone();
  }

  #send(framed: Buffer, held: number): void {
    if (!this.#call.sendFramed(framed, held)) this.#full = true;
  }

  #sendError(error: ScorewireError, id: string): void {
    const status = toStatus(error, '', this.#parts.edge.logFault);
    if (this.#endsByError) {
      this.#call.refuse(status);
      this.#closed();
      return;
    }
    const inferResponse = {
      modelName: '',
      modelVersion: '',
      id,
      parameters: new Map([
        ['triton_final_response', { parameterChoice: { $case: 'boolParam', value: true } as const }],
      ]),
      outputs: [],
      rawOutputContents: [],
    };
    const message = ModelStreamInferResponse.encode({ errorMessage: status.details, inferResponse }).finish();
    if (!this.#call.send(message)) this.#full = true;
  }

  /** Reads on only while there is room for what comes and for what goes. */
  #setFlow(): void {
    if (this.#call.ended) return;
    const busy = this.#full || this.#reading || this.#places.length >= MAX_OPEN_REQUESTS;
    if (busy || this.#draining) this.#call.pause();
    else this.#call.resume();
  }

  #endIfDone(): void {
    if (this.#places.length > 0 || this.#call.ended) return;
    if (this.#ending) this.#call.end();
    else if (this.#draining) this.#call.refuse(toStatus(DRAINING, '', this.#parts.edge.logFault));
    else return;
    this.#closed();
  }

  /** Answers that wait for their turn are not sent any more. */
  #closed(): void {
    for (const place of this.#places) {
      this.#call.giveBack(place.held);
      place.held = 0;
    }
    this.#onClosed();
  }
}
