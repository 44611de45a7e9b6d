// What callers who bring tensors may send a model, and what they get.

import type { TensorSpec } from '../tensor.ts';
import type { ModelSpec, ServedTensor, TensorContract } from './model.ts';

/** Rows of a request at most, for models that no config says less of. */
export const MOST_ROWS = 1_000_000;

/**
 * @param perRow whether every output has one entry a row, as far as warm-up found
 */
export function tensorContract(spec: ModelSpec, perRow: boolean): TensorContract {
  const required = spec.inputs;
  const all = [...required, ...spec.outputs];
  const rows = perRow && required.length > 0 && all.every(({ shape }) => shape !== undefined && shape[0] === null);
  return {
    maxRows: rows ? MOST_ROWS : 0,
    inputs: [
      ...required.map((input) => served(input, rows)),
      ...spec.optionalInputs.map((input) => ({ ...served(input, false), optional: true })),
    ],
    outputs: spec.outputs.map((output) => served(output, rows)),
  };
}

function served({ name, type, shape }: TensorSpec, rows: boolean): ServedTensor {
  const dims = shape?.map((dim) => dim ?? -1);
  return { name, type, dims: rows ? dims?.slice(1) : dims };
}
