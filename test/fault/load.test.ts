// What goes wrong while a model is loaded: the server serves on, and is whole in the end.

import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/concurrently.ts';
import { callers, indexOf, load, put, unload } from '../support/model-changes.ts';
import { folderOf } from '../support/model-folder.ts';
import { linear, onnxModel, slowLinear } from '../support/onnx-builder.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;
let folder: string;

afterEach(() => server.stop());

async function start(files: Readonly<Record<string, string | Uint8Array>>, workers: number): Promise<void> {
  folder = await folderOf(files);
  server = await TestServer.start(folder, ['models.control=explicit', `workers.count=${workers}`]);
}

/** Warms up long enough to be met on its way. */
const SLOW = slowLinear([1], 0, 400);

const building = () =>
  [...server.running.engine.pool.workers].find((worker) => worker.id > server.running.engine.readyWorkers());

test('the worker that loads it goes away: another one loads it, and no call fails', async () => {
  await start({ 'risk/1/model.onnx': linear([1], 0) }, 2);
  const calling = callers(server, 'risk', [0]);
  await put(folder, 'slow/1/model.onnx', SLOW);
  const loading = load(server, 'slow');
  await eventually(() => server.running.engine.pool.workers.size === 3);
  await building()?.exit();
  await loading;
  await calling.answered(20);
  await calling.stop();
  expect(calling.failures).toEqual([]);
  expect((await server.client.score('slow', [0])).score).toBe(0.5);
  await eventually(() => server.running.engine.pool.workers.size === 2);
  expect(server.running.engine.readyWorkers()).toBe(2);
});

test('a worker that serves goes away meanwhile: its place is taken, and all workers have the model', async () => {
  await start({ 'risk/1/model.onnx': linear([1], 0) }, 2);
  await put(folder, 'slow/1/model.onnx', SLOW);
  const loading = load(server, 'slow');
  await eventually(() => server.running.engine.pool.workers.size === 3);
  const [serving] = server.running.engine.pool.workers;
  await serving?.exit();
  await loading;
  await eventually(() => server.running.engine.readyWorkers() === 2 && server.running.engine.pool.workers.size === 2);
  const { session } = server.running.engine.models.get('slow');
  const x = { name: 'x', type: 'float32', dims: [1, 1], data: Float32Array.of(0) } as const;
  for (const worker of server.running.engine.pool.workers)
    await worker.run({ session, inputs: [x], outputs: ['score'] });
  expect(indexOf(server)).toEqual(['risk 1 READY', 'slow 1 READY']);
});

test('the server is shut down meanwhile: the load is given up, and nothing is left', async () => {
  await start({ 'risk/1/model.onnx': linear([1], 0) }, 1);
  await put(folder, 'slow/1/model.onnx', slowLinear([1], 0, 4000));
  const loading = failureOf(promised((done) => server.client.models.loadModel({ model: 'slow' }, done)));
  const waiting = failureOf(promised((done) => server.client.models.loadModel({ model: 'slow' }, done)));
  await eventually(() => server.running.engine.pool.workers.size === 2);
  await server.running.drain();
  expect((await loading).code).toBe('UNAVAILABLE');
  expect((await waiting).code).toBe('UNAVAILABLE');
  expect(server.running.engine.pool.workers.size).toBe(0);
});

test('a model whose weights are gone since: it is served on, nothing can be loaded beside it, and the reason says so', async () => {
  // Weights in a data file are read anew by each worker.
  const heavy = onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: [{ name: 'w', type: 'float32', dims: [1], external: { location: 'weights' } }],
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['score'] }],
  });
  const weights = new Uint8Array(Float32Array.of(0.5).buffer);
  await start({ 'heavy/1/model.onnx': heavy, 'heavy/1/weights': weights }, 1);
  const calling = callers(server, 'heavy', [0]);
  const file = join(folder, 'heavy/1/weights');
  await rename(file, `${file}.away`);
  await put(folder, 'risk/1/model.onnx', linear([1], 0));
  const failed = await failureOf(promised((done) => server.client.models.loadModel({ model: 'risk' }, done)));
  expect(failed).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'LOAD_FAILED' });
  expect(failed.message).toContain(join('heavy', '1', 'model.onnx'));
  await calling.answered(20);
  await calling.stop();
  expect(calling.failures).toEqual([]);
  await rename(`${file}.away`, file);
  await load(server, 'risk');
  expect((await server.client.score('heavy', [0])).score).toBe(0.5);
  expect((await server.client.score('risk', [0])).score).toBe(0.5);
});

test('a folder that goes before it is loaded again: the model is unloaded by who asks, and only then', async () => {
  await start({ 'risk/1/model.onnx': linear([1], 0), 'other/1/model.onnx': linear([1], 0) }, 1);
  await rm(join(folder, 'risk'), { recursive: true });
  const failed = await failureOf(promised((done) => server.client.models.loadModel({ model: 'risk' }, done)));
  expect(failed).toMatchObject({ code: 'NOT_FOUND', reason: 'MODEL_NOT_FOUND' });
  expect((await server.client.score('risk', [0])).score).toBe(0.5);
  await unload(server, 'risk');
  await eventually(() => indexOf(server).includes('risk 1 UNAVAILABLE unloaded'));
});
