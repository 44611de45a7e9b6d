import { expect, it } from 'vitest';
import { joinRows } from '../../../src/batching/join-rows.ts';
import type { BatchShape } from '../../../src/batching/queued-rows.ts';
import type { TensorData } from '../../../src/tensor.ts';

const row = (inputs: TensorData[], dims?: number[][], rows = 1) => ({ rows, inputs, dims, shape: undefined });

const table: BatchShape = {
  inputs: [
    { name: 'numbers', type: 'float32', rowDims: [2] },
    { name: 'count', type: 'int64', rowDims: [] },
    { name: 'plan', type: 'string', rowDims: [1] },
  ],
  batchDimension: true,
};

it('puts rows one after the other, input by input', () => {
  const joined = joinRows(table, [
    row([new Float32Array([1, 2]), new BigInt64Array([10n]), ['free']]),
    row([new Float32Array([3, 4]), new BigInt64Array([20n]), ['paid']]),
    row([new Float32Array([5, 6]), new BigInt64Array([30n]), ['']]),
  ]);
  expect(joined).toEqual([
    { name: 'numbers', type: 'float32', dims: [3, 2], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
    { name: 'count', type: 'int64', dims: [3], data: new BigInt64Array([10n, 20n, 30n]) },
    { name: 'plan', type: 'string', dims: [3, 1], data: ['free', 'paid', ''] },
  ]);
});

it('gives a single row a batch dimension of one, and its data without a copy', () => {
  const numbers = new Float32Array([1, 2]);
  const joined = joinRows(table, [row([numbers, new BigInt64Array([10n]), ['free']])]);
  expect(joined.map(({ dims }) => dims)).toEqual([[1, 2], [1], [1, 1]]);
  expect(joined[0]?.data).toBe(numbers);
});

it('leaves the batch dimension away where the graph has none', () => {
  const [input] = joinRows({ ...table, batchDimension: false }, [
    row([new Float32Array([1, 2]), new BigInt64Array([1n]), ['']]),
  ]);
  expect(input?.dims).toEqual([2]);
});

it('takes open dimensions from the rows', () => {
  const open: BatchShape = { inputs: [{ name: 'x', type: 'float64', rowDims: [1] }], batchDimension: true };
  const rows = [row([new Float64Array([1, 2, 3])], [[3]]), row([new Float64Array([4, 5, 6])], [[3]])];
  expect(joinRows(open, rows)).toEqual([
    { name: 'x', type: 'float64', dims: [2, 3], data: new Float64Array([1, 2, 3, 4, 5, 6]) },
  ]);
});

it('puts requests of several rows beside those of one', () => {
  const joined = joinRows(table, [
    row([new Float32Array([1, 2, 3, 4]), new BigInt64Array([10n, 20n]), ['free', 'paid']], undefined, 2),
    row([new Float32Array([5, 6]), new BigInt64Array([30n]), ['']]),
  ]);
  expect(joined).toEqual([
    { name: 'numbers', type: 'float32', dims: [3, 2], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
    { name: 'count', type: 'int64', dims: [3], data: new BigInt64Array([10n, 20n, 30n]) },
    { name: 'plan', type: 'string', dims: [3, 1], data: ['free', 'paid', ''] },
  ]);
});

it('takes a request as it is that has a shape of its own', () => {
  const shape: BatchShape = { inputs: [{ name: 'other', type: 'float32', rowDims: [2, 1] }], batchDimension: false };
  expect(joinRows(table, [{ rows: 2, inputs: [new Float32Array([1, 2])], dims: undefined, shape }])).toEqual([
    { name: 'other', type: 'float32', dims: [2, 1], data: new Float32Array([1, 2]) },
  ]);
});
