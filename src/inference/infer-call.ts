// One request with tensors, whatever call it came in: read, checked, run, answered.
import { ScorewireError, toScorewireError } from '../errors.ts';
import { inSlices, type Sliced } from '../grpc/slices.ts';
import { type CallContext, malformed } from '../grpc/unary.ts';
import { NotWellFormed } from '../grpc/wire-cursor.ts';
import type { ModelSpec } from '../models/model.ts';
import type { Admission } from '../scoring/admission.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { RunTensors, TensorAnswer } from '../scoring/tensor-call.ts';
import type { Tensor } from '../tensor.ts';
import { checkClassification } from './classification.ts';
import { findModel } from './find-model.ts';
import { shown, toInferError, wrongField } from './infer-error.ts';
import { requestTimeoutUs } from './infer-parameters.ts';
import { type InferRequest, lasting, readInferRequest } from './infer-request.ts';
import { type EncodedResponse, encodeResponse } from './infer-response.ts';
import { type OutputList, type PreparedModel, preparedModel } from './prepared-model.ts';
import { closeForms, type OutputForm, outputForms } from './request-outputs.ts';
import { RequestTensors } from './request-tensors.ts';
import type { SharedMemory } from './shared-memory.ts';

/** Smaller messages are read at once; larger ones in slices, so that they must stay valid meanwhile. */
export const AT_ONCE_MESSAGE_BYTES = 32 * 1024;

export type InferParts = {
  admission: Admission;
  /** @throws ScorewireError UNAVAILABLE before the models are there */
  models: () => ModelRegistry;
  run: RunTensors;
  memory: SharedMemory;
  /** Told about every answer; must not throw. */
  observe: (model: ServedModel, answer: TensorAnswer) => void;
};

/** Whoever sent a request. */
export interface InferCaller {
  /** Nobody waits for an answer any more. */
  readonly ended: boolean;
  /** Makes sure that there is room for so many bytes until the request is answered. False: there is none. */
  hold(bytes: number): boolean;
  /** The message is read. */
  release(): void;
}

/** Called exactly once. `id` is the request's, '' where it can't be told. */
export type InferDone = (error: ScorewireError | undefined, response: EncodedResponse | undefined, id: string) => void;

/** What a request's checks leave to be run. */
type Checked = {
  inputs: ReadonlyMap<string, Tensor>;
  list: OutputList;
  rows: number;
  /** Infinity where the request has no timeout of its own. */
  timeoutMs: number;
};

export class InferCall {
  readonly #parts: InferParts;
  readonly #context: CallContext;
  readonly #caller: InferCaller;
  readonly #streamed: boolean;
  readonly #done: InferDone;
  #id = '';
  #admitted = false;
  #prepared: PreparedModel | undefined;
  #forms: readonly (OutputForm | undefined)[] | undefined;
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
        const checked = atOnce(this.#check(request, this.#prepared));
        this.#caller.release();
        this.#run(checked, this.#prepared);
      }
    } catch (error) {
      this.#caller.release();
      this.#fail(error);
    }
  }

  /** The version stays until its turn has come. */
  #readSlowly(request: InferRequest, prepared: PreparedModel): void {
    const { uses } = prepared.model;
    uses.begin();
    inSlices(
      this.#whileWanted(this.#check(request, prepared)),
      (checked) => {
        this.#caller.release();
        try {
          this.#run(checked, prepared);
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

  *#check(request: InferRequest, prepared: PreparedModel): Sliced<Checked> {
    const { contract, model } = prepared;
    const timeoutMs = queueTimeoutMs(model.spec, requestTimeoutUs(request.parameters));
    const tensors = new RequestTensors(request, prepared);
    try {
      tensors.checkNames();
      yield* tensors.locate(this.#parts.memory);
      this.#forms = outputForms(request.outputs, this.#parts.memory);
      for (const [index, { name }] of request.outputs.entries()) {
        if (prepared.outputs.has(name)) continue;
        const message = `unexpected inference output '${shown(name)}' for model '${model.spec.name}'`;
        throw wrongField(`outputs[${index}].name`, message);
      }
      tensors.checkInputs();
      const rows = tensors.checkRows();
      const inputs = yield* tensors.read((bytes) => this.#caller.hold(bytes));
      const list = prepared.outputList(request.outputs);
      for (const [index, form] of (this.#forms ?? []).entries()) {
        const served = contract.outputs[list.places[index] as number];
        if (form !== undefined && form.classes > 0 && served !== undefined) {
          checkClassification(`outputs["${served.name}"]`, served);
        }
      }
      return { inputs, list, rows, timeoutMs };
    } finally {
      tensors.close();
    }
  }

  #run({ inputs, list, rows, timeoutMs }: Checked, prepared: PreparedModel): void {
    const { receivedMs, deadlineMs, abandoned } = this.#context;
    this.#timeoutMs = receivedMs + timeoutMs;
    const call = {
      model: prepared.model,
      inputs,
      outputNames: list.names,
      receivedMs,
      deadlineMs: Math.min(deadlineMs, this.#timeoutMs),
      abandoned,
    };
    this.#parts.run(call, (error, answer) => {
      if (answer === undefined) this.#fail(error);
      else this.#answer(prepared, list, rows, answer);
    });
  }

  #answer(prepared: PreparedModel, list: OutputList, rows: number, answer: TensorAnswer): void {
    try {
      const { outputs } = answer;
      const work = encodeResponse({ prepared, id: this.#id, list, forms: this.#forms, outputs }, this.#streamed);
      const first = work.next();
      if (first.done === true) {
        this.#succeed(prepared.model, rows, answer, first.value);
        return;
      }
      inSlices(
        this.#whileWanted(work),
        (response) => this.#succeed(prepared.model, rows, answer, response),
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
    closeForms(this.#forms);
    this.#forms = undefined;
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

function atOnce<T>(work: Sliced<T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}

function usesSharedMemory({ inputs }: InferRequest): boolean {
  for (const { parameters } of inputs) if (parameters.has('shared_memory_region')) return true;
  return false;
}

/** How long a request may wait, by its own timeout and by what the model's config says of those. */
function queueTimeoutMs({ queuePolicy: policy }: ModelSpec, ownUs: number): number {
  if (policy?.timeoutAction === 'DELAY') return Number.POSITIVE_INFINITY;
  const defaultUs = policy?.defaultTimeoutUs ?? 0;
  const allowed = policy?.allowTimeoutOverride ?? true;
  const us = allowed && ownUs > 0 && (defaultUs === 0 || ownUs < defaultUs) ? ownUs : defaultUs;
  return us === 0 ? Number.POSITIVE_INFINITY : us / 1000;
}
