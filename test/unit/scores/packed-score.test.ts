import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packScore, unpackScore } from '../../../src/scores/packed-score.ts';
import type { StoredScore } from '../../../src/scores/score-store.ts';
import { allocate, DATA_TYPES, elementCount, type Tensor, type TensorData } from '../../../src/tensor.ts';

const time = fc.integer({ min: 0, max: 4_000_000_000_000 });

const tensor: fc.Arbitrary<Tensor> = fc
  .record({ type: fc.constantFrom(...DATA_TYPES), dims: fc.array(fc.nat(4), { maxLength: 3 }) })
  .chain(({ type, dims }) => data(type, elementCount(dims)).map((values) => ({ type, dims, data: values })));

function data(type: Tensor['type'], count: number): fc.Arbitrary<TensorData> {
  if (type === 'string') return fc.array(fc.string({ unit: 'grapheme' }), { minLength: count, maxLength: count });
  const empty = allocate(type, count) as Exclude<TensorData, string[]>;
  return fc.uint8Array({ minLength: empty.byteLength, maxLength: empty.byteLength }).map((bytes) => {
    const values = allocate(type, count) as Exclude<TensorData, string[]>;
    new Uint8Array(values.buffer).set(bytes);
    return values;
  });
}

const stored: fc.Arbitrary<StoredScore> = fc.record({
  score: fc.float(),
  label: fc.integer({ min: -1, max: 2_147_483_647 }),
  outputs: fc
    .option(fc.dictionary(fc.string(), tensor, { maxKeys: 3 }), { nil: undefined })
    .map((outputs) => outputs && new Map(Object.entries(outputs))),
  scoredAtMs: time,
  featuresAsOfMs: time,
  keptUntilMs: time,
  job: fc.string({ unit: 'grapheme' }),
});

test('what was packed comes out as it was, bit by bit', () => {
  fc.assert(
    fc.property(stored, (score) => {
      const packed = packScore(score);
      const again = unpackScore(packed) as StoredScore;
      expect(again).toEqual(score);
      expect(packScore(again)).toEqual(packed);
    }),
  );
});

test('bytes that are cut off or go on are no score', () => {
  fc.assert(
    fc.property(stored, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 9 }), (score, cut, more) => {
      const packed = packScore(score);
      expect(unpackScore(packed.subarray(0, cut % packed.length))).toBeUndefined();
      expect(unpackScore(Buffer.concat([packed, more]))).toBeUndefined();
    }),
  );
});

test('no bytes at all are too much for it: what is read can be packed again, and little memory is taken', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((any) => Buffer.from(any)),
    fc.record({ score: stored, at: fc.nat(), byte: fc.nat(255) }).map(({ score, at, byte }) => {
      const packed = packScore(score);
      packed[at % packed.length] = byte;
      return packed;
    }),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      const read = unpackScore(some);
      if (read !== undefined) expect(packScore(read).length).toBeLessThanOrEqual(3 * some.length);
    }),
    { numRuns: 2000 },
  );
});

test('bytes of another layout, and those without times, are no score', () => {
  const score = { score: 1, label: 0, outputs: undefined, scoredAtMs: 1, featuresAsOfMs: 2, keptUntilMs: 3, job: '' };
  const other = packScore(score);
  other[0] = 2;
  expect(unpackScore(other)).toBeUndefined();
  expect(unpackScore(packScore({ ...score, scoredAtMs: Number.NaN }))).toBeUndefined();
  expect(unpackScore(packScore({ ...score, featuresAsOfMs: Number.POSITIVE_INFINITY }))).toBeUndefined();
});

test('the score keeps nothing of the memory that the bytes lay in', () => {
  const outputs = new Map<string, Tensor>([['p', { type: 'float32', dims: [2], data: Float32Array.of(1, 2) }]]);
  const score = { score: 1, label: 0, outputs, scoredAtMs: 1, featuresAsOfMs: 2, keptUntilMs: 3, job: 'nightly' };
  const packed = packScore(score);
  const read = unpackScore(packed);
  packed.fill(255);
  expect(read).toEqual(score);
});
