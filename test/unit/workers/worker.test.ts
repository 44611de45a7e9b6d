// One thread with its sessions: what it answers, and what becomes of its requests when it goes.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { Tensor } from '../../../src/tensor.ts';
import type { NamedTensor } from '../../../src/workers/messages.ts';
import { RunFailed, Worker } from '../../../src/workers/worker.ts';
import { tempFolder } from '../../support/model-folder.ts';
import { gatherRow, identityText, linear, slowLinear } from '../../support/onnx-builder.ts';

function newWorker(onExit: (worker: Worker) => void = () => {}): Worker {
  const worker = new Worker(1, onExit);
  onTestFinished(() => worker.close());
  return worker;
}

function bytesOf(bytes: Uint8Array) {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return { kind: 'bytes', bytes: shared, externalDataDir: '/' } as const;
}

async function loaded(model: Uint8Array, onExit?: (worker: Worker) => void): Promise<Worker> {
  const worker = newWorker(onExit);
  await worker.load({ session: 1, source: bytesOf(model), intraOpThreads: 1 });
  return worker;
}

const floats = (values: number[], width = 1): NamedTensor => ({
  name: 'x',
  type: 'float32',
  dims: [values.length / width, width],
  data: Float32Array.from(values),
});

const run = (worker: Worker, ...inputs: NamedTensor[]) => worker.run({ session: 1, inputs, outputs: ['score'] });

/** How a promise ends, at once known to be handled. */
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'OK',
    (error) => (error instanceof ScorewireError ? `${error.kind} ${error.reason}` : error),
  );

test('runs several rows at once', async () => {
  const worker = await loaded(linear([1, -1], 0));
  const reply = await run(worker, floats([0, 0, 1, 0, 0, 1], 2));
  expect(reply.outputs[0]).toMatchObject({ type: 'float32', dims: [3, 1] });
  const [half, above, below] = Array.from((reply.outputs[0] as Tensor).data as Float32Array);
  expect(half).toBe(0.5);
  expect(above).toBeCloseTo(0.731, 3);
  expect(below).toBeCloseTo(0.269, 3);
  expect(reply.runUs).toBeGreaterThan(0);
});

test('gives a run the inputs that it does not bring, and those of no other session', async () => {
  const worker = newWorker();
  const source = bytesOf(identityText());
  const text = (value: string): NamedTensor => ({ name: 'text', type: 'string', dims: [1, 1], data: [value] });
  await worker.load({ session: 1, source, intraOpThreads: 1, defaults: [text('yes')] });
  await worker.load({ session: 2, source, intraOpThreads: 1, defaults: [text('maybe')] });
  const echo = async (session: number, ...inputs: NamedTensor[]) =>
    (await worker.run({ session, inputs, outputs: ['echo'] })).outputs[0]?.data;
  expect(await echo(1)).toEqual(['yes']);
  expect(await echo(1, text('no'))).toEqual(['no']);
  expect(await echo(2)).toEqual(['maybe']);
  expect(await echo(1)).toEqual(['yes']);
});

test('loads from a file as from bytes, and keeps sessions apart', async () => {
  const file = join(await tempFolder(), 'model.onnx');
  await writeFile(file, linear([1], 5));
  const worker = await loaded(linear([1], 0));
  await worker.load({ session: 2, source: { kind: 'file', path: file }, intraOpThreads: 1 });
  const [first, second] = [
    await run(worker, floats([0])),
    await worker.run({ session: 2, inputs: [floats([0])], outputs: ['score'] }),
  ];
  expect(first.outputs[0]?.data[0]).toBe(0.5);
  expect(second.outputs[0]?.data[0]).toBeCloseTo(0.9933, 4);
});

test('texts go there and back, outputs in the order asked for', async () => {
  const worker = await loaded(identityText());
  const input: NamedTensor = { name: 'text', type: 'string', dims: [2, 1], data: ['yes', 'nö 🎉'] };
  const reply = await worker.run({ session: 1, inputs: [input], outputs: ['score', 'echo'] });
  expect(Array.from((reply.outputs[0] as Tensor).data as Float32Array)).toEqual([1, 0]);
  expect(reply.outputs[1]).toMatchObject({ type: 'string', dims: [2, 1], data: ['yes', 'nö 🎉'] });
});

