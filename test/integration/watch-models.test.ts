// The models folder is looked at: what comes, changes or goes there is loaded, switched or unloaded by itself.

import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/concurrently.ts';
import { callers, indexOf, put, remove } from '../support/model-changes.ts';
import { folderOf } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;
let folder: string;

const A = linear([0], -1);
const B = linear([0], 1);

beforeEach(async () => {
  folder = await folderOf({ 'risk/1/model.onnx': A, 'steady/1/model.onnx': A });
  server = await TestServer.start(folder, ['models.control=poll', 'models.poll_seconds=1', 'workers.count=1']);
});

afterEach(() => server.stop());

const isIndex = (...lines: string[]) => eventually(() => indexOf(server).join('\n') === lines.join('\n'));
const scoreOf = async (model: string) => (await server.client.score(model, [0])).score;

test('models and versions come, change and go; callers of another one notice nothing', async () => {
  const calling = callers(server, 'steady', [0], 2);
  await put(folder, 'risk/2/model.onnx', B);
  await put(folder, 'later/1/model.onnx', B);
  await isIndex('later 1 READY', 'risk 1 READY', 'risk 2 READY', 'steady 1 READY');
  expect(await scoreOf('risk')).toBeCloseTo(0.731);
  expect(await scoreOf('later')).toBeCloseTo(0.731);
  expect(await server.client.check('later')).toBe('SERVING');

  await put(folder, 'later/1/model.onnx', A);
  await put(folder, 'risk/live', '1');
  await eventually(async () => (await scoreOf('later')) < 0.5 && (await scoreOf('risk')) < 0.5);

  await remove(folder, 'later');
  await remove(folder, 'risk/live');
  await remove(folder, 'risk/1');
  await isIndex('risk 1 UNAVAILABLE unloaded', 'risk 2 READY', 'steady 1 READY');
  expect(await scoreOf('risk')).toBeCloseTo(0.731);
  expect((await server.client.check('later').catch(({ details }) => details)) as string).toMatch(/no such/);
  await calling.stop();
  expect(calling.failures).toEqual([]);
}, 60_000);

test('what can not be loaded is said, tried again when it changes, and touches nothing else', async () => {
  await put(folder, 'risk/1/model.onnx', Buffer.from('<html>404</html>'));
  await eventually(() =>
    indexOf(server).some((line) => line.startsWith('risk 1 READY ') || line.includes('UNAVAILABLE')),
  );
  expect(await scoreOf('risk')).toBeCloseTo(0.269);
  const { problems } = JSON.parse((await server.http('/healthz')).body);
  expect(problems.join()).toContain(join(folder, 'risk'));
  await put(folder, 'risk/1/model.onnx', B);
  await eventually(async () => (await scoreOf('risk')) > 0.5);
  expect(indexOf(server)).toEqual(['risk 1 READY', 'steady 1 READY']);
  expect(JSON.parse((await server.http('/healthz')).body).problems).toEqual([]);
}, 60_000);

test('a folder that no model can be called by is told too', async () => {
  await put(folder, 'credit risk/1/model.onnx', A);
  await eventually(() => indexOf(server).some((line) => line.startsWith('credit risk UNAVAILABLE ')));
  const { problems } = JSON.parse((await server.http('/healthz')).body);
  expect(problems.join()).toContain(`a model can't be called "credit risk"`);
}, 60_000);

test('a file that was only touched is not loaded again', async () => {
  const { session } = server.running.engine.models.get('risk');
  await utimes(join(folder, 'risk/1/model.onnx'), new Date(), new Date(2001, 1));
  await put(folder, 'risk/2/model.onnx', B);
  await isIndex('risk 1 READY', 'risk 2 READY', 'steady 1 READY');
  expect(server.running.engine.models.get('risk', 1).session).toBe(session);
}, 60_000);

test('a folder that lost all its models at once is taken for a fault of the disk', async () => {
  await remove(folder, 'risk');
  await remove(folder, 'steady');
  await eventually(() => server.lines.some(({ msg }) => String(msg).includes('has no models any more')));
  expect(await scoreOf('risk')).toBeCloseTo(0.269);
  expect(JSON.parse((await server.http('/healthz')).body).problems.join()).toContain('has no models any more');
  await put(folder, 'risk/1/model.onnx', A);
  await isIndex('risk 1 READY');
}, 60_000);
