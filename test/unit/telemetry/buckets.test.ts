import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Buckets } from '../../../src/telemetry/buckets.ts';
import { LATENCY_BOUNDS_SECONDS, PROBABILITY_BOUNDS, VALUE_BOUNDS } from '../../../src/telemetry/metrics.ts';

function slowIndex(bounds: readonly number[], value: number): number {
  const index = bounds.findIndex((bound) => value <= bound);
  return index === -1 ? bounds.length : index;
}

const number = fc.oneof(fc.double({ noNaN: true }), fc.double({ noNaN: true, min: -2, max: 2 }));

describe('the bucket of a value', () => {
  it('is what a search from the left finds, for any bounds and any number', () => {
    const bounds = fc.uniqueArray(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(bounds, fc.array(number), (unsorted, values) => {
        // -0 and 0 are one bound.
        const sorted = [...new Set(unsorted.map((bound) => bound + 0))].sort((a, b) => a - b);
        const buckets = new Buckets(sorted);
        for (const value of [...values, ...sorted]) expect(buckets.indexOf(value)).toBe(slowIndex(sorted, value));
      }),
    );
  });

  it.each([
    ['latencies', LATENCY_BOUNDS_SECONDS],
    ['probabilities', PROBABILITY_BOUNDS],
    ['values', VALUE_BOUNDS],
  ])('is right at, just above and just below each bound of %s, and far outside', (_, bounds) => {
    const buckets = new Buckets(bounds);
    const around = bounds.flatMap((bound) => [bound, Math.fround(bound), bound * (1 + 2e-16), bound * (1 - 2e-16)]);
    const outside = [0, -0, Infinity, -Infinity, Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 127, 4e38];
    for (const value of [...around, ...outside]) expect(buckets.indexOf(value)).toBe(slowIndex(bounds, value));
  });
});

it.each([[[]], [[1, 1]], [[2, 1]], [[Number.NaN]], [[Infinity]]])('%j are no bounds', (bounds) => {
  expect(() => new Buckets(bounds)).toThrow(RangeError);
});
