import { describe, expect, it } from 'vitest';
import { rowOf } from '../../../src/features/row.ts';
import { outliersOf, sampleRows } from '../../../src/features/sample-rows.ts';
import type { RowInput, RowLayout } from '../../../src/models/model.ts';

const table: RowLayout = {
  kind: 'features',
  features: [],
  inputs: [
    { name: 'x', type: 'float32', rowDims: [3], width: 3 },
    { name: 'n', type: 'int64', rowDims: [2], width: 2 },
    { name: 'b', type: 'bool', rowDims: [], width: 1 },
    { name: 't', type: 'string', rowDims: [1], width: 1 },
  ],
  dense: false,
  named: true,
};
const openInput: RowInput = { name: 'x', type: 'float32', rowDims: [null], width: 0 };

describe('made-up rows', () => {
  it('have the layout’s inputs', () => {
    const rows = sampleRows(table, 5);
    expect(rows.length).toBe(5);
    for (const { inputs, dims, shapeKey } of rows) {
      expect(inputs.map((data) => [data.constructor, data.length])).toEqual([
        [Float32Array, 3],
        [BigInt64Array, 2],
        [Uint8Array, 1],
        [Array, 1],
      ]);
      expect([dims, shapeKey]).toEqual([undefined, '']);
    }
  });

  it('differ from each other, and are the same at every start', () => {
    const rows = sampleRows(table, 20);
    expect(rows).toEqual(sampleRows(table, 20));
    expect(new Set(rows.map(({ inputs }) => String(inputs[0]))).size).toBe(20);
    const numbers = rows.flatMap(({ inputs }) => [...(inputs[0] as Float32Array)]);
    expect(Math.min(...numbers)).toBeLessThan(-1);
    expect(Math.max(...numbers)).toBeGreaterThan(1);
    expect(new Set(rows.flatMap(({ inputs }) => [...(inputs[1] as BigInt64Array)]))).toEqual(new Set([0n, 1n]));
  });

  it('of an open dimension are all of one length', () => {
    const rows = sampleRows({ kind: 'open', input: openInput }, 3);
    for (const { inputs, dims } of rows) expect([inputs[0]?.length, dims]).toEqual([8, [[8]]]);
  });

  it('are none where rows can’t be told', () => {
    expect(sampleRows({ kind: 'unknown', problem: 'a scalar' }, 3)).toEqual([]);
  });

  it('have outliers: the same rows, far larger in every floating-point number', () => {
    const rows = sampleRows(table, 4);
    for (const [index, { inputs }] of outliersOf(rows).entries()) {
      const ordinary = rows[index]?.inputs as typeof inputs;
      for (const value of inputs[0] as Float32Array) expect(Math.abs(value - 1000)).toBeLessThanOrEqual(2000);
      expect(Math.max(...(inputs[0] as Float32Array))).toBeGreaterThan(10 * Math.max(...(ordinary[0] as Float32Array)));
      expect(inputs.slice(1)).toEqual(ordinary.slice(1));
    }
    expect(rows).toEqual(sampleRows(table, 4));
  });
});

describe('a row from JSON', () => {
  it('is dense as a list, and by name as a map', () => {
    expect(rowOf([1, 2])).toEqual({ form: 'dense', values: [1, 2] });
    expect(rowOf(new Map([['a', 1]]))).toEqual({ form: 'named', values: new Map([['a', 1]]) });
  });
});
