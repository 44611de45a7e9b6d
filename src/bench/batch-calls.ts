// Requests of ScoreBatch: matrices of the rows at hand.

import type { ModelInfo } from '../gen/scorewire/v1/model.ts';
import { type Row, ScoreBatchRequest } from '../gen/scorewire/v1/scoring.ts';
import { DataType } from '../gen/scorewire/v1/tensor.ts';
import { BenchError } from './bench-error.ts';

/** So many different requests at most; they go to each generator process. */
const MAX_REQUESTS = 64;
const MAX_BYTES = 32 * 1024 * 1024;

/** What a matrix can hold. */
const FLOATS: readonly DataType[] = [DataType.DATA_TYPE_FLOAT32, DataType.DATA_TYPE_FLOAT64];

/**
 * Requests of `batchRows` rows each. The rows are taken in turn, from the first again after the last; there are as many
 * requests as it takes until they repeat. @throws BenchError
 */
export function batchMessages(
  info: ModelInfo,
  asked: { model: string; version: bigint | undefined },
  rows: readonly Row[],
  batchRows: number,
): Uint8Array[] {
  const other = info.features.find(({ dataType }) => !FLOATS.includes(dataType));
  if (other !== undefined) {
    const type = Object.entries(DataType).find(([, dataType]) => dataType === other.dataType)?.[0];
    throw new BenchError(
      `--rpc bulk: sends matrices of floats, and "${other.name}" of ${info.name} is ${type?.replace('DATA_TYPE_', '')}`,
    );
  }
  const values = rows.map((row, index) => denseRow(info, row, index));
  const columns = (values[0] as number[]).length;
  values.forEach((row, index) => {
    if (row.length === columns) return;
    throw new BenchError(`row ${index + 1}: ${row.length} values, and row 1 has ${columns}`);
  });
  const count = Math.min(
    values.length / greatestDivisor(values.length, batchRows),
    MAX_REQUESTS,
    Math.max(1, Math.floor(MAX_BYTES / (4 * columns * batchRows))),
  );
  return Array.from({ length: count }, (_, request) => {
    const matrix: number[] = [];
    for (let row = 0; row < batchRows; row++) {
      matrix.push(...(values[(request * batchRows + row) % values.length] as number[]));
    }
    return ScoreBatchRequest.encode({
      ...asked,
      entityIds: [],
      rows: { $case: 'matrix', value: { columns, values: matrix } },
      policy: 0,
      shared: new Map(),
      chunkRows: 0,
      inOrder: false,
      topK: 0,
    }).finish();
  });
}

/** The row in the order of the model's features. */
function denseRow({ name: model, features }: ModelInfo, { form }: Row, index: number): number[] {
  if (form?.$case === 'dense') return form.value.values;
  if (form === undefined || features.length === 0) {
    throw new BenchError(`--rpc bulk: row ${index + 1} is by name, and ${model} has no names of features`);
  }
  const named = form.value.values;
  const unknown = [...named.keys()].find((name) => !features.some((feature) => feature.name === name));
  if (unknown !== undefined) throw new BenchError(`row ${index + 1}: ${model} has no feature "${unknown}"`);
  return features.map(({ name }) => {
    const kind = named.get(name)?.kind;
    if (kind?.$case === 'number') return kind.value;
    throw new BenchError(`--rpc bulk: row ${index + 1} has no number for "${name}"; a matrix needs every one`);
  });
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
