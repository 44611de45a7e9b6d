// Blocks of rows that were completed: those that could not be are in none.
import { copyInto, type TensorData, view } from '../tensor.ts';
import type { BlockEncoder, EncodedBlock } from './block-encoder.ts';
import type { CompleteRows } from './feature-pipeline.ts';

/** As the encoder does it, of rows [from, to) of what was completed. */
export function encodeCompleted(
  encode: BlockEncoder,
  { rows, errors }: CompleteRows,
  from: number,
  to: number,
  spare?: readonly TensorData[],
): EncodedBlock {
  const block = encode(rows, from, to, spare);
  const lacking = errors.filter(({ row }) => row >= from && row < to);
  if (lacking.length === 0) return block;
  const left = new Set(lacking.map(({ row }) => row));
  const kept: number[] = [];
  for (const [index, row] of block.rows.entries()) if (!left.has(row)) kept.push(index);
  return {
    rows: Int32Array.from(kept, (index) => block.rows[index] as number),
    inputs: block.inputs.map((input) => pick(input, block.rows.length, kept)),
    dims: block.dims,
    errors: [...lacking, ...block.errors.filter(({ row }) => !left.has(row))].sort((a, b) => a.row - b.row),
  };
}

function pick(input: TensorData, rows: number, kept: readonly number[]): TensorData {
  const width = rows === 0 ? 0 : input.length / rows;
  const picked = input.slice(0, width * kept.length);
  for (const [place, index] of kept.entries()) {
    copyInto(picked, place * width, view(input, index * width, (index + 1) * width));
  }
  return picked;
}
