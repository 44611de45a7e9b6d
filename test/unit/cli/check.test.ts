// `scorewire check`: golden rows as the server would score them, and an exit status that CI can use.

import { describe, expect, test } from 'vitest';
import { addCheck } from '../../../src/cli/check.ts';
import { SetupError } from '../../../src/errors.ts';
import { EXAMPLES, folderOf, tempFolder } from '../../support/model-folder.ts';
import { embedding, identityText, linear, meanOverBatch } from '../../support/onnx-builder.ts';
import { runInProcess } from './run-command.ts';

const check = (models: string) => runInProcess(addCheck, ['check', '--models', models, '--set', 'log.level=silent']);

const half = '{"row": [1, 1], "score": 0.5, "label": 0}\n';

function risk(golden: string, manifest = ''): Promise<string> {
  return folderOf({
    'risk/1/model.onnx': linear([1, -1], 0),
    'risk/model.yaml': `golden: { file: golden.jsonl }\n${manifest}`,
    'risk/golden.jsonl': golden,
  });
}

test('the examples are right, alone and in batches', async () => {
  const { stdout, exitCode } = await check(EXAMPLES);
  expect(exitCode).toBe(0);
  const lines = stdout.trimEnd().split('\n').slice(1);
  expect(lines).toHaveLength(6);
  for (const line of lines) expect(line).toMatch(/ ok$/);
  expect(stdout).toMatch(/^digits-int8 +1 +32 +\S+ +\S+ +1 +0.05 +ok$/m);
  expect(stdout).toMatch(/^diabetes +2 +/m);
});

test('golden rows hold for the live version, be it the highest or another one', async () => {
  const files = {
    'risk/1/model.onnx': linear([1, -1], 0),
    'risk/2/model.onnx': linear([1, -1], 5),
    'risk/model.yaml': 'golden: { file: golden.jsonl }',
    'risk/golden.jsonl': half,
  };
  expect((await check(await folderOf(files))).exitCode).toBe(1);
  const { stdout, exitCode } = await check(await folderOf({ ...files, 'risk/live': '1' }));
  expect(exitCode).toBe(0);
  expect(stdout.trimEnd().split('\n').slice(1)).toEqual([expect.stringMatching(/^risk +1 +1 .* ok$/)]);
});

describe('what differs fails', () => {
  test('a score', async () => {
    const { stdout, exitCode } = await check(await risk(`${half}{"row": [1, 1], "score": 0.6}\n`));
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^risk +1 +2 .* differs by 1\.0e-1, allowed is 0\.00001$/m);
  });

  test('within its tolerance it does not', async () => {
    const models = await folderOf({
      'risk/1/model.onnx': linear([1, -1], 0),
      'risk/model.yaml': 'golden: { file: golden.jsonl, tolerance: 0.2 }',
      'risk/golden.jsonl': '{"row": [1, 1], "score": 0.6}\n',
    });
    expect((await check(models)).exitCode).toBe(0);
  });

  test('a label', async () => {
    const { stdout, exitCode } = await check(await risk('{"row": [1, 1], "label": 1}\n'));
    expect(exitCode).toBe(1);
    expect(stdout).toContain('line 1: label 0, expected 1');
  });

  test('a row that the model refuses', async () => {
    const models = await folderOf({
      'risk/1/model.onnx': linear([1], 0),
      'risk/model.yaml': 'golden: { file: golden.jsonl }\nfeatures: [{ name: age }]',
      'risk/golden.jsonl': '{"row": {"age": 0}, "outputs": {"nothing": [1]}}\n',
    });
    const { stdout, exitCode } = await check(models);
    expect(exitCode).toBe(1);
    expect(stdout).toContain('line 1: output_names[0]: expected one of score, found "nothing"');
  });

  test('a text', async () => {
    const models = await folderOf({
      'text/1/model.onnx': identityText(),
      'text/model.yaml': 'golden: { file: golden.jsonl }',
      'text/golden.jsonl': '{"row": {"text": "yes"}, "outputs": {"echo": ["no"]}}\n',
    });
    expect((await check(models)).exitCode).toBe(1);
  });

  test('the number of elements', async () => {
    const models = await folderOf({
      'vectors/1/model.onnx': embedding(),
      'vectors/model.yaml': 'golden: { file: golden.jsonl }',
      'vectors/golden.jsonl': '{"row": [1, 2, 3, 4], "outputs": {"embedding": [1, -1]}}\n',
    });
    const { stdout, exitCode } = await check(models);
    expect(exitCode).toBe(1);
    expect(stdout).toContain('embedding has 8 values, expected 2');
  });
});

test('tensors of a model without a score are compared', async () => {
  const models = await folderOf({
    'vectors/1/model.onnx': embedding(),
    'vectors/model.yaml': 'golden: { file: golden.jsonl }',
    'vectors/golden.jsonl': '{"row": [1, 2, 3, 4], "outputs": {"embedding": [1, -1, 2, -2, 3, -3, 4, -4]}}\n',
  });
  expect((await check(models)).exitCode).toBe(0);
});

test('a model that batching would change is scored row by row, and is right', async () => {
  const models = await folderOf({
    'company/1/model.onnx': meanOverBatch(),
    'company/model.yaml': 'golden: { file: golden.jsonl }',
    'company/golden.jsonl': '{"row": [1, 2, 3], "score": 0}\n{"row": [10, 20, 30], "score": 0}\n'.repeat(8),
  });
  const { stdout, exitCode } = await check(models);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^company +1 +16 +0 +0 +1 +/m);
});

test('more golden rows than the queue holds', async () => {
  const { exitCode } = await runInProcess(addCheck, [
    'check',
    '--models',
    await risk(half.repeat(300)),
    ...['log.level=silent', 'limits.max_queue_rows=64'].flatMap((one) => ['--set', one]),
  ]);
  expect(exitCode).toBe(0);
});

test('no golden rows: it loads, and that is said', async () => {
  const { stdout, exitCode } = await check(await folderOf({ 'risk/1/model.onnx': linear([1], 0) }));
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^risk +1 +0 +- +- +- +- +loads; no golden rows$/m);
});

test('what can not be loaded is a SetupError', async () => {
  await expect(check(await tempFolder())).rejects.toThrow(SetupError);
});
