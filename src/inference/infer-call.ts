// One request with tensors, whatever call it came in: read, checked, run, answered.
import { ScorewireError, toScorewireError } from '../errors.ts';
import type { AdminGate } from '../grpc/admin-gate.ts';
import { inSlices, type Sliced } from '../grpc/slices.ts';
import { type CallContext, type Caller, malformed } from '../grpc/unary.ts';
import { NotWellFormed } from '../grpc/wire-cursor.ts';
import type { Admission } from '../scoring/admission.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { RunTensors, TensorAnswer } from '../scoring/tensor-call.ts';
import { findModel } from './find-model.ts';
import { NO_ROOM, toInferError } from './infer-error.ts';
import { type InferRequest, lasting, readInferRequest } from './infer-request.ts';
import { type EncodedResponse, encodeResponse, responseBytes } from './infer-response.ts';
import { type PreparedModel, preparedModel } from './prepared-model.ts';
import { RequestCheck } from './request-check.ts';
import type { SharedMemory, SharedPart } from './shared-memory.ts';

/** Smaller messages are read at once; larger ones in slices, so that they must stay valid meanwhile. */
export const AT_ONCE_MESSAGE_BYTES = 32 * 1024;

export type InferParts = {
  admission: Admission;
  /** @throws ScorewireError UNAVAILABLE before the models are there */
  models: () => ModelRegistry;
  run: RunTensors;
  memory: SharedMemory;
  /** Who may have tensors read from there, and written to there. */
  gate: AdminGate;
  /** Told about every answer; must not throw. */
  observe: (model: ServedModel, answer: TensorAnswer) => void;
};

/** Whoever sent a request. */
export interface InferCaller extends Caller {
  /** Nobody waits for an answer any more. */
  readonly ended: boolean;
  /** Makes sure that there is room for so many bytes until the request is answered. False: there is none. */
  hold(bytes: number): boolean;
  /** The message is read. */
  release(): void;
}

/** Called exactly once. `id` is the request's, '' where it can't be told. */
export type InferDone = (error: ScorewireError | undefined, response: EncodedResponse | undefined, id: string) => void;

export class InferCall implements SharedMemory {
  readonly #parts: InferParts;
  readonly #context: CallContext;
  readonly #caller: InferCaller;
  readonly #streamed: boolean;
  readonly #done: InferDone;
  #id = '';
  #admitted = false;
  #prepared: PreparedModel | undefined;
  #check: RequestCheck | undefined;
  #timeoutMs = Number.POSITIVE_INFINITY;

  /** @param streamed whether the response is for ModelStreamInfer */
  constructor(parts: InferParts, context: CallContext, caller: InferCaller, streamed: boolean, done: InferDone) {
    this.#parts = parts;
    this.#context = context;
    this.#caller = caller;
    this.#streamed = streamed;
    this.#done = done;
  }

  /** Takes a message, which must stay valid until the caller's `release` where it is larger than AT_ONCE_MESSAGE_BYTES. */
  start(message: Uint8Array): void {
    try {
      this.#parts.admission.enter();
      this.#admitted = true;
      const request = readInferRequest(message);
      this.#id = request.id;
      const model = findModel(this.#parts.models(), request.modelName, request.modelVersion);
      this.#context.model = model.spec.name;
      this.#prepared = preparedModel(model);
      if (message.length > AT_ONCE_MESSAGE_BYTES) {
        this.#readSlowly(request, this.#prepared);
      } else if (usesSharedMemory(request)) {
        this.#readSlowly(lasting(request), this.#prepared);
      } else {
        this.#readAtOnce(request, this.#prepared);
      }
    } catch (error) {
      this.#caller.release();
      this.#fail(error);
    }
  }

  #readAtOnce(request: InferRequest, prepared: PreparedModel): void {
    const check = this.#checkOf(request, prepared);
    try {
      for (let work = check.advance(); work !== undefined; work = check.advance()) while (work.next().done !== true);
    } finally {
      check.close();
    }
    this.#caller.release();
    this.#run(check, prepared);
  }

