// Outputs beside a score, as a store keeps them.
import type { Tensor, TensorData } from '../tensor.ts';

/** What a tensor takes beside its elements: its name, its objects. */
const TENSOR_BYTES = 256;
const STRING_BYTES = 24;

type Outputs = ReadonlyMap<string, Tensor> | undefined;

/** Tensors whose elements are a part of a larger array are copied: they would keep all of it. */
export function ownOutputs(outputs: Outputs): Outputs {
  if (outputs === undefined) return undefined;
  if (![...outputs.values()].some(({ data }) => isPart(data))) return outputs;
  return new Map([...outputs].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() as TensorData }]));
}

function isPart(data: TensorData): boolean {
  return !Array.isArray(data) && data.byteLength < data.buffer.byteLength;
}

export function outputsBytes(outputs: Outputs): number {
  let bytes = 0;
  for (const { data } of outputs?.values() ?? []) {
    bytes += TENSOR_BYTES;
    if (!Array.isArray(data)) bytes += data.byteLength;
    else for (const text of data) bytes += STRING_BYTES + 2 * text.length;
  }
  return bytes;
}
