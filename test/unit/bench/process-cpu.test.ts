import { expect, test } from 'vitest';
import { cpuBetween, readProcessCpu, readProcessMemory } from '../../../src/bench/process-cpu.ts';

const linux = process.platform === 'linux';

test.runIf(linux)('a busy thread shows in the CPU time of its process', () => {
  const before = readProcessCpu([process.pid]);
  const endsAt = performance.now() + 100;
  while (performance.now() < endsAt);
  const after = readProcessCpu([process.pid]);
  if (before === undefined || after === undefined) throw new Error('no /proc');
  const spentUs = [...cpuBetween(before, after).values()].reduce((sum, us) => sum + us, 0);
  expect(spentUs).toBeGreaterThan(10_000);
});

test.runIf(linux)('memory of this process', () => {
  const memory = readProcessMemory(process.pid);
  expect(memory?.residentBytes).toBeGreaterThan(2 ** 20);
  expect(memory?.peakResidentBytes).toBeGreaterThanOrEqual(memory?.residentBytes ?? 0);
});

test('a process that is not there', () => {
  expect(readProcessCpu([2 ** 30])).toBeUndefined();
  expect(readProcessMemory(2 ** 30)).toBeUndefined();
});

test('time between snapshots: new threads count from zero, threads of one name together', () => {
  const before = new Map([['1/1', { thread: 'main', cpuUs: 100 }]]);
  const after = new Map([
    ['1/1', { thread: 'main', cpuUs: 150 }],
    ['1/2', { thread: 'worker', cpuUs: 20 }],
    ['1/3', { thread: 'worker', cpuUs: 5 }],
  ]);
  expect(Object.fromEntries(cpuBetween(before, after))).toEqual({ main: 50, worker: 25 });
});
