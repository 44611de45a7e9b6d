// What callers who bring tensors may send a model, and what they get.

import type { TensorSpec } from '../tensor.ts';
import type { ModelSpec, ServedTensor, TensorContract } from './model.ts';

/** Rows of a request at most, for models that no config says less of. */
export const MOST_ROWS = 1_000_000;

/**
 * By the model's config where it has one, completed from the graph.
 * @param perRow whether every output has one entry a row, as far as warm-up found
 */
export function tensorContract(spec: ModelSpec, perRow: boolean): TensorContract {
  const { triton } = spec;
  const maxRows = triton?.maxBatchSize ?? (perRow && hasRows(spec) ? MOST_ROWS : 0);
  return {
    maxRows,
    inputs: triton?.inputs ?? [
      ...spec.inputs.map((input) => served(input, maxRows > 0)),
      ...spec.optionalInputs.map((input) => ({ ...served(input, maxRows > 0), optional: true })),
    ],
    outputs: triton?.outputs ?? spec.outputs.map((output) => served(output, maxRows > 0)),
  };
}

/** Whether the first dimension of all that goes in and comes out is open, be it optional. */
function hasRows({ inputs, optionalInputs, outputs }: ModelSpec): boolean {
  const all = [...inputs, ...optionalInputs, ...outputs];
  return inputs.length > 0 && all.every(({ shape }) => shape !== undefined && shape[0] === null);
}

function served({ name, type, shape }: TensorSpec, rows: boolean): ServedTensor {
  const dims = shape?.map((dim) => dim ?? -1);
  return { name, type, dims: rows ? dims?.slice(1) : dims };
}
