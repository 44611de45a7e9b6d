import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Segment } from '../../../src/models/model.ts';
import { binaryLabel, predictedClass, segmentIndex } from '../../../src/scoring/classify.ts';

/** The float32 numbers next to `value`, which is one itself after rounding. */
function neighbours(value: number): { below: number; at: number; above: number } {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  float[0] = value;
  const at = float[0];
  bits[0] = (bits[0] as number) + 1;
  const above = float[0] as number;
  bits[0] = (bits[0] as number) - 2;
  return { below: float[0] as number, at, above };
}

const LEVELS: Segment[] = [{ name: 'Low' }, { name: 'Medium', from: 0.3 }, { name: 'High', from: 0.6 }];
const level = (score: number): string | undefined => LEVELS[segmentIndex(score, LEVELS)]?.name;

describe('segments Low [0, 0.3), Medium [0.3, 0.6), High [0.6, 1]', () => {
  const third = neighbours(0.3);
  const sixth = neighbours(0.6);
  it.each<[string, number, string]>([
    ['0', 0, 'Low'],
    ['the last before 0.3', third.below, 'Low'],
    ['0.3 as a float32', third.at, 'Medium'],
    ['0.3 as a float64, which is below it', 0.3, 'Medium'],
    ['the first after 0.3', third.above, 'Medium'],
    ['the last before 0.6', sixth.below, 'Medium'],
    ['0.6 as a float32', sixth.at, 'High'],
    ['0.6 as a float64', 0.6, 'High'],
    ['1', 1, 'High'],
  ])('%s', (_, score, name) => {
    expect(level(score)).toBe(name);
  });

  it('0.3 and 0.6 are in fact rounded, one up and one up', () => {
    expect(third.at).toBeGreaterThan(0.3);
    expect(sixth.at).toBeGreaterThan(0.6);
  });

  it('a bound that 32 bits round down is still met by itself', () => {
    const segments: Segment[] = [{ name: 'Low' }, { name: 'High', from: 0.7 }];
    const { below, at } = neighbours(0.7);
    expect(at).toBeLessThan(0.7);
    expect([below, at, 0.7].map((score) => segmentIndex(score, segments))).toEqual([0, 1, 1]);
  });

  it('are decided on the score as it is, not as it is printed', () => {
    expect(level(0.29999)).toBe('Low');
    expect(level(0.59999)).toBe('Medium');
  });

  it('the outer ones have no end', () => {
    expect(level(-100)).toBe('Low');
    expect(level(Number.NEGATIVE_INFINITY)).toBe('Low');
    expect(level(100)).toBe('High');
    expect(level(Number.POSITIVE_INFINITY)).toBe('High');
  });

  it('NaN is in none', () => {
    expect(segmentIndex(Number.NaN, LEVELS)).toBe(-1);
  });

  it('a model without segments has none', () => {
    expect(segmentIndex(0.5, [])).toBe(-1);
  });

  it('a single segment has every score', () => {
    expect(segmentIndex(-1, [{ name: 'All' }])).toBe(0);
  });

  test('any segments: the last whose lower bound is not above the score', () => {
    const float = fc.double({ min: 0.001, max: 2, noNaN: true });
    fc.assert(
      fc.property(fc.uniqueArray(float, { maxLength: 6 }), float, (bounds, other) => {
        const sorted = [...new Set(bounds.map(Math.fround))].sort((a, b) => a - b);
        const segments = [{ name: '0' }, ...sorted.map((from, i) => ({ name: String(i + 1), from }))];
        for (const score of [other, ...sorted, ...sorted.map((from) => neighbours(from).below)]) {
          const expected = sorted.filter((from) => from <= Math.fround(score)).length;
          expect(segmentIndex(score, segments)).toBe(expected);
        }
      }),
    );
  });
});

describe('the label of a binary model', () => {
  const half = neighbours(0.5);
  it.each<[string, number, number, number]>([
    ['below the threshold', 0.2, 0.5, 0],
    ['above it', 0.8, 0.5, 1],
    ['a tie', 0.5, 0.5, 0],
    ['the first float32 above', half.above, 0.5, 1],
    ['the last float32 below', half.below, 0.5, 0],
    ['above in 64 bits, a tie in 32', 0.5 + 1e-12, 0.5, 0],
    ['a tie with a threshold that 32 bits round up', 0.3, 0.3, 0],
    ['such a threshold against the score as a float32', Math.fround(0.3), 0.3, 0],
    ['the first float32 above such a threshold', neighbours(0.3).above, 0.3, 1],
    ['threshold 0: a score of 0 is a tie', 0, 0, 0],
    ['threshold 1: nothing is above', 1, 1, 0],
    ['NaN', Number.NaN, 0.5, 0],
  ])('%s', (_, score, threshold, label) => {
    expect(binaryLabel(score, threshold)).toBe(label);
  });
});

describe('the predicted class', () => {
  it.each<[string, number[], number]>([
    ['the first', [0.7, 0.2, 0.1], 0],
    ['one in the middle', [0.1, 0.8, 0.1], 1],
    ['the last', [0.1, 0.2, 0.7], 2],
    ['the first of equals', [0.2, 0.4, 0.4], 1],
    ['of all equal the first', [0.25, 0.25, 0.25, 0.25], 0],
    ['of raw scores below 0', [-5, -1, -3], 1],
    ['the only one', [0.3], 0],
  ])('%s', (_, values, best) => {
    expect(predictedClass(Float32Array.from(values), 0, values.length)).toBe(best);
  });

  it('looks at its own row only', () => {
    const values = Float32Array.from([0.9, 0.1, 0.2, 0.8, 0.7, 0.3]);
    expect([0, 2, 4].map((offset) => predictedClass(values, offset, 2))).toEqual([0, 1, 0]);
  });
});
