// All workers: each has every session and is warm before it counts, and one that goes away is replaced by one.

import { expect, onTestFinished, test, vi } from 'vitest';
import type { Worker } from '../../../src/workers/worker.ts';
import { LoadFailed, PoolClosed, type SessionPlan, WorkerPool } from '../../../src/workers/worker-pool.ts';
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
function newPool(mayGo: Promise<void> = Promise.resolve()) {
  const told: string[] = [];
  const ready = new Set<Worker>();
  const pool = new WorkerPool({
    ready: (worker) => {
      ready.add(worker);
      told.push(`ready ${worker.id}`);
    },
    gone: (worker) => {
      ready.delete(worker);
      told.push(`gone ${worker.id}`);
    },
    retired: async (worker) => {
      ready.delete(worker);
      told.push(`retired ${worker.id}`);
      await mayGo;
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
  const { pool } = newPool();
  await pool.start(1, [plan(1)]);
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
  const { pool, told, ready } = newPool();
  await pool.start(3, [plan(1, undefined, warmUp(1)), plan(2, undefined, warmUp(2))]);
  expect(ready.size).toBe(3);
  expect(pool.workers.size).toBe(3);
  expect(count(told, 'session')).toBe(6);
  expect(warmed.sort()).toEqual(['1:1', '1:2', '2:1', '2:2', '3:1', '3:2']);
});

/** A model that onnxruntime refuses. */
const broken = (session: number) => plan(session, new Uint8Array([1, 2, 3]));

const run = (worker: Worker | undefined, session: number) =>
  (worker as Worker).run({
    session,
    inputs: [{ name: 'x', type: 'float32', dims: [1, 1], data: Float32Array.of(0) }],
    outputs: ['score'],
  });

test('a model that onnxruntime refuses: LoadFailed with the file, and the workers have all others', async () => {
  const { pool, ready } = newPool();
  const refused = broken(2);
  const failed = await pool.start(2, [plan(1), refused, plan(3)]);
  expect([...failed.keys()]).toEqual([refused]);
  expect(failed.get(refused)).toBeInstanceOf(LoadFailed);
  expect(failed.get(refused)?.message).toContain("/models/m2/1/model.onnx: onnxruntime can't load it: ");
  expect(ready.size).toBe(2);
  for (const worker of ready) {
    await run(worker, 1);
    await run(worker, 3);
    await expect(run(worker, 2)).rejects.toThrow('session 2 is not loaded');
  }
});

test('sessions that come later are in fresh workers, which take the place of the others one by one', async () => {
  const { pool, told, ready } = newPool();
  await pool.start(2, [plan(1)]);
  const [refused, measured] = [broken(3), vi.fn(async () => {})];
  const added = plan(2);
  const failed = await pool.add([added, refused], measured);
  expect([...failed.keys()]).toEqual([refused]);
  expect(measured).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ id: 3 }), [added]);
  expect([...ready].map(({ id }) => id)).toEqual([3, 4]);
  await eventually(() => pool.workers.size === 2);
  for (const worker of ready) await Promise.all([run(worker, 1), run(worker, 2)]);
  // Never one less than there should be, and never two more.
  const changes = told.filter((line) => /^(ready|retired) /.test(line));
  expect(changes.slice(2)).toEqual([
    'ready 3',
    expect.stringMatching(/^retired/),
    'ready 4',
    expect.stringMatching(/^retired/),
  ]);
  expect(count(told, 'gone')).toBe(0);
});

test('while they have long runs, the next fresh one waits: there is one worker more and no second one', async () => {
  let go = () => {};
  const { pool, told } = newPool(
    new Promise<void>((resolve) => {
      go = resolve;
    }),
  );
  await pool.start(2, [plan(1)]);
  const added = pool.add([plan(2)], async () => {});
  await eventually(() => count(told, 'retired') === 1);
  await oneWorkerLater();
  expect(pool.workers.size).toBe(3);
  expect(count(told, 'session 2')).toBe(1);
  go();
  await added;
  await eventually(() => pool.workers.size === 2);
  expect(count(told, 'session 2')).toBe(2);
});

