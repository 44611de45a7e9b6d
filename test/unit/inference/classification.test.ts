import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classified } from '../../../src/inference/classification.ts';
import type { Tensor } from '../../../src/tensor.ts';

function texts(data: Tensor['data'], type: Tensor['type'], count: number, rows = 1): string[] {
  const tensor: Tensor = { type, dims: [rows, data.length / rows], data };
  const work = classified(tensor, count, undefined, true);
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value.data as string[];
}

describe('the largest elements', () => {
  it.each([
    [0.5, '0.500000'],
    [-0, '-0.000000'],
    [-1e-9, '-0.000000'],
    [1e-7, '0.000000'],
    // Halfway: to the even one, as C does.
    [0.0078125, '0.007812'],
    [0.0234375, '0.023438'],
    [-0.0078125, '-0.007812'],
    [1e22, '10000000000000000000000.000000'],
    [Number.POSITIVE_INFINITY, 'inf'],
    [Number.NEGATIVE_INFINITY, '-inf'],
    [Number.NaN, 'nan'],
  ])('%d is written as %s', (value, text) => {
    expect(texts(Float64Array.of(value), 'float64', 1)).toEqual([`${text}:0`]);
  });

  it('of integers are whole', () => {
    expect(texts(BigInt64Array.of(3n, -(2n ** 62n), 2n ** 62n), 'int64', 2)).toEqual(['4611686018427387904:2', '3:0']);
  });

  it('are those that sorting finds, of equal ones the first', () => {
    const values = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 5000 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 6000 }), (list, count) => {
        const expected = list
          .map((value, index) => ({ value, index }))
          .sort((a, b) => b.value - a.value || a.index - b.index)
          .slice(0, count)
          .map(({ value, index }) => `${value}:${index}`);
        expect(texts(Int32Array.from(list), 'int32', count)).toEqual(expected);
      }),
      { numRuns: 50, size: 'max' } as never,
    );
  });

  it('are found row by row', () => {
    expect(texts(Int32Array.of(1, 2, 9, 3), 'int32', 1, 2)).toEqual(['2:1', '9:0']);
  });

  it('of rows that are too long are refused', () => {
    expect(() => texts(new Int8Array(1_000_001), 'int8', 1)).toThrow('classification output tensor too large');
  });
});
