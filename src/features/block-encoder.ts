// Blocks of rows to tensors, by the encoder that a single row goes through wherever that is not plainly a copy.
import { ScorewireError } from '../errors.ts';
import type { RowLayout } from '../models/model.ts';
import { allocate, copyInto, type DataType, type TensorData } from '../tensor.ts';
import type { EncodedRow } from './row.ts';
import { plainWidth, type RowEncoder } from './row-encoder.ts';
import type { RowSource } from './row-source.ts';

export type EncodedBlock = {
  /** The rows that can be run: their indices in the source. */
  rows: Int32Array;
  /** One contiguous array an input of the model, those rows in order. */
  inputs: readonly TensorData[];
  dims: readonly (readonly number[])[] | undefined;
  errors: readonly { row: number; error: ScorewireError }[];
};

/** Encodes rows [from, to) of a source. A row that is wrong is left out, and listed. */
export type BlockEncoder = (source: RowSource, from: number, to: number) => EncodedBlock;

export function blockEncoder(layout: RowLayout, encode: RowEncoder): BlockEncoder {
  const types = layout.kind === 'features' ? layout.inputs.map(({ type }) => type) : [];
  const single = layout.kind === 'open' ? [layout.input.type] : types;
  const plain = layout.kind === 'features' && plainWidth(layout) > 0 ? layout.features : undefined;
  return (source, from, to) => {
    const values = plain === undefined ? undefined : source.floats(plain, from, to);
    if (values !== undefined && allFinite(values)) {
      return { rows: range(from, to), inputs: [values], dims: undefined, errors: [] };
    }
    return encodeEach(encode, single, source, from, to);
  };
}

function allFinite(values: Float32Array): boolean {
  // NaN and the infinities are the numbers whose difference from themselves is not 0.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) - (values[i] as number);
  return sum === 0;
}

function range(from: number, to: number): Int32Array {
  const rows = new Int32Array(to - from);
  for (let i = 0; i < rows.length; i++) rows[i] = from + i;
  return rows;
}

function encodeEach(
  encode: RowEncoder,
  types: readonly DataType[],
  source: RowSource,
  from: number,
  to: number,
): EncodedBlock {
  const good: EncodedRow[] = [];
  const rows: number[] = [];
  const errors: { row: number; error: ScorewireError }[] = [];
  for (let row = from; row < to; row++) {
    try {
      good.push(encode(source.row(row)));
      rows.push(row);
    } catch (error) {
      if (!(error instanceof ScorewireError)) throw error;
      errors.push({ row, error });
    }
  }
  const inputs = types.map((type, index) => join(type, index, good));
  return { rows: Int32Array.from(rows), inputs, dims: good[0]?.dims, errors };
}

function join(type: DataType, input: number, rows: readonly EncodedRow[]): TensorData {
  const width = rows[0]?.inputs[input]?.length ?? 0;
  const joined = allocate(type, width * rows.length);
  for (const [index, row] of rows.entries()) copyInto(joined, index * width, row.inputs[input] as TensorData);
  return joined;
}
