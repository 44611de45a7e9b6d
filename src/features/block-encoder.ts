// Blocks of rows to tensors: feature by feature where all values are plainly right, else by the encoder that a single row
// goes through.
import { ScorewireError } from '../errors.ts';
import type { Feature, FeatureLayout, RowInput, RowLayout } from '../models/model.ts';
import { allocate, copyInto, type DataType, type TensorData } from '../tensor.ts';
import { fillColumn, fillConstant, type Place } from './fill-column.ts';
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

/**
 * Encodes rows [from, to) of a source. A row that is wrong is left out, and listed. `spare`: inputs of an earlier block, which
 * nobody needs any more and which may be used again.
 */
export type BlockEncoder = (source: RowSource, from: number, to: number, spare?: readonly TensorData[]) => EncodedBlock;

export function blockEncoder(layout: RowLayout, encode: RowEncoder): BlockEncoder {
  if (layout.kind !== 'features') {
    const types = layout.kind === 'open' ? [layout.input.type] : [];
    return (source, from, to) => encodeEach(encode, types, [], source, from, to);
  }
  const types = layout.inputs.map(({ type }) => type);
  const plain = plainWidth(layout) > 0;
  return (source, from, to, spare) => {
    const inputs =
      source.form === 'dense'
        ? fromMatrix(layout, plain, source, from, to, spare)
        : fromColumns(layout, source, from, to, spare);
    if (inputs !== undefined) return { rows: range(from, to), inputs, dims: undefined, errors: [] };
    // The encoder of single rows finds the words for what is wrong.
    return encodeEach(encode, types, layout.features, source, from, to);
  };
}

/** Undefined where a value needs a closer look. */
function fromMatrix(
  { dense, features, inputs }: FeatureLayout,
  plain: boolean,
  source: RowSource,
  from: number,
  to: number,
  spare: readonly TensorData[] | undefined,
): TensorData[] | undefined {
  if (!dense || source.width !== features.length) return undefined;
  const values = source.matrix(from, to, plain ? (spare?.[0] as Float32Array<ArrayBuffer> | undefined) : undefined);
  if (values === undefined) return undefined;
  if (plain && allFinite(values)) return [values];
  const rows = to - from;
  const arrays = inputs.map(({ type, width }, index) => arrayOf(type, width * rows, spare?.[index]));
  const column = new Float32Array(rows);
  const part = { values: column, start: 0 };
  for (const [index, feature] of features.entries()) {
    for (let row = 0, at = index; row < rows; row++, at += features.length) column[row] = values[at] as number;
    if (!fillColumn(feature, placeOf(feature, inputs, arrays), rows, part)) return undefined;
  }
  return arrays;
}

/** Undefined where a value needs a closer look. */
function fromColumns(
  { named, features, inputs }: FeatureLayout,
  source: RowSource,
  from: number,
  to: number,
  spare: readonly TensorData[] | undefined,
): TensorData[] | undefined {
  // A name that is no feature is a fault of every row.
  if (!named || source.width > features.length) return undefined;
  const rows = to - from;
  const arrays = inputs.map(({ type, width }, index) => arrayOf(type, width * rows, spare?.[index]));
  let found = 0;
  for (const feature of features) {
    const place = placeOf(feature, inputs, arrays);
    const given = source.given(feature.name, from, to);
    if (given !== undefined) found++;
    if (given !== undefined && 'part' in given) {
      if (!fillColumn(feature, place, rows, given.part)) return undefined;
    } else {
      const value = given?.constant ?? feature.default;
      if (value === undefined || !fillConstant(feature, place, rows, value)) return undefined;
    }
  }
  return found === source.width ? arrays : undefined;
}

/** All of it will be written. */
function arrayOf(type: DataType, length: number, spare: TensorData | undefined): TensorData {
  return spare?.length === length ? spare : allocate(type, length);
}

function placeOf({ input, column }: Feature, inputs: readonly RowInput[], arrays: readonly TensorData[]): Place {
  return { data: arrays[input] as TensorData, at: column, step: (inputs[input] as RowInput).width };
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
  features: readonly Feature[],
  source: RowSource,
  from: number,
  to: number,
): EncodedBlock {
  const good: EncodedRow[] = [];
  const rows: number[] = [];
  const errors: { row: number; error: ScorewireError }[] = [];
  for (let row = from; row < to; row++) {
    try {
      good.push(encode(source.row(row, features)));
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
