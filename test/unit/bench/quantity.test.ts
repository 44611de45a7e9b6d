import { describe, expect, test } from 'vitest';
import { formatShare, formatUs, parseDuration, parseShare, parseSlo } from '../../../src/bench/quantity.ts';

test.each([
  ['10ms', 10_000],
  ['500us', 500],
  ['1.5s', 1_500_000],
])('%s', (text, us) => expect(parseDuration(text, '--x')).toBe(us));

test.each(['10', 'ms', '-1ms', '10 min', ''])('no duration: "%s"', (text) => {
  expect(() => parseDuration(text, '--x')).toThrow(`--x: expected a time such as 10ms, 500us or 1.5s, found "${text}"`);
});

test.each([
  ['10%', 0.1],
  ['0.1%', 0.001],
  ['0.25', 0.25],
])('%s', (text, share) => expect(parseShare(text, '--x')).toBeCloseTo(share, 12));

describe('limits', () => {
  test('percentiles and errors', () => {
    expect(parseSlo('p50=1ms, p99.9=50ms,errors=0.1%', '--slo')).toEqual({
      latencyUs: [
        { percentile: 50, limitUs: 1000 },
        { percentile: 99.9, limitUs: 50_000 },
      ],
      errorShare: 0.001,
    });
  });

  test.each(['', 'p99', 'p101=1ms', 'mean=1ms', 'p99=fast', 'errors=many'])('"%s" names the flag', (text) => {
    expect(() => parseSlo(text, '--slo')).toThrow(/^--slo/);
  });
});

test('for people', () => {
  expect([0.5, 999, 1000, 12_345, 2_500_000].map(formatUs)).toEqual([
    '0.50 us',
    '999 us',
    '1.00 ms',
    '12.3 ms',
    '2.50 s',
  ]);
  expect([0, 0.00012, 0.0123, 0.5].map(formatShare)).toEqual(['0 %', '0.01 %', '1.2 %', '50.0 %']);
});