test('where none of them can be created, the workers stay', async () => {
  const { pool, told, ready } = newPool();
  await pool.start(1, [plan(1)]);
  const failed = await pool.add([broken(2)], async () => {});
  expect(failed.size).toBe(1);
  expect([...ready].map(({ id }) => id)).toEqual([1]);
  expect(count(told, 'retired')).toBe(0);
  expect(pool.workers.size).toBe(1);
});

test('a model that takes its worker with it twice is not loaded; the others are', async () => {
  const { pool, ready } = newPool();
  await pool.start(1, [plan(1)]);
  const deadly = plan(2, undefined, (worker) => worker.exit());
  const failed = await pool.add([deadly, plan(3)], async () => {});
  expect(failed.get(deadly)?.message).toContain('/models/m2/1/model.onnx: the worker that loaded it went away');
  const [worker] = ready;
  await Promise.all([run(worker, 1), run(worker, 3)]);
  expect(ready.size).toBe(1);
});

test('a worker that goes while sessions are added is replaced by one that has them', async () => {
  const { pool, ready } = newPool();
  await pool.start(2, [plan(1)]);
  const [first, second] = ready;
  await pool.add([plan(2)], async () => {
    await Promise.all([first?.exit(), second?.exit()]);
  });
  await eventually(() => ready.size === 2 && pool.workers.size === 2);
  for (const worker of ready) await Promise.all([run(worker, 1), run(worker, 2)]);
});

test('a fault of who measures leaves no worker behind, and the sessions may come again', async () => {
  const { pool, ready } = newPool();
  await pool.start(1, [plan(1)]);
  const fault = async () => {
    throw new Error('no ruler');
  };
  await expect(pool.add([plan(2)], fault)).rejects.toThrow('no ruler');
  expect(pool.workers).toEqual(ready);
  expect(await pool.add([plan(3)], async () => {})).toEqual(new Map());
  await eventually(() => pool.workers.size === 1);
});

test('a session that is removed is given back by all workers, and those that start later do without it', async () => {
  const { pool, told, ready } = newPool();
  await pool.start(2, [plan(1), plan(2)]);
  await pool.remove(2);
  for (const worker of ready) {
    await run(worker, 1);
    await expect(run(worker, 2)).rejects.toThrow('session 2 is not loaded');
  }
  const [first] = ready;
  await first?.exit();
  await eventually(() => ready.size === 2);
  expect(count(told, 'session 2')).toBe(2);
  expect(count(told, 'session 1')).toBe(3);
});

test('closed while sessions are added: it is over, and no worker is left', async () => {
  const { pool, ready } = newPool();
  await pool.start(1, [plan(1)]);
  const adding = pool.add([plan(2)], async () => {
    void pool.close();
  });
  await expect(adding).rejects.toThrow(PoolClosed);
  await pool.close();
  expect(pool.workers.size).toBe(0);
  expect([...ready].every(({ alive }) => !alive)).toBe(true);
});

test('one that goes is replaced by one, again and again', async () => {
  const { pool, told, ready } = newPool();
  await pool.start(2, [plan(1)]);
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
  const { pool, ready } = newPool();
  await pool.start(3, [plan(1)]);
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
  const { pool, told, ready } = newPool();
  await pool.start(1, [plan(1, undefined, warmUp), plan(2)]);
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
  const { pool, told, ready } = newPool();
  await pool.start(1, [plan(1, undefined, warmUp)]);
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
  const { pool } = newPool();
  await expect(pool.start(2, [plan(1, undefined, (worker) => worker.exit())])).rejects.toThrow();
  await oneWorkerLater();
  expect(pool.workers.size).toBe(0);
});

test('nothing comes back after close', async () => {
  const { pool, told, ready } = newPool();
  await pool.start(2, [plan(1)]);
  const [first] = ready;
  const exited = first?.exit();
  await pool.close();
  await exited;
  await oneWorkerLater();
  expect(pool.workers.size).toBe(0);
  expect(count(told, 'ready')).toBe(2);
});
