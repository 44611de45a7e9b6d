import { expect, test } from 'vitest';
import { durationMs, toDuration } from '../../../src/grpc/duration.ts';

const MAX_SECONDS = 315_576_000_000n;

test.each<[seconds: bigint, nanos: number, ms: number]>([
  [0n, 0, 0],
  [2n, 5_250_000, 2005.25],
  [0n, 999_999_999, 999.999999],
  [-1n, -500_000_000, -1500],
  [0n, -1, -1e-6],
  [MAX_SECONDS, 0, 315_576_000_000_000],
  [-MAX_SECONDS, 0, -315_576_000_000_000],
])('%s s and %s ns are %s ms', (seconds, nanos, ms) => {
  expect(durationMs({ seconds, nanos })).toBe(ms);
});

test.each<[seconds: bigint, nanos: number]>([
  [MAX_SECONDS + 1n, 0],
  [-MAX_SECONDS - 1n, 0],
  [2n ** 63n - 1n, 0],
  [1n, 1_000_000_000],
  [0n, -1_000_000_000],
  [1n, -1],
  [-1n, 1],
])('%s s and %s ns are no Duration', (seconds, nanos) => {
  expect(durationMs({ seconds, nanos })).toBeNaN();
});

test.each<[ms: number, seconds: bigint, nanos: number]>([
  [0, 0n, 0],
  [20, 0n, 20_000_000],
  [2005, 2n, 5_000_000],
  [2005.9, 2n, 5_000_000],
])('%s ms on the wire', (ms, seconds, nanos) => {
  expect(toDuration(ms)).toEqual({ seconds, nanos });
});
