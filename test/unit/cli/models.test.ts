// `scorewire models`: a table, or JSON.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { addModels } from '../../../src/cli/models.ts';
import { SetupError } from '../../../src/errors.ts';
import { folderOf } from '../../support/model-folder.ts';
import { linear, meanOverBatch } from '../../support/onnx-builder.ts';
import { TestServer } from '../../support/test-server.ts';
import { runInProcess } from './run-command.ts';

let server: TestServer;

beforeAll(async () => {
  const folder = await folderOf({
    'risk/1/model.onnx': linear([1, -1], 0),
    'risk/2/model.onnx': linear([1, -1], 1),
    'company/1/model.onnx': meanOverBatch(),
    'shop/1/model.onnx': linear([1, -1], 0),
    'shop/model.yaml': 'features: [{ name: amount }, { name: hour_of_day, source: computed }]',
  });
  server = await TestServer.start(folder, ['batching.latency_budget_ms=25']);
});

afterAll(() => server.stop());

const models = (...args: string[]) => runInProcess(addModels, ['models', ...args, '--address', server.address]);

test('a line a version', async () => {
  const { stdout } = await models();
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^model +version +live +state +task +row +batch +budget$/);
  expect(lines[1]).toMatch(/^company +1 +yes +ready +regression +3 features +single +25 ms$/);
  expect(lines[2]).toMatch(/^risk +1 +ready +binary +2 features +to \d+ +25 ms$/);
  expect(lines[3]).toMatch(/^risk +2 +yes +ready +binary +2 features +to \d+ +25 ms$/);
  expect(lines[4]).toMatch(/^shop +1 +yes +ready +binary +2 features \(1 computed\) +to \d+ +25 ms$/);
  expect(lines).toHaveLength(5);
});

test('all as JSON', async () => {
  const listed = JSON.parse((await models('--json')).stdout);
  expect(listed.map(({ name, version }: { name: string; version: string }) => [name, version])).toEqual([
    ['company', '1'],
    ['risk', '1'],
    ['risk', '2'],
    ['shop', '1'],
  ]);
});

test('one as JSON, live or by version', async () => {
  expect(JSON.parse((await models('risk')).stdout)).toMatchObject({ name: 'risk', version: '2', live: true });
  expect(JSON.parse((await models('risk', '--model-version', '1')).stdout)).toMatchObject({ version: '1' });
});

test('one that is not there', async () => {
  await expect(models('rsk')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(models('risk', '--model-version', 'two')).rejects.toThrow(SetupError);
});
