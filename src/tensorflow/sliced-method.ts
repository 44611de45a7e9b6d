// What methods have in common whose messages may be large: read, answered and given up in slices, with the door, metrics, spans and
// errors of all other methods.
import { ScorewireError, toScorewireError } from '../errors.ts';
import { PREFIX_BYTES } from '../grpc/call-head.ts';
import { LARGE_BYTES } from '../grpc/message-budget.ts';
import { inSlices, type Sliced } from '../grpc/slices.ts';
import { toStatus } from '../grpc/status.ts';
import {
  type CallContext,
  cellsByModel,
  contextOf,
  malformed,
  recordOutcome,
  tooLate,
  type UnaryEdge,
} from '../grpc/unary.ts';
import type { UnaryCall, UnaryMethod } from '../grpc/unary-call.ts';
import { NotWellFormed } from '../grpc/wire-cursor.ts';
import type { Admission } from '../scoring/admission.ts';
import type { ServedModel } from '../scoring/served-model.ts';

export type SlicedMethodParts = { edge: UnaryEdge; admission: Admission; maxMessageBytes: number };

/** Begins to answer: `call.answer` or `call.fail` follow, now or later, unless it throws. */
export type SlicedHandler = (call: SlicedCall) => void;

/** Smaller messages are read at once. */
const SMALL_BYTES = 16 * 1024;

/** @param path as in `/tensorflow.serving.PredictionService/Predict` */
export function slicedMethod(
  { edge, admission, maxMessageBytes }: SlicedMethodParts,
  path: string,
  handler: SlicedHandler,
): UnaryMethod {
  const name = path.slice(1);
  const cellsOf = cellsByModel(edge.metrics, name);
  return {
    path,
    maxMessageBytes,
    keepsMessagesAbove: SMALL_BYTES,
    tooLargeHint: (bytes, maxBytes) =>
      `send the rows in ${Math.ceil(bytes / maxBytes)} calls or more, each with a part of them; the server's setting is limits.max_infer_message_bytes`,
    onMessage: (unary, message) => {
      const context = contextOf(edge, name, unary, performance.now(), () => unary.abandoned);
      let admitted = false;
      const call = new SlicedCall(unary, name, message, context, (error, framed) => {
        if (admitted) admission.leave();
        recordOutcome(edge, cellsOf, context, error);
        if (error !== undefined) unary.refuse(toStatus(error, context.entityId, edge.logFault));
        else if (framed.length > LARGE_BYTES) unary.answerFramed(framed);
        else unary.answer(framed.subarray(PREFIX_BYTES));
      });
      try {
        admission.enter();
        admitted = true;
        handler(call);
      } catch (error) {
        call.fail(error);
      }
    },
  };
}

/** One call, answered or refused exactly once. */
export class SlicedCall {
  readonly context: CallContext;
  readonly message: Buffer;
  readonly #unary: UnaryCall;
  readonly #settle: (error: ScorewireError | undefined, framed: Buffer) => void;
  readonly #name: string;
  #released = false;
  #open = true;
  #model: ServedModel | undefined;

  constructor(
    unary: UnaryCall,
    name: string,
    message: Buffer,
    context: CallContext,
    settle: (error: ScorewireError | undefined, framed: Buffer) => void,
  ) {
    this.#unary = unary;
    this.message = message;
    this.context = context;
    this.#settle = settle;
    this.#name = name;
  }

  /**
   * Does some of the call's work and goes on with what comes of it, unless the caller leaves meanwhile.
   * @param bytes that are read or written by it, about: where they are few it is done at once
   */
  work<T>(bytes: number, work: Sliced<T>, then: (result: T) => void): void {
    const done = (result: T): void => {
      try {
        then(result);
      } catch (error) {
        this.fail(error);
      }
    };
    if (bytes > SMALL_BYTES) {
      inSlices(this.#whileWanted(work), done, (error) => this.fail(error));
      return;
    }
    let result: T;
    try {
      result = atOnce(work);
    } catch (error) {
      this.fail(error);
      return;
    }
    done(result);
  }

  /** Nobody reads the message any more. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.message.length > SMALL_BYTES) this.#unary.release();
  }

  /** The call is for this model, which stays until it is over, whatever becomes of the version meanwhile. */
  use(model: ServedModel): void {
    this.context.model = model.spec.name;
    model.uses.begin();
    this.#model = model;
  }

  /** Makes sure that so much may be held beside the message. @throws ScorewireError RESOURCE_EXHAUSTED */
  hold(bytes: number): void {
    if (bytes <= LARGE_BYTES || this.#unary.hold(bytes)) return;
    throw new ScorewireError(
      'overloaded',
      'TOO_MANY_LARGE_MESSAGES',
      'the server holds as many large messages as it may; try again later',
      { retryAfterMs: RETRY_MS },
    );
  }

  /** @throws ScorewireError where nobody waits for the answer any more */
  checkWanted(): void {
    const error = tooLate(this.context);
    if (error !== undefined) throw error;
  }

  /** With a message that has room for its prefix in front. */
  answer(framed: Buffer): void {
    this.#end(tooLate(this.context), framed);
  }

  fail(error: unknown): void {
    const known = error instanceof NotWellFormed ? malformed(this.#name) : toScorewireError(error);
    this.#end(known, NOTHING);
  }

  #end(error: ScorewireError | undefined, framed: Buffer): void {
    if (!this.#open) return;
    this.#open = false;
    this.release();
    if (this.#model !== undefined) {
      if (error !== undefined) this.#model.statistics.failed(1000 * (performance.now() - this.context.receivedMs));
      this.#model.uses.end();
    }
    this.#settle(error, framed);
  }

  *#whileWanted<T>(work: Sliced<T>): Sliced<T> {
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      if (this.#unary.ended) this.checkWanted();
      yield;
    }
  }
}

const NOTHING = Buffer.alloc(0);
const RETRY_MS = 100;

function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