test('a run that onnxruntime refuses: RunFailed with its words, and the worker is well', async () => {
  const worker = await loaded(gatherRow());
  const index = (value: number): NamedTensor => ({
    name: 'index',
    type: 'int64',
    dims: [1, 1],
    data: BigInt64Array.of(BigInt(value)),
  });
  await expect(run(worker, index(99))).rejects.toThrow(RunFailed);
  await expect(run(worker, index(99))).rejects.toThrow(/out of data bounds/);
  expect((await run(worker, index(1))).outputs[0]?.data[0]).toBe(0.25);
  expect(worker.alive).toBe(true);
});

test('an input of another shape, type or name: RunFailed', async () => {
  const worker = await loaded(linear([1, -1], 0));
  await expect(run(worker, floats([1], 1))).rejects.toThrow(RunFailed);
  await expect(run(worker, { ...floats([1, 2], 2), name: 'y' })).rejects.toThrow(RunFailed);
  await expect(run(worker, { ...floats([1, 2], 2), type: 'int64', data: BigInt64Array.of(1n, 2n) })).rejects.toThrow(
    RunFailed,
  );
  await expect(worker.run({ session: 1, inputs: [floats([1, 2], 2)], outputs: ['nothing'] })).rejects.toThrow(
    RunFailed,
  );
});

test('a session that was never loaded: RunFailed', async () => {
  const worker = await loaded(linear([1], 0));
  await expect(worker.run({ session: 7, inputs: [floats([0])], outputs: ['score'] })).rejects.toThrow(RunFailed);
});

test('a model that onnxruntime refuses: RunFailed with its words', async () => {
  const worker = newWorker();
  const source = bytesOf(new Uint8Array([1, 2, 3]));
  await expect(worker.load({ session: 1, source, intraOpThreads: 1 })).rejects.toThrow(RunFailed);
  await expect(worker.load({ session: 1, source, intraOpThreads: 1 })).rejects.toThrow(/protobuf/i);
  expect(worker.alive).toBe(true);
});

test('is busy while it runs', async () => {
  const worker = await loaded(linear([1], 0));
  expect(worker.busy).toBe(false);
  const running = run(worker, floats([0]));
  expect(worker.busy).toBe(true);
  await running;
  expect(worker.busy).toBe(false);
});

test('exits between runs: tells so once, and takes no more', async () => {
  const exits: Worker[] = [];
  const worker = await loaded(linear([1], 0), (gone) => exits.push(gone));
  await worker.exit();
  expect(exits).toEqual([worker]);
  expect(worker.alive).toBe(false);
  expect(await outcome(run(worker, floats([0])))).toBe('unavailable WORKER_EXITED');
  await worker.close();
  await worker.exit();
  expect(exits).toHaveLength(1);
});

test('a run under way when it is told to exit ends first', async () => {
  const worker = await loaded(slowLinear([1], 0, 2000));
  const running = run(worker, floats([0]));
  const exited = worker.exit();
  expect((await running).outputs[0]?.data[0]).toBe(0.5);
  await exited;
  expect(worker.alive).toBe(false);
});

test('a run that waits behind its exit: UNAVAILABLE, and never run by another thread', async () => {
  const exits: Worker[] = [];
  const worker = await loaded(linear([1], 0), (gone) => exits.push(gone));
  const exited = worker.exit();
  expect(await outcome(run(worker, floats([0])))).toBe('unavailable WORKER_EXITED');
  await exited;
  expect(exits).toEqual([worker]);
});

test('closes after the run under way, and is not replaced', async () => {
  const exits: Worker[] = [];
  const worker = await loaded(slowLinear([1], 0, 2000), (gone) => exits.push(gone));
  const running = run(worker, floats([0]));
  const closed = worker.close();
  expect((await running).outputs[0]?.data[0]).toBe(0.5);
  await closed;
  expect(exits).toEqual([]);
  expect(worker.alive).toBe(false);
  expect(await outcome(run(worker, floats([0])))).toBe('unavailable WORKER_EXITED');
});
