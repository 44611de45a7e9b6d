// Which core a process runs on.

import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

let taskset: boolean | undefined;

/** Processes can be pinned here: there is more than one core, and taskset. */
export function canPin(): boolean {
  taskset ??= availableParallelism() > 1 && spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0;
  return taskset;
}

/** The command that runs `command` on one core; the command itself where there is no pinning or no core is given. */
export function pinned(core: number | undefined, command: readonly string[]): string[] {
  return core === undefined || !canPin() ? [...command] : ['taskset', '-c', String(core), ...command];
}
