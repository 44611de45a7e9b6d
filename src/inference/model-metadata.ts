// ModelMetadata: a model's tensors, as requests have them.
import type { ModelMetadataResponse, ModelMetadataResponse_TensorMetadata } from '../gen/inference/inference.ts';
import type { ServedTensor } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { DATATYPES } from './datatypes.ts';

export const PLATFORM = 'onnxruntime_onnx';

/** @param versions that the answer lists, rising; the tensors are those of `model` */
export function toMetadata({ spec, contract }: ServedModel, versions: readonly ServedModel[]): ModelMetadataResponse {
  const toTensor = ({ name, type, dims }: ServedTensor): ModelMetadataResponse_TensorMetadata => {
    const shape = wireDims(dims);
    return { name, datatype: DATATYPES[type], shape: contract.maxRows > 0 ? [-1n, ...shape] : shape };
  };
  return {
    name: spec.name,
    versions: versions.map(({ spec: { version } }) => String(version)),
    platform: PLATFORM,
    inputs: contract.inputs.map(toTensor),
    outputs: contract.outputs.map(toTensor),
  };
}

/** The protocol has no words for a number of dimensions that is open: such a tensor looks like a list of any length. */
export function wireDims(dims: readonly number[] | undefined): bigint[] {
  return (dims ?? [-1]).map(BigInt);
}
