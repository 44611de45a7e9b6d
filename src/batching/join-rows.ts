import { allocate, copyInto, type DataType, type TensorData } from '../tensor.ts';
import type { NamedTensor } from '../workers/messages.ts';
import type { QueuedRow } from './queued-row.ts';

/** What a batch of a model looks like. */
export type BatchShape = {
  inputs: readonly {
    name: string;
    type: DataType;
    /** Dimensions of one row, where the model fixes them. */
    rowDims: readonly number[];
  }[];
  /** Whether the graph has a batch dimension to put in front of the row's. */
  batchDimension: boolean;
};

/** One contiguous tensor an input, the rows in order. Rows must be of one shape, and one only without a batch dimension. */
export function joinRows(shape: BatchShape, rows: readonly Pick<QueuedRow, 'inputs' | 'dims'>[]): NamedTensor[] {
  const first = rows[0] as QueuedRow;
  return shape.inputs.map(({ name, type, rowDims: fixed }, index) => {
    const rowDims = first.dims?.[index] ?? fixed;
    const dims = shape.batchDimension ? [rows.length, ...rowDims] : rowDims;
    const own = first.inputs[index] as TensorData;
    if (rows.length === 1) return { name, type, dims, data: own };
    const data = allocate(type, own.length * rows.length);
    for (let i = 0; i < rows.length; i++) {
      copyInto(data, i * own.length, (rows[i] as QueuedRow).inputs[index] as TensorData);
    }
    return { name, type, dims, data };
  });
}
