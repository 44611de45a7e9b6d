// A server in a process of its own: started pinned, awaited until SERVING, stopped by SIGTERM.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pinned } from '../../src/bench/pinning.ts';
import { descendants, type ProcessMemory, readProcessMemory } from '../../src/bench/process-cpu.ts';
import { waitUntil, waitUntilServing } from './health.ts';
import { HOST, ROOT } from './settings.ts';

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 15_000;
const LOG_TAIL_CHARACTERS = 2_000;

const running = new Set<ServerProcess>();

export interface ServerCommand {
  name: string;
  port: number;
  /** Where it answers HTTP, metrics among it; undefined: nowhere. */
  httpPort?: number;
  /** Executable and arguments. */
  command: readonly string[];
  /** Undefined: any core. */
  core: number | undefined;
  /** Variables beside those that we have. */
  env?: Readonly<Record<string, string>>;
  /** Whether it answers, for servers without the standard health service; asked until it says yes. */
  ready?: (address: string) => Promise<boolean>;
}

export class ServerProcess {
  readonly name: string;
  readonly port: number;
  readonly httpPort: number | undefined;
  readonly pid: number;
  /** From the start of the process to SERVING. */
  startedInMs = 0;
  readonly #child: ChildProcess;
  readonly #logDirectory: string;
  #ended: Promise<void>;
  #hasEnded = false;

  private constructor({ name, port, httpPort, command, core, env }: ServerCommand) {
    this.name = name;
    this.port = port;
    this.httpPort = httpPort;
    this.#logDirectory = mkdtempSync(join(tmpdir(), 'scorewire-bench-'));
    const log = openSync(this.#logPath, 'w');
    const [executable, ...args] = pinned(core, command);
    this.#child = spawn(executable as string, args, {
      cwd: ROOT,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#hasEnded = true;
        running.delete(this);
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
    this.pid = this.#child.pid ?? -1;
    running.add(this);
  }

  /** Starts the command and waits until its health service says SERVING. */
  static async start(command: ServerCommand): Promise<ServerProcess> {
    const startedAt = performance.now();
    const server = new ServerProcess(command);
    try {
      const address = `${HOST}:${command.port}`;
      const { ready } = command;
      const gone = (): boolean => server.#hasEnded;
      if (ready === undefined) await waitUntilServing(address, START_LIMIT_MS, gone);
      else await waitUntil('ready', () => ready(address), START_LIMIT_MS, gone);
      server.startedInMs = performance.now() - startedAt;
      return server;
    } catch (error) {
      const tail = server.logTail();
      await server.stop();
      throw new Error(`${command.name}: ${(error as Error).message}\n${tail}`);
    }
  }

  /** The process and all that it has started. */
  pids(): number[] {
    return descendants(this.pid);
  }

  /** Peak resident memory, of all its processes together. */
  peakMiB(): number {
    return this.pids().reduce((sum, pid) => sum + (readProcessMemory(pid)?.peakResidentBytes ?? 0), 0) / 2 ** 20;
  }

  /** The end of what the server has logged. */
  logTail(): string {
    try {
      return readFileSync(this.#logPath, 'utf8').slice(-LOG_TAIL_CHARACTERS);
    } catch {
      return '';
    }
  }

  /** Undefined where the system doesn't tell. */
  memory(): ProcessMemory | undefined {
    return readProcessMemory(this.pid);
  }

  /** SIGTERM; SIGKILL where that doesn't end it in time. */
  async stop(): Promise<void> {
    if (!this.#hasEnded) {
      this.#child.kill('SIGTERM');
      const timer = setTimeout(() => {
        process.stderr.write(`${this.name} did not end within ${STOP_LIMIT_MS / 1000} s of SIGTERM\n`);
        this.#child.kill('SIGKILL');
      }, STOP_LIMIT_MS);
      await this.#ended;
      clearTimeout(timer);
    }
    rmSync(this.#logDirectory, { recursive: true, force: true });
  }

  get #logPath(): string {
    return join(this.#logDirectory, 'server.log');
  }
}

/** Stops what is still running: for the end of a run that was cut short. */
export async function stopAllServers(): Promise<void> {
  await Promise.all([...running].map((server) => server.stop()));
}

/** A port that nothing listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, HOST, () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
