// `scorewire models load` and `unload`, against a server.

import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { indexOf, put } from '../support/model-changes.ts';
import { folderOf } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

test('load and unload: what became of each version, and the exit status says whether all of it is served', async () => {
  const folder = await folderOf({ 'risk/1/model.onnx': linear([0], 0), 'other/1/model.onnx': linear([0], 0) });
  const server = await TestServer.start(folder, ['models.control=explicit', 'workers.count=1']);
  onTestFinished(() => server.stop());
  const models = (...args: string[]) => runCommand(['models', ...args, '--address', server.address]);

  await put(folder, 'risk/2/model.onnx', linear([0], 1));
  const loaded = await models('load', 'risk');
  expect(loaded).toMatchObject({ code: 0, stderr: '' });
  expect(loaded.stdout).toMatch(/^model +version +state\nrisk +1 +ready\nrisk +2 +ready\n$/);
  expect(indexOf(server)).toEqual(['other 1 READY', 'risk 1 READY', 'risk 2 READY']);

  await put(folder, 'risk/3/model.onnx', 'no model');
  const partly = await models('load', 'risk');
  expect(partly).toMatchObject({ code: 1, stderr: '' });
  expect(partly.stdout).toMatch(/risk +2 +ready\nrisk +3 +unavailable\nrisk 3: /);
  expect(partly.stdout).toContain(join(folder, 'risk/3/model.onnx'));

  const unloaded = await models('unload', 'risk', '--json');
  expect(unloaded).toMatchObject({ code: 0, stderr: '' });
  expect(indexOf(server)[0]).toBe('other 1 READY');
  expect((await models('load', 'absent')).stderr).toContain('NOT_FOUND');

  const listed = await models();
  expect(listed.stdout).toMatch(/other +1 +yes +ready/);
  expect(listed.stdout).toMatch(/risk +1 +not loaded/);
}, 60_000);
