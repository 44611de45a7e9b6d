// `scorewire score`: from flags and JSON to a row, and the answer as JSON.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addScore } from '../../../src/cli/score.ts';
import { SetupError } from '../../../src/errors.ts';
import { folderOf } from '../../support/model-folder.ts';
import { identityText, linear } from '../../support/onnx-builder.ts';
import { putScores } from '../../support/put-scores.ts';
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

describe('an entity without a row', () => {
  beforeAll(async () => {
    await putScores(server.address, 'risk', 2, { c17: 0.75 }, Date.now() - 3_600_000);
  });

  test('its stored score, with its origin, its time and its age', async () => {
    const before = Date.now();
    const answer = await score('risk', '--entity', 'c17');
    expect(answer).toMatchObject({ entityId: 'c17', version: '2', score: 0.75, origin: 'ORIGIN_PRECOMPUTED' });
    const [, age] = /^(\d+(?:\.\d+)?)s$/.exec(answer.age) ?? [];
    const scoredAtMs = Date.parse(answer.scoredAt);
    expect(before - scoredAtMs).toBeGreaterThanOrEqual(3_600_000);
    expect(Number(age) * 1000).toBeGreaterThanOrEqual(3_600_000);
    expect(Number(age) * 1000).toBeLessThanOrEqual(Date.now() - scoredAtMs);
  });

  test('not where it is older than asked for, unless old ones will do', async () => {
    const precomputed = ['risk', '--entity', 'c17', '--policy', 'precomputed-only'];
    expect(await failing(...precomputed, '--max-staleness', '30min')).toMatchObject({ code: 'NOT_FOUND' });
    expect(await score(...precomputed, '--max-staleness', '2h')).toMatchObject({ origin: 'ORIGIN_PRECOMPUTED' });
    expect(await score(...precomputed, '--max-staleness', '30min', '--allow-stale')).toMatchObject({
      score: 0.75,
      origin: 'ORIGIN_STALE',
    });
  });

  test('not where the model alone may answer', async () => {
    expect(await failing('risk', '--entity', 'c17', '--policy', 'real-time-only')).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'NO_FEATURES',
    });
  });

  test('beside a row it is looked up only where the policy says so', async () => {
    const row = ['risk', '--entity', 'c17', '--row', '[1, 2]'];
    expect(await score(...row)).toMatchObject({ origin: 'ORIGIN_REAL_TIME', score: 0.5 });
    expect(await score(...row, '--policy', 'precomputed-first')).toMatchObject({
      origin: 'ORIGIN_PRECOMPUTED',
      score: 0.75,
    });
  });
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
    [
      'an age without a unit',
      () => ['--entity', '1', '--max-staleness', '12'],
      /^--max-staleness: expected an age .*"12"$/,
    ],
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

test('a policy that there is not', async () => {
  expect(await failing('risk', '--entity', '1', '--policy', 'stored')).toMatchObject({
    code: 'commander.invalidArgument',
    message: expect.stringContaining('precomputed-first, real-time-only, precomputed-only'),
  });
});
