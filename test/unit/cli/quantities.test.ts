import { describe, expect, test } from 'vitest';
import { ageOf, bytesShown, percentShown, secondsShown, shareOf, timeOf } from '../../../src/cli/quantities.ts';

describe('an age', () => {
  test.each([
    ['12h', 43_200_000],
    ['90s', 90_000],
    ['15min', 900_000],
    ['15m', 900_000],
    ['0.5d', 43_200_000],
    ['250ms', 250],
    [' 2 d ', 172_800_000],
    ['0s', 0],
  ])('%s', (text, ms) => {
    expect(ageOf(text, '--x')).toBe(ms);
  });

  test.each(['', '12', 'h', '-1h', '1w', '1h30m', '1e3s'])('not %j', (text) => {
    expect(() => ageOf(text, '--x')).toThrow(`--x: expected an age such as 90s, 15min, 12h or 2d, found "${text}"`);
  });
});

describe('a share', () => {
  test.each([
    ['0.95', 0.95],
    ['95%', 0.95],
    ['0', 0],
    ['1', 1],
    ['100%', 1],
  ])('%s', (text, share) => {
    expect(shareOf(text, '--x')).toBe(share);
  });

  test.each(['', '95', '1.1', '101%', '-0.1', 'most'])('not %j', (text) => {
    expect(() => shareOf(text, '--x')).toThrow(
      `--x: expected a share from 0 to 1, such as 0.95 or 95%, found "${text}"`,
    );
  });
});

describe('a time', () => {
  test.each([
    ['2026-03-01T06:00:00Z', Date.UTC(2026, 2, 1, 6)],
    ['2026-03-01T06:00:00.250+02:00', Date.UTC(2026, 2, 1, 4, 0, 0, 250)],
    ['2026-03-01T06:00Z', Date.UTC(2026, 2, 1, 6)],
    ['2026-03-01', Date.UTC(2026, 2, 1)],
    ['1772344800', 1_772_344_800_000],
    ['1772344800.5', 1_772_344_800_500],
  ])('%s', (text, ms) => {
    expect(timeOf(text, '--at')).toBe(ms);
  });

  test.each(['', 'now', '2026-03-01T06:00:00', '2026-13-01', '1/3/2026'])('not %j', (text) => {
    expect(() => timeOf(text, '--at')).toThrow(/^--at: expected a time such as .*found "/);
  });
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [10 * 1024, '10 KiB'],
  [1.5 * 1024 ** 3, '1.5 GiB'],
  [5 * 1024 ** 5, '5120 TiB'],
])('bytes: %d are %s', (bytes, shown) => {
  expect(bytesShown(bytes)).toBe(shown);
});

test.each([
  [60, '1m'],
  [90, '90s'],
  [21_600, '6h'],
  [86_400, '1d'],
])('seconds: %d are %s', (seconds, shown) => {
  expect(secondsShown(seconds)).toBe(shown);
});

test.each([
  [0, '0.0 %'],
  [0.29, '29.0 %'],
  [0.9999, '99.9 %'],
  [1, '100.0 %'],
])('shares: %d is %s', (share, shown) => {
  expect(percentShown(share)).toBe(shown);
});
