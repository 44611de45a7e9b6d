// What callers who bring tensors may send a model, and what they get.

import type { TensorSpec } from '../tensor.ts';
import type { ModelSpec, ServedTensor, TensorContract } from './model.ts';

/** Rows of a request at most, for models that no config says less of. */
export const MOST_ROWS = 1_000_000;

/**
 * By the model's config where it has one, completed from the graph.
 * @param perRow whether every output has one entry a row, as warm-up found; undefined: it could not, and the graph is believed
 */
export function tensorContract(spec: ModelSpec, perRow: boolean | undefined): TensorContract {
  const { triton } = spec;
  const maxRows = triton?.maxBatchSize ?? (takesRows(spec) && (perRow ?? givesRows(spec)) ? MOST_ROWS : 0);
  return {
    maxRows,
    inputs: triton?.inputs ?? [
      ...spec.inputs.map((input) => served(input, maxRows > 0)),
      // One without rows, of a config that has some, is always the graph's.
      ...spec.optionalInputs
        .filter((input) => maxRows === 0 || opensWithRows(input))
        .map((input) => ({ ...served(input, maxRows > 0), optional: true })),
    ],
    outputs: triton?.outputs ?? spec.outputs.map((output) => served(output, maxRows > 0)),
  };
}

/** Whether the first dimension of all that goes in is open, be it optional. */
function takesRows({ inputs, optionalInputs }: ModelSpec): boolean {
  return inputs.length > 0 && [...inputs, ...optionalInputs].every(opensWithRows);
}

/** Converters of boosted trees say 1 or nothing of an output's rows, however many there are: only a run tells for sure. */
function givesRows({ outputs }: ModelSpec): boolean {
  return outputs.every(opensWithRows);
}

function opensWithRows({ shape }: TensorSpec): boolean {
  return shape?.[0] === null;
}

function served({ name, type, shape }: TensorSpec, rows: boolean): ServedTensor {
  const dims = shape?.map((dim) => dim ?? -1);
  if (!rows) return { name, type, dims };
  return { name, type, dims: dims?.length === 0 ? undefined : dims?.slice(1) };
}
