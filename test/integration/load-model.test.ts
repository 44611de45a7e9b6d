// Models that are loaded and unloaded while others, and they themselves, are called.

import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/concurrently.ts';
import { callers, indexOf, load, put, remove, unload } from '../support/model-changes.ts';
import { folderOf } from '../support/model-folder.ts';
import { linear, onnxModel, slowLinear } from '../support/onnx-builder.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;
let folder: string;

const TWO_WORKERS = ['workers.count=2'];

afterEach(() => server?.stop());

async function start(
  files: Readonly<Record<string, string | Uint8Array>>,
  set: readonly string[] = TWO_WORKERS,
): Promise<void> {
  folder = await folderOf(files);
  server = await TestServer.start(folder, ['models.control=explicit', ...set]);
}

/** Logits of scores, so that models are told apart by what they answer. */
const A = linear([0], -1);
const B = linear([0], 1);
const scoreOf = async (model: string, version?: bigint) => (await server.client.score(model, [0], { version })).score;
const NEGATIVE = 0.2689414;
const POSITIVE = 0.7310586;

describe('a version that comes', () => {
  test('answers when it is warm; until then the one before does, and no call fails', async () => {
    await start({ 'risk/1/model.onnx': A, 'other/1/model.onnx': A });
    const calling = [callers(server, 'risk', [0]), callers(server, 'other', [0])];
    await Promise.all(calling.map((one) => one.answered(50)));
    await put(folder, 'risk/2/model.onnx', B);
    const versions = await load(server, 'risk');
    expect(versions.map(({ version, state }) => [version, state])).toEqual([
      [1n, 2],
      [2n, 2],
    ]);
    await Promise.all(calling.map((one) => one.answered(50)));
    await Promise.all(calling.map((one) => one.stop()));
    for (const { failures } of calling) expect(failures).toEqual([]);
    const [risk, other] = calling;
    expect(new Set(other?.versions)).toEqual(new Set([1n]));
    // The one, and then the other.
    const switched = risk?.versions.indexOf(2n) as number;
    expect(switched).toBeGreaterThan(50);
    expect(new Set(risk?.versions.slice(switched + 8))).toEqual(new Set([2n]));
    expect(await scoreOf('risk', 1n)).toBeCloseTo(NEGATIVE);
    expect(await scoreOf('risk')).toBeCloseTo(POSITIVE);
    expect(server.running.engine.pool.workers.size).toBe(2);
  });

  test('of a model that nobody knew: listed, healthy and counted from then on', async () => {
    await start({ 'risk/1/model.onnx': A });
    expect((await failureOf(server.client.check('later'))).code).toBe('NOT_FOUND');
    await put(folder, 'later/3/model.onnx', B);
    expect((await failureOf(server.client.score('later', [0]))).reason).toBe('MODEL_NOT_FOUND');
    const response = await promised<{ model?: { name: string; version: bigint; live: boolean } }>((done) =>
      server.client.models.loadModel({ model: 'later' }, done),
    );
    expect(response.model).toMatchObject({ name: 'later', version: 3n, live: true });
    expect(await scoreOf('later')).toBeCloseTo(POSITIVE);
    expect(await server.client.check('later')).toBe('SERVING');
    expect(await server.metric('scorewire_sessions_created_total', { model: 'later' })).toBe(2);
    expect((await server.client.listModels()).map(({ name }) => name)).toEqual(['later', 'risk']);
  });

  test('is not live where somebody chose, before it is promoted', async () => {
    await start({ 'risk/1/model.onnx': A, 'risk/live': '1' });
    await put(folder, 'risk/2/model.onnx', B);
    await load(server, 'risk');
    expect(await scoreOf('risk')).toBeCloseTo(NEGATIVE);
    expect(await scoreOf('risk', 2n)).toBeCloseTo(POSITIVE);
    await put(folder, 'risk/live', '2');
    await load(server, 'risk');
    expect(await scoreOf('risk')).toBeCloseTo(POSITIVE);
  });
});

