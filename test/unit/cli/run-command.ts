// A command of the command line, run in this process: what it prints, and what it throws for main to show.

import { Command } from 'commander';
import { onTestFinished, vi } from 'vitest';

export type Printed = { stdout: string; exitCode: number };

/** Runs `ARGS` of a program that has only what `add` adds; rejects with what the command throws. */
export async function runInProcess(add: (program: Command) => void, args: readonly string[]): Promise<Printed> {
  const program = new Command('scorewire').exitOverride().configureOutput({ writeErr: () => {} });
  add(program);
  const printed: Printed = { stdout: '', exitCode: 0 };
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.stdout += text;
    return true;
  });
  const log = vi.spyOn(console, 'log').mockImplementation((text) => {
    printed.stdout += `${text}\n`;
  });
  onTestFinished(() => {
    write.mockRestore();
    log.mockRestore();
  });
  const before = process.exitCode;
  try {
    await program.parseAsync(args, { from: 'user' });
    printed.exitCode = Number(process.exitCode ?? 0);
    return printed;
  } finally {
    process.exitCode = before;
    write.mockRestore();
    log.mockRestore();
  }
}
