// Where and what was measured.

import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { canPin } from '../../src/bench/pinning.ts';
import { ROOT } from './settings.ts';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  system: string;
  node: string;
  /** Server and client run on cores of their own. */
  pinned: boolean;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round((10 * totalmem()) / 2 ** 30) / 10,
    system: `${platform()} ${release()}`,
    node: process.version,
    pinned: canPin(),
  };
}

/** The commit that was measured; undefined outside a checkout. */
export function describeCommit(): { commit: string; changed: boolean } | undefined {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    return { commit: git('rev-parse', 'HEAD'), changed: git('status', '--porcelain') !== '' };
  } catch {
    return undefined;
  }
}