describe('a version whose file is another one', () => {
  test('is switched at once where the new one is warm, and the old one is released', async () => {
    await start({ 'risk/1/model.onnx': A });
    const before = server.running.engine.models.get('risk');
    const calling = callers(server, 'risk', [0]);
    await calling.answered(20);
    await put(folder, 'risk/1/model.onnx', B);
    await load(server, 'risk');
    await calling.answered(20);
    await calling.stop();
    expect(calling.failures).toEqual([]);
    expect(await scoreOf('risk', 1n)).toBeCloseTo(POSITIVE);
    const after = server.running.engine.models.get('risk');
    expect(after.session).not.toBe(before.session);
    for (const worker of server.running.engine.pool.workers) {
      if (!worker.alive) continue;
      const run = worker.run({ session: before.session, inputs: [], outputs: ['score'] });
      await expect(run).rejects.toThrow(`session ${before.session} is not loaded`);
    }
    // One model, one line a metric.
    const depths = (await server.samples()).filter(({ name }) => name === 'scorewire_queue_depth');
    expect(depths).toHaveLength(1);
  });

  test('that is the same in all that matters is not loaded again', async () => {
    await start({ 'risk/1/model.onnx': A, 'risk/model.yaml': 'description: a' });
    const { session } = server.running.engine.models.get('risk');
    await load(server, 'risk');
    expect(server.running.engine.models.get('risk').session).toBe(session);
    await put(folder, 'risk/model.yaml', 'description: a\nlabel: { threshold: 0.2 }\n');
    await load(server, 'risk');
    expect(server.running.engine.models.get('risk').session).not.toBe(session);
    expect((await server.client.score('risk', [0])).label).toBe(1);
  });
});

describe('what can not be loaded', () => {
  test.each([
    ['no model', 'risk/2/model.onnx', Buffer.from('<html>404</html>')],
    ['one that onnxruntime refuses', 'risk/2/model.onnx', linear([1, 2, 3], 0).subarray(0, 80)],
    ['a manifest with a mistake', 'risk/model.yaml', 'tusk: binary'],
  ])('%s: what was served goes on, and the index says why', async (_, path, content) => {
    await start({ 'risk/1/model.onnx': A, 'other/1/model.onnx': A });
    const calling = callers(server, 'risk', [0]);
    await calling.answered(10);
    await put(folder, path, content);
    const attempt = promised((done) => server.client.models.loadModel({ model: 'risk' }, done));
    // A version beside it that is well is loaded all the same.
    const outcome = await attempt.then(
      () => undefined,
      () => failureOf(attempt),
    );
    if (outcome !== undefined) {
      expect(outcome).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'LOAD_FAILED' });
      expect(outcome.message).toContain('what was served before goes on');
    }
    expect(indexOf(server).join('\n')).toContain(join(folder, path));
    await calling.answered(10);
    await calling.stop();
    expect(calling.failures).toEqual([]);
    expect(await server.client.check('risk')).toBe('SERVING');
    expect(await server.client.check()).toBe('SERVING');
    const { problems } = JSON.parse((await server.http('/healthz')).body);
    expect(problems).toEqual([expect.stringContaining(join(folder, path))]);
    // Mended, it is served, and there is nothing to say.
    await remove(folder, path.replace('/model.onnx', ''));
    await load(server, 'risk');
    expect(indexOf(server)).toEqual(['other 1 READY', 'risk 1 READY']);
  });

  test('a model that never was: an error without it, and others go on', async () => {
    await start({ 'risk/1/model.onnx': A });
    for (const name of ['absent', '', '..', '../risk', 'a/b']) {
      const failed = await failureOf(promised((done) => server.client.models.loadModel({ model: name }, done)));
      expect([name, failed.code, failed.reason]).toEqual([name, 'NOT_FOUND', 'MODEL_NOT_FOUND']);
    }
    expect(indexOf(server)).toEqual(['risk 1 READY']);
  });

  test('where nothing of it can be loaded, callers hear that it is not there', async () => {
    await start({ 'risk/1/model.onnx': A, 'bad/1/model.onnx': Buffer.from('no') });
    expect(await failureOf(server.client.score('bad', [0]))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'MODEL_NOT_LOADED',
    });
    expect(await server.client.check('bad')).toBe('NOT_SERVING');
    expect(await server.client.check()).toBe('SERVING');
    await put(folder, 'bad/1/model.onnx', B);
    await load(server, 'bad');
    expect(await scoreOf('bad')).toBeCloseTo(POSITIVE);
    expect(await server.client.check('bad')).toBe('SERVING');
  });
});

