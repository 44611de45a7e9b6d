// Workers that go away between runs, with calls under way: every call gets its answer or one UNAVAILABLE, the worker is
// replaced, and health tells the truth meanwhile.

import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import type { Worker } from '../../src/workers/worker.ts';
import { eventually } from '../support/concurrently.ts';
import { folderOf, modelFolder } from '../support/model-folder.ts';
import { linear, onnxModel, slowLinear } from '../support/onnx-builder.ts';
import { failureOf, takeApart } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;

afterEach(() => server.stop());

/** `slowness`: of one model; its runs and, as a worker is warm only after three of them, every replacement. */
async function start(workers: number, slowness = 2000): Promise<void> {
  const folder = await modelFolder({
    risk: linear([1], 0),
    slow: [slowLinear([1], 0, slowness), 'batching: { enabled: false }'],
  });
  server = await TestServer.start(folder, [`workers.count=${workers}`]);
}

const sessions = () => server.metric('scorewire_sessions_created_total');
const restarts = () => server.metric('scorewire_worker_restarts_total');
const MODELS = 2;
const ROUNDS = 2;

function anyWorker(): Worker {
  const [worker] = server.running.engine.pool.workers;
  return worker as Worker;
}

/** Tells the worker to exit, behind a run of which the scheduler knows nothing: what it hands over next comes too late. */
function exitUnseen(worker: Worker): Promise<unknown> {
  const { session } = server.running.engine.models.get('slow');
  const x = { name: 'x', type: 'float32', dims: [1, 1], data: Float32Array.of(0) } as const;
  return Promise.all([worker.run({ session, inputs: [x], outputs: ['score'] }), worker.exit()]);
}

type Tally = { ok: number; unavailable: number };

/** Calls one after the other on so many lanes, until told to stop; anything but OK and WORKER_EXITED fails. */
function load(lanes: number): { stop: () => Promise<Tally>; tally: Tally } {
  const tally: Tally = { ok: 0, unavailable: 0 };
  let stopped = false;
  const lane = async () => {
    while (!stopped) {
      try {
        const { score } = await server.client.score('risk', [0]);
        expect(score).toBe(0.5);
        tally.ok++;
      } catch (error) {
        const failure = takeApart(error as ServiceError);
        expect(failure.code).toBe('UNAVAILABLE');
        expect(['WORKER_EXITED', 'NO_WORKER']).toContain(failure.reason);
        tally.unavailable++;
      }
    }
  };
  const lanesDone = Promise.all(Array.from({ length: lanes }, lane));
  return {
    tally,
    stop: async () => {
      stopped = true;
      await lanesDone;
      return tally;
    },
  };
}

test('under load, again and again: each call has one answer, and in the end all is as before', async () => {
  await start(2);
  const running = load(16);
  for (let round = 1; round <= ROUNDS; round++) {
    const { ok } = running.tally;
    await eventually(() => running.tally.ok > ok + 100);
    await anyWorker().exit();
    await eventually(() => server.running.engine.readyWorkers() === 2);
    expect(await restarts()).toBe(round);
    expect(await sessions()).toBe((2 + round) * MODELS);
  }
  const { ok, unavailable } = await running.stop();
  expect(ok).toBeGreaterThan(ROUNDS * 100);
  // With one of two workers left there always was somebody to serve; what a worker took along was at most its batch.
  expect(unavailable).toBeLessThanOrEqual(ROUNDS * 16);
  expect((await server.client.score('risk', [0])).score).toBe(0.5);
  expect(server.running.engine.pool.workers.size).toBe(2);
  expect(server.running.engine.scheduler.idleWorkers).toBe(2);
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
  expect(await server.metric('scorewire_workers', { state: 'ready' })).toBe(2);
});

test('the last worker: NOT_SERVING until there is one again', async () => {
  await start(1);
  const watches = ['', 'risk'].map((service) => server.client.watch(service));
  for (const watch of watches) expect((await watch.next()).value).toBe('SERVING');
  for (let round = 1; round <= 2; round++) {
    const gone = anyWorker().exit();
    for (const watch of watches) expect((await watch.next()).value).toBe('NOT_SERVING');
    for (const watch of watches) expect((await watch.next()).value).toBe('SERVING');
    await gone;
    expect((await server.client.score('risk', [0])).score).toBe(0.5);
    expect(await sessions()).toBe((1 + round) * MODELS);
  }
  for (const watch of watches) await watch.return(undefined);
});

