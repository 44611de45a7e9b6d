// What doesn't change from request to request of a model, made once: who has which place, and the bytes that every answer has.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { ServedTensor, TensorContract } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { DATATYPES } from './datatypes.ts';

/** Lists of requested outputs that are kept: callers ask for the same ones again and again. */
const MAX_LISTS = 64;

/** Outputs that a request asks for, in its order. */
export type OutputList = {
  /** Shared by all requests that ask for the same. */
  names: readonly string[];
  /** Places in the contract. */
  places: readonly number[];
};

export class PreparedModel {
  readonly model: ServedModel;
  readonly contract: TensorContract;
  readonly inputs: ReadonlyMap<string, ServedTensor>;
  readonly requiredInputs: number;
  readonly outputs: ReadonlyMap<string, number>;
  /** model_name and model_version of a response. */
  readonly head: Uint8Array;
  /** Name and datatype of an output in a response, by its place in the contract. */
  readonly outputHeads: readonly Uint8Array[];
  readonly all: OutputList;
  readonly #lists = new Map<string, OutputList>();

  constructor(model: ServedModel) {
    const { spec, contract } = model;
    this.model = model;
    this.contract = contract;
    this.inputs = new Map(contract.inputs.map((input) => [input.name, input]));
    this.requiredInputs = contract.inputs.filter(({ optional }) => optional !== true).length;
    this.outputs = new Map(contract.outputs.map(({ name }, place) => [name, place]));
    this.head = texts([1, spec.name], [2, String(spec.version)]);
    this.outputHeads = contract.outputs.map(({ name, type }) => texts([1, name], [2, DATATYPES[type]]));
    this.all = { names: model.outputNames, places: contract.outputs.map((_, place) => place) };
  }

  /** Outputs by names that the contract has; all where there are none. */
  outputList(requested: readonly { name: string }[]): OutputList {
    if (requested.length === 0) return this.all;
    const { names } = this.all;
    if (requested.length === names.length && requested.every(({ name }, index) => name === names[index]))
      return this.all;
    const key = requested.map(({ name }) => `${name.length}:${name}`).join();
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const list = {
      names: requested.map(({ name }) => name),
      places: requested.map(({ name }) => this.outputs.get(name) as number),
    };
    if (this.#lists.size < MAX_LISTS) this.#lists.set(key, list);
    return list;
  }
}

const prepared = new WeakMap<ServedModel, PreparedModel>();

export function preparedModel(model: ServedModel): PreparedModel {
  let found = prepared.get(model);
  if (found === undefined) {
    found = new PreparedModel(model);
    prepared.set(model, found);
  }
  return found;
}

function texts(...fields: readonly (readonly [number: number, text: string])[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [number, text] of fields) writer.uint32(number * 8 + 2).string(text);
  return writer.finish();
}
