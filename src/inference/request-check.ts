// A request against its model, in the order in which Triton checks; what is left is to be run.
import type { Sliced } from '../grpc/slices.ts';
import type { ModelSpec, ServedTensor } from '../models/model.ts';
import type { Tensor } from '../tensor.ts';
import { checkClassification } from './classification.ts';
import { shown, wrongField } from './infer-error.ts';
import { requestTimeoutUs } from './infer-parameters.ts';
import type { InferRequest } from './infer-request.ts';
import type { OutputList, PreparedModel } from './prepared-model.ts';
import { closeForms, type OutputForm, outputForms } from './request-outputs.ts';
import { RequestTensors } from './request-tensors.ts';
import type { SharedMemory } from './shared-memory.ts';

export class RequestCheck {
  /** How long the request may wait, from its arrival; Infinity where it doesn't say. */
  readonly timeoutMs: number;
  /** How its outputs are wanted, by place in `list`; undefined where all come as they are. */
  forms: readonly (OutputForm | undefined)[] | undefined;
  /** Of all of them, before the request was checked. */
  list: OutputList;
  /** 0 where the model doesn't count them. */
  rows = 0;
  readonly #request: InferRequest;
  readonly #prepared: PreparedModel;
  readonly #memory: SharedMemory;
  readonly #hold: { hold(bytes: number): boolean };
  readonly #tensors: RequestTensors;
  #located = false;

  /**
   * @param hold says whether there is room for so many bytes until the call ends
   * @throws ScorewireError INVALID_ARGUMENT
   */
  constructor(
    request: InferRequest,
    prepared: PreparedModel,
    memory: SharedMemory,
    hold: { hold(bytes: number): boolean },
  ) {
    this.#request = request;
    this.#prepared = prepared;
    this.#memory = memory;
    this.#hold = hold;
    this.list = prepared.all;
    this.timeoutMs = queueTimeoutMs(prepared.model.spec, requestTimeoutUs(request.parameters));
    this.#tensors = new RequestTensors(request, prepared);
    this.#tensors.checkNames();
  }

  /**
   * Goes on as far as it can at once. Returns work that is to be done before it is called again; undefined when all is checked and read.
   * @throws ScorewireError; NotWellFormed
   */
  advance(): Sliced<void> | undefined {
    if (!this.#located) {
      const work = this.#tensors.locate(this.#memory);
      if (work !== undefined) return work;
      this.#located = true;
      this.#checkOutputs();
      this.#tensors.checkInputs();
      this.rows = this.#tensors.checkRows();
    }
    const work = this.#tensors.read(this.#hold);
    if (work === undefined && this.forms !== undefined) this.#checkForms(this.forms);
    return work;
  }

  /** As the graph takes them. */
  get inputs(): ReadonlyMap<string, Tensor> {
    return this.#tensors.tensors;
  }

  /** Whatever became of the request, once it is read. */
  close(): void {
    this.#tensors.close();
  }

  /** Whatever became of the request, once it is answered. */
  closeForms(): void {
    closeForms(this.forms);
    this.forms = undefined;
  }

  #checkOutputs(): void {
    const { outputs } = this.#request;
    const prepared = this.#prepared;
    if (outputs.length === 0) return;
    this.forms = outputForms(outputs, this.#memory);
    for (const [index, { name }] of outputs.entries()) {
      if (prepared.outputs.has(name)) continue;
      const message = `unexpected inference output '${shown(name)}' for model '${prepared.model.spec.name}'`;
      throw wrongField(`outputs[${index}].name`, message);
    }
    this.list = prepared.outputList(outputs);
  }

  #checkForms(forms: readonly (OutputForm | undefined)[]): void {
    for (const [index, form] of forms.entries()) {
      const served = this.#prepared.contract.outputs[this.list.places[index] as number] as ServedTensor;
      if (form !== undefined && form.classes > 0) checkClassification(`outputs["${served.name}"]`, served);
    }
  }
}

/** In milliseconds, by the request's own timeout and by what the model's config says of those. */
function queueTimeoutMs({ queuePolicy: policy }: ModelSpec, ownUs: number): number {
  if (policy?.timeoutAction === 'DELAY') return Number.POSITIVE_INFINITY;
  const defaultUs = policy?.defaultTimeoutUs ?? 0;
  const allowed = policy?.allowTimeoutOverride ?? true;
  const us = allowed && ownUs > 0 && (defaultUs === 0 || ownUs < defaultUs) ? ownUs : defaultUs;
  return us === 0 ? Number.POSITIVE_INFINITY : us / 1000;
}