test('with no worker a call is refused at once, and told when to come back', async () => {
  await start(1, 10_000);
  expect(await server.client.check()).toBe('SERVING');
  await anyWorker().exit();
  expect(await failureOf(server.client.score('risk', [0]))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'NO_WORKER',
    retryMs: 100,
  });
  expect(await server.http('/readyz')).toMatchObject({ status: 503, body: 'NOT_SERVING\n' });
  expect(await server.http('/livez')).toMatchObject({ status: 200 });
  await eventually(() => server.running.engine.readyWorkers() === 1);
  expect((await server.client.score('risk', [0])).score).toBe(0.5);
});

test('rows that were queued when the last worker went are answered by its successor', async () => {
  await start(1, 10_000);
  await server.client.check();
  const exited = exitUnseen(anyWorker());
  const lost = failureOf(server.client.score('risk', [0]));
  await eventually(() => server.running.engine.scheduler.running === 1);
  const queued = Array.from({ length: 40 }, () => server.client.score('risk', [0]));
  expect((await lost).reason).toBe('WORKER_EXITED');
  for (const answer of await Promise.all(queued)) expect(answer.score).toBe(0.5);
  await exited;
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
});

test('a worker that goes with a request in its hands: one UNAVAILABLE, and the request is not run again', async () => {
  await start(1, 10_000);
  await server.client.check();
  const before = await server.metric('scorewire_batch_rows_sum', { model: 'risk' });
  const exited = exitUnseen(anyWorker());
  expect(await failureOf(server.client.score('risk', [0]))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'WORKER_EXITED',
    metadata: { worker: '1' },
  });
  await exited;
  await eventually(() => server.running.engine.readyWorkers() === 1);
  expect(await server.metric('scorewire_batch_rows_sum', { model: 'risk' })).toBe(before);
});

test('a worker that can not be replaced is tried again until it can', async () => {
  // Weights in a data file are read anew by each worker.
  const risk = onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: [{ name: 'w', type: 'float32', dims: [1], external: { location: 'weights' } }],
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['score'] }],
  });
  const weights = new Uint8Array(Float32Array.of(0.5).buffer);
  const folder = await folderOf({ 'risk/1/model.onnx': risk, 'risk/1/weights': weights });
  server = await TestServer.start(folder, ['workers.count=1']);
  const file = join(folder, 'risk', '1', 'weights');
  await rename(file, `${file}.away`);
  await anyWorker().exit();
  const failures = () => server.lines.filter(({ msg }) => msg === 'a worker could not be replaced').length;
  await eventually(() => failures() >= 2);
  expect(await server.client.check()).toBe('NOT_SERVING');
  expect((await failureOf(server.client.score('risk', [0]))).reason).toBe('NO_WORKER');
  await rename(`${file}.away`, file);
  await eventually(() => server.running.engine.readyWorkers() === 1);
  expect((await server.client.score('risk', [0])).score).toBe(0.5);
  expect(server.running.engine.pool.workers.size).toBe(1);
});

test('a model file that was overwritten since the start is served as it was, under its digest', async () => {
  await start(1);
  const file = server.running.engine.models.get('risk').spec.file;
  await writeFile(file, linear([1], 5));
  await anyWorker().exit();
  await eventually(() => server.lines.some(({ msg }) => msg === 'a worker was replaced'));
  expect((await server.client.score('risk', [0])).score).toBe(0.5);
});

test('the log says that one went, and that one came', async () => {
  await start(1);
  await anyWorker().exit();
  await eventually(() => server.running.engine.readyWorkers() === 1);
  const messages = server.lines.map(({ level, msg }) => `${level}: ${msg}`);
  expect(messages).toContain('error: a worker exited; another one is starting');
  expect(messages).toContain('info: a worker was replaced');
});

test('drained while a worker is being replaced: it ends', async () => {
  await start(2);
  await anyWorker().exit();
  expect(await server.running.drain()).toBe(true);
  expect(server.running.engine.pool.workers.size).toBe(0);
});

test('drained while a worker goes: it ends', async () => {
  await start(1);
  const exited = anyWorker().exit();
  expect(await server.running.drain()).toBe(true);
  await exited;
});
