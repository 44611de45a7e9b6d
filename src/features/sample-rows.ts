// Rows to warm a model up with, for models that come with none of their own.
import type { RowInput, RowLayout } from '../models/model.ts';
import { allocate, type TensorData } from '../tensor.ts';
import type { EncodedRow } from './row.ts';

/** Elements that an open dimension gets in a made-up row. */
const OPEN_DIM = 8;

/**
 * `count` made-up rows of the layout: numbers spread around 0 by a fixed sequence, integers 0 or 1, empty texts.
 * None where the layout is unknown.
 */
export function sampleRows(layout: RowLayout, count: number): EncodedRow[] {
  if (layout.kind === 'unknown') return [];
  const inputs = layout.kind === 'open' ? [layout.input] : layout.inputs;
  const random = sequence(1);
  return Array.from({ length: count }, () => ({
    inputs: inputs.map((input) => sampleInput(input, random)),
    dims: layout.kind === 'open' ? [layout.input.rowDims.map((dim) => dim ?? OPEN_DIM)] : undefined,
    shapeKey: '',
  }));
}

/** The same rows with every number a thousand times as large: what a batch must bear beside ordinary rows. */
export function outliersOf(rows: readonly EncodedRow[]): EncodedRow[] {
  return rows.map((row) => ({ ...row, inputs: row.inputs.map(enlarge) }));
}

function sampleInput(input: RowInput, random: () => number): TensorData {
  const width = input.rowDims.reduce<number>((product, dim) => product * (dim ?? OPEN_DIM), 1);
  const data = allocate(input.type, width);
  if (input.type === 'string') return data;
  const wide = input.type === 'int64' || input.type === 'uint64';
  for (let i = 0; i < width; i++) {
    const value = input.type.startsWith('float') ? 4 * random() - 2 : Math.round(random());
    (data as unknown as (number | bigint)[])[i] = wide ? BigInt(value) : value;
  }
  return data;
}

function enlarge(data: TensorData): TensorData {
  if (!(data instanceof Float32Array) && !(data instanceof Float64Array)) return data;
  return data.map((value) => value * 1000 + 1000);
}

/** Numbers in [0, 1), the same at every start: a linear congruential generator (Knuth and Lewis, 32 bits). */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