describe('unload', () => {
  test('no new calls get it, those under way are answered, and then it is released', async () => {
    await start({ 'slow/1/model.onnx': slowLinear([0], 1, 3000), 'risk/1/model.onnx': A }, ['workers.count=1']);
    const { engine } = server.running;
    const model = engine.models.get('slow');
    const underWay = Array.from({ length: 5 }, () => server.client.score('slow', [0]));
    await eventually(() => model.uses.count === 5);
    const versions = await unload(server, 'slow');
    expect(versions.map(({ version, state }) => [version, state])).toEqual([[1n, 3]]);
    expect(await failureOf(server.client.score('slow', [0]))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'MODEL_NOT_READY',
    });
    for (const { score } of await Promise.all(underWay)) expect(score).toBeCloseTo(POSITIVE);
    await eventually(() => indexOf(server).includes('slow 1 UNAVAILABLE unloaded'));
    expect(await failureOf(server.client.score('slow', [0]))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'MODEL_UNLOADED',
    });
    const [worker] = engine.pool.workers;
    const run = worker?.run({ session: model.session, inputs: [], outputs: ['score'] });
    await expect(run).rejects.toThrow('is not loaded in this worker');
    expect((await server.samples()).filter(({ labels }) => labels.model === 'slow' && labels.version === '1')).toEqual(
      [],
    );
    expect(await scoreOf('risk')).toBeCloseTo(NEGATIVE);
    expect(await server.client.check('slow')).toBe('NOT_SERVING');
  });

  test('what is not loaded is none, and may be loaded again', async () => {
    await start({ 'risk/1/model.onnx': A });
    expect(await unload(server, 'absent')).toEqual([]);
    await unload(server, 'risk');
    await unload(server, 'risk');
    expect((await failureOf(server.client.score('risk', [0]))).reason).toMatch(/MODEL_UNLOADED|MODEL_NOT_READY/);
    await load(server, 'risk');
    expect(await scoreOf('risk')).toBeCloseTo(NEGATIVE);
    await eventually(() => indexOf(server).join() === 'risk 1 READY');
  });

  test('a stream of rows that has the version keeps it to its end', async () => {
    await start({ 'risk/1/model.onnx': A });
    const { engine } = server.running;
    const model = engine.models.get('risk');
    const feed = engine.bulkScorer.feed(model, { scored: () => {}, failed: () => {} });
    await unload(server, 'risk');
    // Long enough to be released, were there nobody: another model is loaded into all workers.
    await put(folder, 'later/1/model.onnx', B);
    await load(server, 'later');
    expect(indexOf(server)).toContain('risk 1 UNLOADING');
    for (const worker of engine.pool.workers) {
      if (!worker.alive) continue;
      const x = { name: 'x', type: 'float32', dims: [1, 1], data: Float32Array.of(0) } as const;
      await worker.run({ session: model.session, inputs: [x], outputs: ['score'] });
    }
    feed.end();
    await eventually(() => indexOf(server).includes('risk 1 UNAVAILABLE unloaded'));
  });
});

describe('beside a load that takes its time', () => {
  /** Weights of eight terabytes, of which nothing is on disk: to digest them takes for ever. */
  async function endless(): Promise<void> {
    const graph = onnxModel({
      inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
      outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
      initializers: [{ name: 'w', type: 'float32', dims: [1, 1], external: { location: 'w.data' } }],
      nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['score'] }],
    });
    await put(folder, 'endless/1/model.onnx', graph);
    const weights = join(folder, 'endless/1/w.data');
    await writeFile(weights, '');
    await truncate(weights, 2 ** 43);
  }

  test('another model is unloaded at once, and a server that ends says so to who waits, and ends', async () => {
    await start({ 'risk/1/model.onnx': A, 'other/1/model.onnx': A });
    await endless();
    const loading = failureOf(load(server, 'endless'));
    await unload(server, 'risk');
    // The one until the workers have given it back, the other from then on.
    const { reason } = await failureOf(server.client.score('risk', [0]));
    expect(['MODEL_NOT_READY', 'MODEL_UNLOADED']).toContain(reason);
    const waiting = failureOf(load(server, 'risk'));
    expect(await scoreOf('other')).toBeCloseTo(NEGATIVE);
    expect(await server.running.drain()).toBe(true);
    for (const failed of [await loading, await waiting]) {
      expect(failed).toMatchObject({ code: 'UNAVAILABLE', reason: 'DRAINING' });
    }
  });
});