  /** The version stays until its turn has come. */
  #readSlowly(request: InferRequest, prepared: PreparedModel): void {
    const check = this.#checkOf(request, prepared);
    const { uses } = prepared.model;
    uses.begin();
    inSlices(
      this.#whileWanted(advanced(check)),
      () => {
        this.#caller.release();
        try {
          this.#run(check, prepared);
        } catch (error) {
          this.#fail(error);
        }
        uses.end();
      },
      (error) => {
        this.#caller.release();
        uses.end();
        this.#fail(error);
      },
    );
  }

  #checkOf(request: InferRequest, prepared: PreparedModel): RequestCheck {
    const check = new RequestCheck(request, prepared, this, this.#caller);
    this.#check = check;
    return check;
  }

  /** As the memory's own, for callers that are let in: from elsewhere nobody can have put anything there. */
  open(region: string, offset: bigint, byteSize: bigint): SharedPart {
    const part = this.#parts.memory.open(region, offset, byteSize);
    try {
      this.#parts.gate.check(this.#caller);
    } catch (error) {
      part.close();
      throw error;
    }
    return part;
  }

  #run(check: RequestCheck, prepared: PreparedModel): void {
    const { receivedMs, deadlineMs, abandoned } = this.#context;
    this.#timeoutMs = receivedMs + check.timeoutMs;
    const call = {
      model: prepared.model,
      inputs: check.inputs,
      outputNames: check.list.names,
      receivedMs,
      deadlineMs: Math.min(deadlineMs, this.#timeoutMs),
      abandoned,
    };
    this.#parts.run(call, (error, answer) => {
      if (answer === undefined) this.#fail(error);
      else this.#answer(check, prepared, answer);
    });
  }

  #answer({ list, forms, rows }: RequestCheck, prepared: PreparedModel, answer: TensorAnswer): void {
    try {
      const answered = { prepared, id: this.#id, list, forms, outputs: answer.outputs };
      const bytes = responseBytes(answered);
      if (bytes > 0 && !this.#caller.hold(bytes)) throw NO_ROOM;
      const response = encodeResponse(answered, this.#streamed);
      if (!('next' in response)) {
        this.#succeed(prepared.model, rows, answer, response);
        return;
      }
      inSlices(
        this.#whileWanted(response),
        (encoded) => this.#succeed(prepared.model, rows, answer, encoded),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #succeed(model: ServedModel, rows: number, answer: TensorAnswer, response: EncodedResponse): void {
    const { queuedMs, startedMs, endedMs, inferenceUs } = answer;
    const { receivedMs, span } = this.#context;
    model.statistics.answered(Math.max(1, rows), {
      queueUs: (startedMs - queuedMs) * 1000,
      inferUs: inferenceUs,
      totalUs: (endedMs - receivedMs) * 1000,
    });
    this.#parts.observe(model, answer);
    span?.event('queue', queuedMs, startedMs);
    span?.event('inference', startedMs, endedMs, { 'scorewire.batch.rows': answer.batchRows });
    this.#close();
    this.#done(undefined, response, this.#id);
  }

  #fail(cause: unknown): void {
    const { receivedMs, deadlineMs } = this.#context;
    const error =
      cause instanceof NotWellFormed ? malformed('inference.GRPCInferenceService/ModelInfer') : toScorewireError(cause);
    this.#prepared?.model.statistics.failed((performance.now() - receivedMs) * 1000);
    this.#close();
    this.#done(toInferError(error, this.#id, this.#timeoutMs < deadlineMs), undefined, this.#id);
  }

  #close(): void {
    this.#check?.closeForms();
    if (this.#admitted) this.#parts.admission.leave();
    this.#admitted = false;
  }

  #left(): ScorewireError {
    return performance.now() >= this.#context.deadlineMs
      ? new ScorewireError(
          'deadline_exceeded',
          'DEADLINE_EXPIRED',
          'the deadline passed before the request was read or answered',
        )
      : new ScorewireError('cancelled', 'CALLER_LEFT', 'the caller left before the request was read or answered');
  }

  /** Work that ends early where nobody waits for it. */
  *#whileWanted<T>(work: Sliced<T>): Sliced<T> {
    try {
      while (!this.#caller.ended) {
        const step = work.next();
        if (step.done === true) return step.value;
        yield;
      }
      throw this.#left();
    } finally {
      work.return(undefined as never);
    }
  }
}

function* advanced(check: RequestCheck): Sliced<void> {
  try {
    for (let work = check.advance(); work !== undefined; work = check.advance()) yield* work;
  } finally {
    check.close();
  }
}

function usesSharedMemory({ inputs }: InferRequest): boolean {
  for (const { parameters } of inputs) if (parameters.has('shared_memory_region')) return true;
  return false;
}
