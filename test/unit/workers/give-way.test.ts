import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { giveWay } from '../../../src/workers/give-way.ts';

test('a thread gives way only where it can come back, and comes back', () => {
  const before = getPriority();
  const goFirst = giveWay();
  // A higher number is a lower priority. Who may not set it back keeps it.
  if (goFirst === undefined) expect(getPriority()).toBe(before);
  else expect(getPriority()).toBeGreaterThan(before);
  goFirst?.();
  expect(getPriority()).toBe(before);
});
