// A redis-server of a test's own, on a free port, that keeps nothing and ends with the file's tests.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { afterAll, describe, type SuiteFactory } from 'vitest';
import type { Pair } from './certificates.ts';
import { eventually } from './concurrently.ts';
import { accepts, freePort } from './free-port.ts';
import { tempFolder } from './model-folder.ts';

export type RedisServerOptions = {
  /** One that a server had before, to come back where it was; else a free one. */
  port?: number;
  /** As redis-server takes it, such as `8mb`; what is full refuses to store more. */
  maxmemory?: string;
  /** It then speaks TLS alone, and shows this certificate. */
  tls?: Pair & { ca: string };
  /** More arguments of redis-server. */
  args?: readonly string[];
};

const started: RedisServer[] = [];

afterAll(async () => {
  for (const server of started.splice(0)) await server.stop();
});

const installed = spawnSync('redis-server', ['--version']).status === 0;

/** Tests with a real redis-server; where there is none they are skipped, under a name that says so. */
export function describeWithRedis(name: string, tests: SuiteFactory): void {
  if (installed) describe(name, tests);
  else describe.skip(`${name} (needs redis-server: apt-get install redis-server)`, tests);
}

export class RedisServer {
  readonly port: number;
  readonly url: string;
  readonly #process: ChildProcess;

  static async start({ port, maxmemory, tls, args = [] }: RedisServerOptions = {}): Promise<RedisServer> {
    const chosen = port ?? (await freePort());
    const memory = maxmemory === undefined ? [] : ['--maxmemory', maxmemory];
    const nothingKept = ['--save', '', '--appendonly', 'no', '--dir', await tempFolder()];
    const where = ['--bind', '127.0.0.1', ...(tls === undefined ? ['--port', `${chosen}`] : tlsArguments(chosen, tls))];
    const child = spawn('redis-server', [...where, ...nothingKept, ...memory, ...args], { stdio: 'ignore' });
    const server = new RedisServer(chosen, child, tls === undefined ? 'redis' : 'rediss');
    started.push(server);
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`redis-server exited with ${child.exitCode}`);
      return accepts(chosen);
    });
    return server;
  }

  private constructor(port: number, child: ChildProcess, protocol: string) {
    this.port = port;
    this.url = `${protocol}://127.0.0.1:${port}`;
    this.#process = child;
  }

  /** A plain client, to look behind what is tested; whoever asks for it disconnects it. */
  client(): Redis {
    return new Redis(this.url);
  }

  /** From now on it takes connections and answers nothing. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  /** As a machine dies: at once, its data gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    this.resume();
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill(signal);
    await exited;
  }
}

function tlsArguments(port: number, { cert, key, ca }: Pair & { ca: string }): string[] {
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca];
  return ['--port', '0', '--tls-port', `${port}`, ...files, '--tls-auth-clients', 'no'];
}
