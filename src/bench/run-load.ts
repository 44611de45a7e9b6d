// Runs the generator in a process of its own, on a core of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BenchError } from './bench-error.ts';
import type { GeneratorMessage } from './generator-process.ts';
import { pinned } from './pinning.ts';
import type { LoadPlan } from './plan.ts';
import type { LoadReport } from './report.ts';

/** A small young generation: the generator's own pauses must not show. It makes little garbage. */
const GENERATOR_FLAGS = ['--max-semi-space-size=1', '--initial-old-space-size=256', '--single-threaded-gc'];
/** What a run may take beyond its plan. */
const SPARE_SECONDS = 30;

const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const ENTRY = fileURLToPath(new URL(`./generator-process${suffix}`, import.meta.url));

/**
 * Runs the plan and resolves to its report. Rejects where the server can't be reached or the plan can't be.
 * @param core the core to pin the generator to; undefined: any
 */
export function runLoad(plan: LoadPlan, core?: number): Promise<LoadReport> {
  const [command, ...args] = pinned(core, [process.execPath, ...GENERATOR_FLAGS, ENTRY]);
  const child = spawn(command as string, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  const limitMs = (plan.warmUpSeconds + plan.seconds + plan.drainSeconds + SPARE_SECONDS) * 1000;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new BenchError(`the load generator has not reported within ${limitMs / 1000} s`));
    }, limitMs);
    child.once('message', (message: GeneratorMessage) => {
      clearTimeout(timer);
      if ('report' in message) resolve(message.report);
      else reject(new BenchError(`load generator: ${message.error}`));
    });
    rejectOnEnd(child, timer, reject);
    child.send(plan);
  });
}

function rejectOnEnd(child: ChildProcess, timer: NodeJS.Timeout, reject: (error: Error) => void): void {
  const fail = (reason: string): void => {
    clearTimeout(timer);
    reject(new BenchError(`the load generator ${reason}`));
  };
  child.once('error', (error) => fail(`could not be started: ${error.message}`));
  child.once('exit', (code, signal) => fail(`ended with ${signal ?? code} before it reported`));
}
