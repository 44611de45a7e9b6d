// The command line in a process of its own, as a user starts it.

import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Halves the time that a process takes to start: most of it goes into reading our sources. */
const COMPILE_CACHE = join(tmpdir(), 'scorewire-test-compile-cache');

export type Ended = { code: number | null; signal: NodeJS.Signals | null };

const running = new Set<Command>();

afterAll(() => {
  for (const command of running) command.signal('SIGKILL');
});

export class Command {
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #look: () => void = () => {};

  /** `scorewire ARGS`. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(process.execPath, ['bin/scorewire.js', ...args], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this);
    this.#child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
      this.#look();
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        running.delete(this);
        resolve({ code, signal });
        this.#look();
      });
    });
  }

  /** Reads standard output no more: who writes to it meets a broken pipe. */
  hangUp(): void {
    this.#child.stdout?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Lines of the log, which is JSON where standard output is no terminal. */
  get log(): { level: string; msg: string; [key: string]: unknown }[] {
    const lines = this.stdout.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line));
  }

  /** The first line of the log whose message matches; rejects if the process ends without it. */
  logged(message: RegExp): Promise<{ msg: string; [key: string]: unknown }> {
    return this.#found(message, () => this.log.find((line) => message.test(line.msg)));
  }

  /** Resolves when standard error has it; rejects if the process ends without it. */
  async said(text: RegExp): Promise<void> {
    await this.#found(text, () => text.exec(this.stderr) ?? undefined);
  }

  async #found<T>(what: RegExp, look: () => T | undefined): Promise<T> {
    let hasEnded = false;
    void this.ended.then(() => {
      hasEnded = true;
    });
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (hasEnded) throw new Error(`no ${what} in what it said:\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
  }
}

/** Runs `scorewire ARGS` to its end. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended & { stdout: string; stderr: string }> {
  const command = new Command(args, env);
  const ended = await command.ended;
  return { ...ended, stdout: command.stdout, stderr: command.stderr };
}

/** `scorewire serve` on free ports, SERVING; `set` as in `--set key=value`. */
export async function serve(
  models: string,
  set: readonly string[] = [],
): Promise<{ command: Command; address: string; http: string }> {
  const flags = ['--models', models, '--port', '0', '--http-port', '0'];
  const command = new Command(['serve', ...flags, ...set.flatMap((one) => ['--set', one])]);
  const { grpc, http } = await command.logged(/^SERVING$/);
  return { command, address: String(grpc), http: `http://${http}` };
}
