import type { TensorData } from '../tensor.ts';

/** A feature's value as a caller gives it: a bigint where the wire said integer, a number where it said number. */
export type RowValue = number | bigint | string | boolean;

/** A row as a caller gives it. A value that is undefined was named but not set. */
export type Row =
  | { form: 'dense'; values: ArrayLike<number> }
  | { form: 'named'; values: ReadonlyMap<string, RowValue | undefined> };

/** A row as the model takes it. */
export type EncodedRow = {
  /** One array an input of the model, in its order. */
  inputs: readonly TensorData[];
  /** One list of dimensions an input, without the batch dimension, where the model leaves them open. */
  dims: readonly (readonly number[])[] | undefined;
  /** Equal for rows that may ride in one batch. */
  shapeKey: string;
};

/** A row from what JSON has: a list in the order of the features, or values by name. */
export function rowOf(values: readonly number[] | ReadonlyMap<string, RowValue>): Row {
  return Array.isArray(values)
    ? { form: 'dense', values }
    : { form: 'named', values: values as ReadonlyMap<string, RowValue> };
}
