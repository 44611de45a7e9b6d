import { expect, it } from 'vitest';
import type { ScorewireError } from '../../../src/errors.ts';
import { checkPart } from '../../../src/inference/shared-memory.ts';

function problemOf(offset: bigint, byteSize: bigint, regionBytes = 64n): string {
  try {
    checkPart('R', regionBytes, offset, byteSize);
  } catch (error) {
    const { kind, message } = error as ScorewireError;
    return `${kind}: ${message}`;
  }
  return '';
}

it.each([
  [0n, 64n],
  [0n, 0n],
  [63n, 1n],
  [32n, 32n],
])('a part of a region of 64 bytes: %d and %d bytes', (offset, byteSize) => {
  expect(problemOf(offset, byteSize)).toBe('');
});

it('an empty region has an empty part', () => {
  expect(problemOf(0n, 0n, 0n)).toBe('');
});

it.each([
  [64n, 0n, "invalid_argument: Invalid offset for shared memory region: 'R'"],
  [1000n, 1n, "invalid_argument: Invalid offset for shared memory region: 'R'"],
  [0n, 65n, "invalid_argument: Invalid offset + byte size for shared memory region: 'R'"],
  [63n, 2n, "invalid_argument: Invalid offset + byte size for shared memory region: 'R'"],
  [
    2n ** 64n - 1n,
    1n,
    "invalid_argument: Integer overflow detected: byte_size (1) + offset (18446744073709551615) exceeds maximum value (18446744073709551615) for region 'R'",
  ],
])('no part of a region of 64 bytes: %d and %d bytes', (offset, byteSize, problem) => {
  expect(problemOf(offset, byteSize)).toBe(problem);
});
