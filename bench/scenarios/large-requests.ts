// Requests of 50 MB, and what callers of single rows feel of them.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { FlowPlan } from '../../src/bench/plan.ts';
import type { LoadReport } from '../../src/bench/report.ts';
import { type LargeRequest, largeInfers, largeRequests, smallRequests } from '../harness/large-requests.ts';
import { SCORE_BATCH_PATH, SCORE_PATH } from '../harness/requests.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startScorewire } from '../harness/servers.ts';
import { EXAMPLE_MODELS, HOST } from '../harness/settings.ts';
import { poisson, ratios, type Scenario, type Suite } from '../harness/suite.ts';

const HOLDS = fileURLToPath(new URL('../servers/loop-holds.ts', import.meta.url));
const SINGLE_PER_SECOND = 300;
const MAX_P99_MS = 20;
/** Of ModelInfer, which has no chunks to take turns with. */
const MAX_INFER_P99_MS = 100;
const INFER_SENDER = fileURLToPath(new URL('../clients/large-infer.ts', import.meta.url));
/** A large request takes seconds to score. */
const SECONDS_FACTOR = 2;

interface Feeling {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  holdMs: number;
  holdCpuMs: number;
}

export const largeMessages: Scenario = {
  name: 'large-requests',
  title: `single calls at ${SINGLE_PER_SECOND}/s beside ScoreBatch and ModelInfer requests of 50 MB, one after the other`,
  async run(suite: Suite) {
    const quiet: Feeling[] = [];
    const beside = new Map<string, Feeling[]>();
    const taken = new Map<string, number[]>();
    const requests = largeRequests();
    for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
      const folder = mkdtempSync(join(tmpdir(), 'scorewire-bench-'));
      const holds = join(folder, 'holds.json');
      const server = await startScorewire({
        models: EXAMPLE_MODELS,
        nodeFlags: ['--import', HOLDS],
        env: { LOOP_HOLDS: holds },
      });
      try {
        const single = { ...smallFlow(), shape: poisson(SINGLE_PER_SECOND, repetition + 1) };
        const measure = (large?: Sender) => measured(suite, server, holds, single, large);
        await suite.load(server, [{ ...single, shape: { kind: 'closed', inFlight: 16 } }]);
        quiet.push((await measure()).feeling);
        for (const request of requests) {
          const { feeling, megabytesPerSecond } = await measure((seconds) =>
            sendBatches(suite, server, request, seconds),
          );
          add(beside, request.kind, feeling);
          add(taken, request.kind, megabytesPerSecond);
        }
        for (const { kind } of largeInfers()) {
          const { feeling, megabytesPerSecond } = await measure((seconds) => sendInfers(server, kind, seconds));
          add(beside, kind, feeling);
          add(taken, kind, megabytesPerSecond);
        }
      } finally {
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      }
    }
    const figures = (name: string, list: readonly Feeling[], mark: boolean): void => {
      const value = name.includes('ModelInfer') ? MAX_INFER_P99_MS : MAX_P99_MS;
      const limit = { relation: 'at most', value } as const;
      suite.figure(`${name}, p50`, 'ms', pick(list, 'p50Ms'));
      suite.figure(`${name}, p99`, 'ms', pick(list, 'p99Ms'), mark ? limit : undefined);
      suite.figure(`${name}, longest`, 'ms', pick(list, 'maxMs'));
      suite.figure(`${name}, longest hold of the event loop`, 'ms', pick(list, 'holdMs'));
      suite.figure(`${name}, most CPU in one hold`, 'ms', pick(list, 'holdCpuMs'));
    };
    figures('quiet', quiet, false);
    for (const [kind, list] of beside) {
      figures(`beside ${kind}`, list, true);
      suite.figure(`beside ${kind} / quiet, p99`, 'ratio', ratios(pick(list, 'p99Ms'), pick(quiet, 'p99Ms')));
      suite.figure(`${kind}, taken and scored`, 'MB/s', taken.get(kind) as number[]);
    }
  },
};

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  lists.set(key, [...(lists.get(key) ?? []), value]);
}

function pick(list: readonly Feeling[], key: keyof Feeling): number[] {
  return list.map((one) => one[key]);
}

function smallFlow(): Omit<FlowPlan, 'shape'> {
  return { name: 'breast-cancer', path: SCORE_PATH, messages: smallRequests(), connections: 1, sampleEvery: 0 };
}

/** Sends large requests for so many seconds; resolves with the bytes that were answered. */
type Sender = (seconds: number) => Promise<number>;

async function sendBatches(
  suite: Suite,
  server: ServerProcess,
  request: LargeRequest,
  seconds: number,
): Promise<number> {
  const { flows } = await suite.load(server, [largeFlow(request)], { seconds });
  return (flows[0]?.answers.count ?? 0) * request.message.length;
}

async function sendInfers(server: ServerProcess, kind: string, seconds: number): Promise<number> {
  const address = `${HOST}:${server.port}`;
  const { stdout } = await promisify(execFile)(process.execPath, [INFER_SENDER, address, String(seconds), kind]);
  const { calls, failures, bytes } = JSON.parse(stdout) as { calls: number; failures: string[]; bytes: number };
  if (failures.length > 0) throw new Error(`${kind}: ${failures[0]}`);
  return calls * bytes;
}

async function measured(
  suite: Suite,
  server: ServerProcess,
  holdsFile: string,
  single: FlowPlan,
  large: Sender | undefined,
): Promise<{ feeling: Feeling; megabytesPerSecond: number }> {
  const seconds = SECONDS_FACTOR * suite.settings.seconds;
  // By a process of its own: whoever writes 50 MB can't tell when an answer came.
  const sender = large?.(seconds);
  await longestHold(server, holdsFile);
  const report = await suite.load(server, [single], { seconds });
  const hold = await longestHold(server, holdsFile);
  const { p50Us, p99Us, maxUs } = (report.flows[0] as LoadReport['flows'][number]).answers;
  const megabytesPerSecond = ((await sender) ?? 0) / 1e6 / seconds;
  return {
    feeling: {
      p50Ms: p50Us / 1000,
      p99Ms: p99Us / 1000,
      maxMs: maxUs / 1000,
      holdMs: hold.maxMs,
      holdCpuMs: hold.maxCpuMs,
    },
    megabytesPerSecond,
  };
}

function largeFlow({ kind, message, rows }: LargeRequest): FlowPlan {
  return {
    name: `50 MB, ${kind}`,
    path: SCORE_BATCH_PATH,
    rpc: { kind: 'bulk', rows },
    messages: [message],
    connections: 1,
    shape: { kind: 'closed', inFlight: 1 },
    sampleEvery: 0,
  };
}

/** Since the last time it was asked. */
async function longestHold(server: ServerProcess, file: string): Promise<{ maxMs: number; maxCpuMs: number }> {
  rmSync(file, { force: true });
  process.kill(server.pid, 'SIGUSR2');
  for (;;) {
    await sleep(20);
    try {
      return JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      // Not written yet.
    }
  }
}
