import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
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

test('threads that it made meanwhile come back with it', async ({ skip }) => {
  const before = getPriority();
  const goFirst = giveWay();
  if (goFirst === undefined) skip();
  const made = new Worker('setInterval(() => {}, 1000)', { eval: true });
  await once(made, 'online');
  goFirst?.();
  const priorities = readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread)));
  expect(new Set(priorities)).toEqual(new Set([before]));
  await made.terminate();
});
