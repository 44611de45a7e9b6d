// Measures how long a server's I/O thread holds its event loop: `node --import loop-holds.ts ...`. Each SIGUSR2 writes the longest
// hold since the last one, in milliseconds, to the file LOOP_HOLDS: by the clock, and by the CPU time that the thread had in it,
// which other work on the machine does not lengthen.

import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env.LOOP_HOLDS;
/** What a timer waits anyway. */
const TIMER_MS = 1;

if (isMainThread && file !== undefined) {
  const cpuMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let [clock, cpu, maxMs, maxCpuMs] = [performance.now(), cpuMs(), 0, 0];
  setInterval(() => {
    const [nowClock, nowCpu] = [performance.now(), cpuMs()];
    maxMs = Math.max(maxMs, nowClock - clock - TIMER_MS);
    maxCpuMs = Math.max(maxCpuMs, nowCpu - cpu);
    [clock, cpu] = [nowClock, nowCpu];
  }, TIMER_MS).unref();
  process.on('SIGUSR2', () => {
    writeFileSync(file, JSON.stringify({ maxMs, maxCpuMs }));
    [maxMs, maxCpuMs] = [0, 0];
  });
}
