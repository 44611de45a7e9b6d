import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../../src/bench/histogram.ts';

function filled(from: number, to: number): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (let us = from; us <= to; us++) histogram.record(us);
  return histogram;
}

test('percentiles are within one per cent', () => {
  const summary = filled(1, 10_000).summary();
  expect(summary.count).toBe(10_000);
  for (const [found, wanted] of [
    [summary.minUs, 1],
    [summary.meanUs, 5_000.5],
    [summary.p50Us, 5_000],
    [summary.p90Us, 9_000],
    [summary.p99Us, 9_900],
    [summary.p999Us, 9_990],
    [summary.maxUs, 10_000],
  ] as const) {
    expect(Math.abs(found - wanted) / wanted).toBeLessThan(0.01);
  }
});

test('an empty one is all zeros', () => {
  expect(Object.values(new LatencyHistogram().summary()).every((value) => value === 0)).toBe(true);
});

test('values beyond its range are clamped, not lost', () => {
  const histogram = new LatencyHistogram();
  histogram.record(-5);
  histogram.record(1e12);
  const { count, minUs, maxUs } = histogram.summary();
  expect(count).toBe(2);
  expect(minUs).toBe(0);
  expect(maxUs / 1e6).toBeCloseTo(120, 0);
});

test('merged and encoded forms keep every value', () => {
  const merged = filled(1, 500);
  merged.merge(filled(501, 1_000));
  expect(merged.summary()).toEqual(filled(1, 1_000).summary());
  const decoded = LatencyHistogram.decode(merged.encoded());
  for (const percent of [0, 1, 50, 99, 100]) expect(decoded.percentileUs(percent)).toBe(merged.percentileUs(percent));
  expect(decoded.count).toBe(1_000);
  expect(LatencyHistogram.decode(new LatencyHistogram().encoded()).count).toBe(0);
});
