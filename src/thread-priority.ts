// Threads that let others go first. Linux has priorities of threads, and lets one back up only who may set them at will.
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** CAP_SYS_NICE, as a bit of /proc's CapEff. */
const MAY_SET_PRIORITIES = 1n << 23n;
/** They get what nobody else wants. */
const LOW = 19;

/**
 * Makes threads that let those of the process that serve go first: one that is made inherits the priority of its maker, and so comes
 * up with it. Where that could not be undone, or is not to be had, they are made as any others. For the main thread.
 */
export function makeLow<T>(make: () => T): T {
  const before = getPriority();
  if (before >= LOW || !maySetPriorities()) return make();
  setPriority(process.pid, LOW);
  try {
    return make();
  } finally {
    setPriority(process.pid, before);
  }
}

/** All threads of the process are as important as its main thread from now on. */
export function raiseThreads(): void {
  try {
    const priority = getPriority(process.pid);
    for (const thread of readdirSync('/proc/self/task').map(Number)) raise(thread, priority);
  } catch {
    // There are no such priorities here.
  }
}

function raise(thread: number, priority: number): void {
  try {
    if (getPriority(thread) === LOW) setPriority(thread, priority);
  } catch {
    // It has ended since it was listed.
  }
}

let allowed: boolean | undefined;

function maySetPriorities(): boolean {
  allowed ??= readAllowed();
  return allowed;
}

function readAllowed(): boolean {
  try {
    const [, capabilities] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return capabilities !== undefined && (BigInt(`0x${capabilities}`) & MAY_SET_PRIORITIES) !== 0n;
  } catch {
    return false;
  }
}
