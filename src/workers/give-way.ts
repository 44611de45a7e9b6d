// A thread that lets others go first. Linux has priorities of threads, and lets one back up only who may set them at will.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** CAP_SYS_NICE, as a bit of /proc's CapEff. */
const MAY_SET_PRIORITIES = 1n << 23n;
/** A tenth of the share that others get where all want the same core. */
const LOW = 10;

/**
 * Lowers the calling thread's priority, and returns what sets it back, with all threads that it has made by then. Undefined where
 * that could not be undone, or is not to be had: nothing has changed then.
 */
export function giveWay(): (() => void) | undefined {
  try {
    const status = readFileSync('/proc/thread-self/status', 'utf8');
    const [, capabilities] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
    if (capabilities === undefined || (BigInt(`0x${capabilities}`) & MAY_SET_PRIORITIES) === 0n) return undefined;
    // Of the form PID/task/TID.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    const before = getPriority(thread);
    if (before >= LOW) return undefined;
    setPriority(thread, LOW);
    return () => setBack(before);
  } catch {
    return undefined;
  }
}

/** Threads that were made by one that gave way have got its priority with them: those of sessions that run on several. */
function setBack(before: number): void {
  for (const thread of readdirSync('/proc/self/task').map(Number)) {
    try {
      if (getPriority(thread) === LOW) setPriority(thread, before);
    } catch {
      // It has ended since it was listed.
    }
  }
}
