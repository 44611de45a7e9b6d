import { expect, it, vi } from 'vitest';
import { Uses } from '../../../src/scoring/uses.ts';

it('is over when the last user is done, each of whom counts once', async () => {
  const uses = new Uses();
  await uses.none();
  uses.begin();
  const release = uses.hold();
  const none = vi.fn();
  void uses.none().then(none);
  release();
  release();
  await new Promise((resolve) => setImmediate(resolve));
  expect([uses.count, none.mock.calls.length]).toEqual([1, 0]);
  uses.end();
  await new Promise((resolve) => setImmediate(resolve));
  expect([uses.count, none.mock.calls.length]).toEqual([0, 1]);
});
