// All workers: each has every session and is warm before it counts, and one that goes away is replaced by one.

import { expect, onTestFinished, test } from 'vitest';
import type { Worker } from '../../../src/workers/worker.ts';
import { LoadFailed, type SessionPlan, WorkerPool } from '../../../src/workers/worker-pool.ts';
import { eventually } from '../../support/concurrently.ts';
import { linear } from '../../support/onnx-builder.ts';

function plan(
  session: number,
  model = linear([1], session),
  warmUp: SessionPlan['warmUp'] = async () => {},
): SessionPlan {
  const bytes = new Uint8Array(new SharedArrayBuffer(model.length));
  bytes.set(model);
  return {
    session,
    file: `/models/m${session}/1/model.onnx`,
    source: { kind: 'bytes', bytes, externalDataDir: '/' },
    intraOpThreads: 1,
    warmUp,
  };
}

/** A pool and what it told, in order. */
function newPool(plans: readonly SessionPlan[]) {
  const told: string[] = [];
  const ready = new Set<Worker>();
  const pool = new WorkerPool(plans, {
    ready: (worker) => {
      ready.add(worker);
      told.push(`ready ${worker.id}`);
    },
    gone: (worker) => {
      ready.delete(worker);
      told.push(`gone ${worker.id}`);
    },
    sessionCreated: ({ session }) => told.push(`session ${session}`),
    replacementFailed: (error) => told.push(`failed ${(error as Error).message}`),
  });
  onTestFinished(() => pool.close());
  return { pool, told, ready };
}

const count = (told: readonly string[], start: string) => told.filter((line) => line.startsWith(start)).length;

/** Long enough for anything that is under way to show: a worker takes this way to be made. */
async function oneWorkerLater(): Promise<void> {
  const { pool } = newPool([plan(1)]);
  await pool.start(1);
  await pool.close();
}

test('starts as many as asked for, each with every session and warm', async () => {
  const warmed: string[] = [];
  const warmUp = (session: number) => async (worker: Worker) => {
    await worker.run({
      session,
      inputs: [{ name: 'x', type: 'float32', dims: [1, 1], data: Float32Array.of(0) }],
      outputs: ['score'],
    });
    warmed.push(`${worker.id}:${session}`);
  };
  const { pool, told, ready } = newPool([plan(1, undefined, warmUp(1)), plan(2, undefined, warmUp(2))]);
  await pool.start(3);
  expect(ready.size).toBe(3);
  expect(pool.workers.size).toBe(3);
  expect(count(told, 'session')).toBe(6);
  expect(warmed.sort()).toEqual(['1:1', '1:2', '2:1', '2:2', '3:1', '3:2']);
});

test('a model that onnxruntime refuses: LoadFailed with the file, and no worker is left', async () => {
  const { pool, told } = newPool([plan(1), plan(2, new Uint8Array([1, 2, 3]))]);
  const failed = pool.start(2);
  await expect(failed).rejects.toThrow(LoadFailed);
  await expect(failed).rejects.toThrow("/models/m2/1/model.onnx: onnxruntime can't load it: ");
  expect(pool.workers.size).toBe(0);
  expect(count(told, 'ready')).toBe(0);
});

test('one that goes is replaced by one, again and again', async () => {
  const { pool, told, ready } = newPool([plan(1)]);
  await pool.start(2);
  for (let round = 1; round <= 3; round++) {
    const [first] = ready;
    await first?.exit();
    expect(told.at(-1)).toBe(`gone ${first?.id}`);
    await eventually(() => ready.size === 2);
    expect(count(told, 'gone')).toBe(round);
    expect(count(told, 'session')).toBe(2 + round);
    expect(pool.workers.size).toBe(2);
  }
  expect(new Set([...ready].map(({ id }) => id)).size).toBe(2);
});

test('all at once are all replaced', async () => {
  const { pool, ready } = newPool([plan(1)]);
  await pool.start(3);
  await Promise.all([...ready].map((worker) => worker.exit()));
  await eventually(() => ready.size === 3);
  expect(pool.workers.size).toBe(3);
});

test('a replacement that goes before it is ready is tried again, and is one in the end', async () => {
  let toFail = 0;
  const warmUp = async (worker: Worker) => {
    if (toFail === 0) return;
    toFail--;
    await worker.exit();
  };
  const { pool, told, ready } = newPool([plan(1, undefined, warmUp), plan(2)]);
  await pool.start(1);
  toFail = 2;
  const [first] = ready;
  await first?.exit();
  await eventually(() => ready.size === 1);
  await oneWorkerLater();
  expect(pool.workers.size).toBe(1);
  expect(ready.size).toBe(1);
  // Only the one that was ready has gone; the others never came.
  expect(count(told, 'gone')).toBe(1);
  expect(count(told, 'failed')).toBe(2);
  // Why, is not the model's fault.
  expect(told.filter((line) => line.startsWith('failed')).join()).not.toContain("can't load");
});

test('so is one that goes while its last model warms up', async () => {
  let toFail = 0;
  const warmUp = async (worker: Worker) => {
    if (toFail === 0) return;
    toFail--;
    await worker.exit();
  };
  const { pool, told, ready } = newPool([plan(1, undefined, warmUp)]);
  await pool.start(1);
  toFail = 1;
  const [first] = ready;
  await first?.exit();
  await eventually(() => ready.size === 1);
  await oneWorkerLater();
  expect(pool.workers.size).toBe(1);
  expect(count(told, 'gone')).toBe(1);
  expect(count(told, 'failed')).toBe(1);
});

test('a worker that goes during the start fails the start', async () => {
  const { pool } = newPool([plan(1, undefined, (worker) => worker.exit())]);
  await expect(pool.start(2)).rejects.toThrow();
  await oneWorkerLater();
  expect(pool.workers.size).toBe(0);
});

test('nothing comes back after close', async () => {
  const { pool, told, ready } = newPool([plan(1)]);
  await pool.start(2);
  const [first] = ready;
  const exited = first?.exit();
  await pool.close();
  await exited;
  await oneWorkerLater();
  expect(pool.workers.size).toBe(0);
  expect(count(told, 'ready')).toBe(2);
});