describe('who may', () => {
  test('nobody where the mode is another one', async () => {
    folder = await folderOf({ 'risk/1/model.onnx': A });
    server = await TestServer.start(folder);
    for (const call of ['loadModel', 'unloadModel'] as const) {
      const failed = await failureOf(promised((done) => server.client.models[call]({ model: 'risk' }, done)));
      expect(failed).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'CONTROL_MODE' });
      expect(failed.message).toContain('models.control');
    }
    expect(await scoreOf('risk')).toBeCloseTo(NEGATIVE);
  });

  test('a single version can not be asked for', async () => {
    await start({ 'risk/1/model.onnx': A });
    const failed = await failureOf(
      promised((done) => server.client.models.loadModel({ model: 'risk', version: 1n }, done)),
    );
    expect(failed).toMatchObject({ code: 'INVALID_ARGUMENT', violations: [{ field: 'version' }] });
  });
});

describe('at the start', () => {
  test('nothing, where it is to be so: models come when they are asked for', async () => {
    await start({ 'risk/1/model.onnx': A, 'other/1/model.onnx': A }, ['models.load_at_start=none']);
    expect(indexOf(server)).toEqual(['other', 'risk']);
    expect(await server.client.check()).toBe('SERVING');
    expect((await failureOf(server.client.score('risk', [0]))).reason).toBe('MODEL_UNLOADED');
    await load(server, 'risk');
    expect(await scoreOf('risk')).toBeCloseTo(NEGATIVE);
    expect(indexOf(server)).toEqual(['other', 'risk 1 READY']);
  });

  test('a chosen version that can not be loaded leaves another one live, and that is said', async () => {
    await start({ 'risk/1/model.onnx': Buffer.from('no model'), 'risk/2/model.onnx': B, 'risk/live': '1' });
    expect(await scoreOf('risk')).toBeCloseTo(POSITIVE);
    const problems = async () => JSON.parse((await server.http('/healthz')).body).problems;
    expect(await problems()).toEqual([
      expect.stringContaining('model risk 1 could not be loaded, and 2 is live in its place: '),
    ]);
    await put(folder, 'risk/1/model.onnx', A);
    await load(server, 'risk');
    expect(await scoreOf('risk')).toBeCloseTo(NEGATIVE);
    expect(await problems()).toEqual([]);
  });

  test('some, by their names', async () => {
    await start({ 'a/1/model.onnx': A, 'b/1/model.onnx': A, 'c/1/model.onnx': A }, ['models.load_at_start=a, c']);
    expect(indexOf(server)).toEqual(['a 1 READY', 'b', 'c 1 READY']);
  });
});

test('many of them in any order: of those that nobody touches no call fails, and in the end all is as it should be', async () => {
  await start({ 'steady/1/model.onnx': A, 'm0/1/model.onnx': A, 'm1/1/model.onnx': A });
  const calling = callers(server, 'steady', [0]);
  // A fixed sequence without an order.
  let state = 7;
  const next = (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % below;
  };
  const all: Promise<unknown>[] = [];
  for (let step = 0; step < 40; step++) {
    const name = `m${next(3)}`;
    if (name === 'm2') await put(folder, `m2/${1 + next(3)}/model.onnx`, next(2) === 0 ? A : B);
    all.push((next(2) === 0 ? load(server, name) : unload(server, name)).catch(() => {}));
    if (next(4) === 0) await Promise.race([Promise.all(all), calling.answered(5)]);
  }
  await Promise.all(all);
  for (const name of ['m0', 'm1', 'm2']) await load(server, name);
  await calling.answered(10);
  await calling.stop();
  expect(calling.failures).toEqual([]);
  await eventually(() => indexOf(server).every((line) => line.endsWith('READY')));
  const { engine } = server.running;
  expect(engine.models.versions('m0')).toHaveLength(1);
  for (const model of engine.models.all()) {
    expect((await server.client.score(model.spec.name, [0], { version: BigInt(model.spec.version) })).model).toBe(
      model.spec.name,
    );
  }
  await eventually(() => engine.pool.workers.size === 2);
  expect(engine.scheduler.idleWorkers).toBe(2);
  // Nothing is left of what is gone: a gauge a version.
  const depths = (await server.samples()).filter(({ name }) => name === 'scorewire_queue_depth');
  expect(depths).toHaveLength(engine.models.all().length);
});
