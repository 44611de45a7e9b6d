// A redis-server of a scenario's own: on a free port, keeping nothing on disk, ended by the scenario.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { Redis } from 'ioredis';
import { pinned } from '../../src/bench/pinning.ts';
import { freePort } from './server-process.ts';
import { CLIENT_CORE, HOST } from './settings.ts';

const RETRY_MS = 20;

export interface RedisCounts {
  /** Commands of all clients. */
  commands: number;
  /** Keys that were asked for and there; one MGET asks for many. */
  keysFound: number;
}

export class RedisProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #client: Redis;

  static get isInstalled(): boolean {
    return spawnSync('redis-server', ['--version']).status === 0;
  }

  /** On the client's core: what our server does must not wait for it. */
  static async start(): Promise<RedisProcess> {
    const port = await freePort();
    const nothingKept = ['--save', '', '--appendonly', 'no', '--dir', tmpdir()];
    const command = ['redis-server', '--bind', HOST, '--port', String(port), ...nothingKept];
    const [executable, ...args] = pinned(CLIENT_CORE, command);
    const redis = new RedisProcess(port, spawn(executable as string, args, { stdio: 'ignore' }));
    await redis.#client.ping();
    return redis;
  }

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    this.#client = new Redis(port, HOST, { retryStrategy: () => RETRY_MS, maxRetriesPerRequest: 250 });
    // It says so until the server listens.
    this.#client.on('error', () => {});
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  async set(key: string, value: string): Promise<void> {
    await this.#client.set(key, value);
  }

  async counts(): Promise<RedisCounts> {
    const info = await this.#client.info('stats');
    const read = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
    return { commands: read('total_commands_processed'), keysFound: read('keyspace_hits') };
  }

  async stop(): Promise<void> {
    this.#client.disconnect();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}
