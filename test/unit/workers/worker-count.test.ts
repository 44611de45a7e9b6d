import { expect, test } from 'vitest';
import { defaultWorkerCount } from '../../../src/workers/worker-count.ts';

test.each([
  [1, 1],
  [2, 1],
  [4, 3],
  [8, 7],
  [17, 16],
  [64, 16],
])('%d cores: %d workers', (cores, workers) => {
  expect(defaultWorkerCount(cores)).toBe(workers);
});

test('of this machine: at least one', () => {
  expect(defaultWorkerCount()).toBeGreaterThanOrEqual(1);
});
