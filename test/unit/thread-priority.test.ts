import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { makeLow, raiseThreads } from '../../src/thread-priority.ts';

const priorities = (): Set<number> =>
  new Set(readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread))));

test('whoever makes threads that give way stays as it was, and they come back', async () => {
  const before = getPriority();
  const others = priorities();
  const made = makeLow(() => new Worker('setInterval(() => {}, 1000)', { eval: true }));
  await once(made, 'online');
  expect(getPriority()).toBe(before);
  // Where the system would not let them back they are as others are.
  expect(priorities().size).toBeLessThanOrEqual(others.size + 1);
  raiseThreads();
  expect(priorities()).toEqual(new Set([before]));
  await made.terminate();
});
