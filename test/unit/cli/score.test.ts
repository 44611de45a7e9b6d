// `scorewire score`: from flags and JSON to a row, and the answer as JSON.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addScore } from '../../../src/cli/score.ts';
import { SetupError } from '../../../src/errors.ts';
import { folderOf } from '../../support/model-folder.ts';
import { identityText, linear } from '../../support/onnx-builder.ts';
import { TestServer } from '../../support/test-server.ts';
import { runInProcess } from './run-command.ts';

let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await folderOf({
    'risk/1/model.onnx': linear([1, -1], 0),
    'risk/2/model.onnx': linear([1, -1], 1),
    'risk/model.yaml': 'features: [{ name: age }, { name: income }]\nlabel: { names: [stays, leaves] }',
    'text/1/model.onnx': identityText(),
    'text/model.yaml': 'task: regression',
  });
  server = await TestServer.start(folder);
});

afterAll(() => server.stop());

async function score(...args: string[]) {
  const { stdout } = await runInProcess(addScore, ['score', ...args, '--address', server.address]);
  return JSON.parse(stdout);
}

const failing = (...args: string[]) => score(...args).catch((error) => error);

describe('rows', () => {
  test('an array', async () => {
    expect(await score('risk', '--row', '[1, 2]')).toMatchObject({
      model: 'risk',
      version: '2',
      score: 0.5,
      label: 0,
      labelName: 'stays',
      segment: 'Medium',
      origin: 'ORIGIN_REAL_TIME',
    });
  });

  test('an object', async () => {
    expect((await score('risk', '--row', '{"age": 1, "income": 2}')).score).toBe(0.5);
  });

  test('features one by one, which win over the object', async () => {
    expect((await score('risk', '--feature', 'age=1', '--feature', 'income=2')).score).toBe(0.5);
    expect((await score('risk', '--row', '{"age": 1, "income": 9}', '--feature', 'income=2')).score).toBe(0.5);
  });

  test('texts, with an equals sign in them', async () => {
    const answer = await score('text', '--feature', 'text=a=b', '--outputs', 'echo');
    expect(answer.outputs.echo.texts).toEqual(['a=b']);
  });
});

test('another version, an entity, tensors', async () => {
  const answer = await score('risk', '--row', '[0, 0]', '--model-version', '1', '--entity', '42', '--outputs', 'score');
  expect(answer).toMatchObject({ version: '1', entityId: '42', score: 0.5, outputs: { score: { floats: [0.5] } } });
});

describe('what is wrong with the flags is a line of its own', () => {
  const absent = () => join(folder, 'absent.pem');
  const cases: [what: string, args: () => string[], message: RegExp][] = [
    ['no JSON', () => ['--row', '[1,'], /^--row: not JSON: /],
    ['JSON that is no row', () => ['--row', '5'], /^--row: expected a JSON object or array$/],
    ['a text in an array', () => ['--row', '[1, "a"]'], /^--row: element 1: expected a number, found "a"$/],
    [
      'a list for a feature',
      () => ['--row', '{"age": [1]}'],
      /^--row: age: expected a number, text or flag, found \[1\]$/,
    ],
    ['names beside an array', () => ['--row', '[1]', '--feature', 'age=1'], /^--feature: /],
    ['a feature without a value', () => ['--feature', 'age'], /^--feature: expected name=value, found age$/],
    ['a version that is no number', () => ['--row', '[1, 2]', '--model-version', 'two'], /^--model-version: .*"?two/],
    ['a version that is no whole number', () => ['--row', '[1, 2]', '--model-version', '1.5'], /^--model-version: /],
    ['a deadline that is no number', () => ['--row', '[1, 2]', '--deadline', 'soon'], /^--deadline: .*soon/],
    ['a certificate that is not there', () => ['--row', '[1, 2]', '--ca', absent()], /^--ca: .*absent\.pem/],
    ['a certificate without its key', () => ['--row', '[1, 2]', '--cert', absent()], /^--cert: .*--key/],
  ];

  test.each(cases)('%s', async (_, args, message) => {
    const error = await failing('risk', ...args());
    expect(error, error.stack).toBeInstanceOf(SetupError);
    expect(error.message).toMatch(message);
  });
});

test("what the server refuses is the server's own error", async () => {
  expect(await failing('risk', '--row', '[1]')).toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('found 1'),
  });
  expect(await failing('risk')).toMatchObject({ code: 'INVALID_ARGUMENT' });
});
