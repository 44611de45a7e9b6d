import { allocate, copyInto, type TensorData } from '../tensor.ts';
import type { NamedTensor } from '../workers/messages.ts';
import type { BatchShape, QueuedRows } from './queued-rows.ts';

/** What is joined: rows of one request. */
type Part = Pick<QueuedRows, 'rows' | 'inputs' | 'dims' | 'shape'>;

/**
 * One contiguous tensor an input, the rows in order, as `model` takes them. Rows must be of one shape, and of one request only without
 * a batch dimension.
 */
export function joinRows(model: BatchShape, parts: readonly Part[]): NamedTensor[] {
  const first = parts[0] as Part;
  const shape = first.shape ?? model;
  const rows = countRows(parts);
  return shape.inputs.map(({ name, type, rowDims: fixed }, index) => {
    const rowDims = first.dims?.[index] ?? fixed;
    const dims = shape.batchDimension ? [rows, ...rowDims] : rowDims;
    const own = first.inputs[index] as TensorData;
    if (parts.length === 1) return { name, type, dims, data: own };
    const data = allocate(type, (own.length / first.rows) * rows);
    let at = 0;
    for (const part of parts) {
      const elements = part.inputs[index] as TensorData;
      copyInto(data, at, elements);
      at += elements.length;
    }
    return { name, type, dims, data };
  });
}

export function countRows(parts: readonly Pick<QueuedRows, 'rows'>[]): number {
  let rows = 0;
  for (let i = 0; i < parts.length; i++) rows += (parts[i] as Part).rows;
  return rows;
}
