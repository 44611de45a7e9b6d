// A whole server in this process: real sockets on free ports, real workers, settings as the command line makes them.

import { Writable } from 'node:stream';
import { ChannelCredentials } from '@grpc/grpc-js';
import { loadSettings } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import { type RunningServer, startServer } from '../../src/server.ts';
import { createLogger, type Logger } from '../../src/telemetry/log.ts';
import { parsePrometheus, type Sample } from '../unit/telemetry/prometheus-parser.ts';
import { TestClient } from './test-client.ts';

export type LogLine = { level: string; msg: string; [key: string]: unknown };

/** A log that tests can read: every line, parsed. */
export function testLog(level = 'info'): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  return { log: createLogger({ level: level as 'info', format: 'json' }, stream), lines };
}

/** What tests set unless they set it themselves: free ports, and budgets in which a slow machine sheds nothing. */
const DEFAULTS = ['server.port=0', 'server.http_port=0', 'batching.latency_budget_ms=60000'];

/** Settings as flags and `--set key=value` make them. */
export function testSettings(models: string, set: readonly string[] = []): Settings {
  const keyOf = (assignment: string) => assignment.slice(0, assignment.indexOf('=') + 1);
  const defaults = DEFAULTS.filter((one) => !set.some((other) => keyOf(other) === keyOf(one)));
  return loadSettings({ env: {}, flags: { models, set: [...defaults, ...set] } }).settings;
}

export class TestServer {
  readonly running: RunningServer;
  readonly lines: LogLine[];
  readonly client: TestClient;
  readonly #clients: TestClient[];

  private constructor(running: RunningServer, lines: LogLine[]) {
    this.running = running;
    this.lines = lines;
    this.client = new TestClient(this.address);
    this.#clients = [this.client];
  }

  /** `set` as in `--set key=value`. */
  static async start(models: string, set: readonly string[] = []): Promise<TestServer> {
    const { log, lines } = testLog();
    return new TestServer(await startServer(testSettings(models, set), log), lines);
  }

  get address(): string {
    return `127.0.0.1:${this.running.port}`;
  }

  /** One more client, with a connection of its own. */
  connect(credentials: ChannelCredentials = ChannelCredentials.createInsecure()): TestClient {
    const client = new TestClient(this.address, credentials);
    this.#clients.push(client);
    return client;
  }

  async http(path: string): Promise<{ status: number; type: string; body: string }> {
    const response = await fetch(`http://127.0.0.1:${this.running.httpPort}${path}`);
    return {
      status: response.status,
      type: response.headers.get('content-type') ?? '',
      body: await response.text(),
    };
  }

  /** Every sample on /metrics. */
  async samples(): Promise<Sample[]> {
    const { body } = await this.http('/metrics');
    return [...parsePrometheus(body).values()].flatMap((family) => family.samples);
  }

  /** The sum over all samples of this name whose labels include these. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return sumOf(await this.samples(), name, labels);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.running.drain();
  }
}

export function sumOf(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((total, sample) => total + sample.value, 0);
}
