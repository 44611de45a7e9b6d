import { expect, it } from 'vitest';
import { ageBucket } from '../../../src/scores/age-buckets.ts';
import { outputsBytes, ownOutputs } from '../../../src/scores/own-outputs.ts';
import type { Tensor } from '../../../src/tensor.ts';

const tensor = (data: Tensor['data']): Tensor => ({ type: 'float32', dims: [data.length], data });

it('outputs are kept as they are where nothing hangs on them', () => {
  const outputs = new Map([['p', tensor(Float32Array.of(1, 2))]]);
  expect(ownOutputs(outputs)).toBe(outputs);
  expect(ownOutputs(undefined)).toBeUndefined();
});

it('outputs take more the more elements they have', () => {
  const bytesOf = (data: Tensor['data']) => outputsBytes(new Map([['p', tensor(data)]]));
  expect(outputsBytes(undefined)).toBe(0);
  expect(bytesOf(new Float32Array(100)) - bytesOf(new Float32Array(0))).toBe(400);
  expect(bytesOf(new BigInt64Array(100)) - bytesOf(new BigInt64Array(0))).toBe(800);
  expect(bytesOf(['x'.repeat(1000)])).toBeGreaterThan(2000);
});

it('an age is in the first bucket whose end it does not exceed', () => {
  const ages = [-5, 0, 60, 60.001, 300, 86_400, 86_401, 1e9];
  expect(ages.map((seconds) => ageBucket(seconds * 1000))).toEqual([0, 0, 0, 1, 1, 6, 7, 7]);
});
