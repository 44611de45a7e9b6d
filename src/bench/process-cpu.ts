// CPU time of other processes, by thread, from Linux's /proc. Other systems have none: the functions say undefined.

import { readdirSync, readFileSync } from 'node:fs';

const TICK_US = 10_000;

/** CPU time of each thread since it began, by `pid/tid`. */
export type CpuSnapshot = Map<string, { thread: string; cpuUs: number }>;

/** Reads the threads of the processes; undefined where the system has no /proc/PID/task. */
export function readProcessCpu(pids: readonly number[]): CpuSnapshot | undefined {
  if (process.platform !== 'linux') return undefined;
  const snapshot: CpuSnapshot = new Map();
  for (const pid of pids) {
    for (const tid of threadsOf(pid)) {
      const cpuUs = threadCpuUs(pid, tid);
      if (cpuUs !== undefined) snapshot.set(`${pid}/${tid}`, { thread: threadName(pid, tid), cpuUs });
    }
  }
  return snapshot.size > 0 ? snapshot : undefined;
}

/** Microseconds of CPU time between two snapshots, by thread name. Threads that have ended in between are left out. */
export function cpuBetween(before: CpuSnapshot, after: CpuSnapshot): Map<string, number> {
  const byThread = new Map<string, number>();
  for (const [key, { thread, cpuUs }] of after) {
    const usedUs = cpuUs - (before.get(key)?.cpuUs ?? 0);
    byThread.set(thread, (byThread.get(thread) ?? 0) + usedUs);
  }
  return byThread;
}

/** CPU time that the whole machine has spent, the hypervisor's share (steal) included, in microseconds; undefined off Linux. */
export function readMachineCpuUs(): number | undefined {
  const total = readProc('/proc/stat')?.split('\n', 1)[0];
  if (total === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = total
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softIrq + steal) * TICK_US;
}

/** A process and all that it has started, and they in turn; the process alone where the system has no /proc. */
export function descendants(pid: number): number[] {
  const children = threadsOf(pid).flatMap((tid) =>
    (readProc(`/proc/${pid}/task/${tid}/children`) ?? '').split(' ').filter((child) => child !== ''),
  );
  return [pid, ...children.flatMap((child) => descendants(Number(child)))];
}

/** Resident memory of a process. */
export interface ProcessMemory {
  residentBytes: number;
  /** The most that it ever was. */
  peakResidentBytes: number;
}

/** Reads /proc/PID/status; undefined where there is none. */
export function readProcessMemory(pid: number): ProcessMemory | undefined {
  const status = readProc(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  return { residentBytes: statusBytes(status, 'VmRSS'), peakResidentBytes: statusBytes(status, 'VmHWM') };
}

function statusBytes(status: string, key: string): number {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status);
  return 1024 * Number(found?.[1] ?? 0);
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function threadCpuUs(pid: number, tid: string): number | undefined {
  const schedstat = readProc(`/proc/${pid}/task/${tid}/schedstat`);
  // Nanoseconds on a CPU come first. A kernel without scheduler statistics says 0 0 0.
  const ns = Number(schedstat?.split(' ')[0] ?? 0);
  return ns > 0 ? ns / 1000 : threadTicksUs(pid, tid);
}

function threadTicksUs(pid: number, tid: string): number | undefined {
  const stat = readProc(`/proc/${pid}/task/${tid}/stat`);
  if (stat === undefined) return undefined;
  // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

function threadName(pid: number, tid: string): string {
  return readProc(`/proc/${pid}/task/${tid}/comm`)?.trim() ?? '';
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
