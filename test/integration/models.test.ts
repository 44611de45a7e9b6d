// ModelService: what is served, as a caller sees it.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Task } from '../../src/gen/scorewire/v1/model.ts';
import { DataType } from '../../src/gen/scorewire/v1/tensor.ts';
import { folderOf } from '../support/model-folder.ts';
import { classifier, linear, meanOverBatch, onnxModel, openWidth, twoOutputs } from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const MANIFEST = `task: binary
description: whether somebody leaves
features:
  - { name: age }
  - { name: income, default: 1, allow_nan: true }
label: { threshold: 0.6, names: [stays, leaves] }
segments: [{ name: calm }, { name: tense, from: 0.5 }]
latency_budget_ms: 25
batching: { max_rows: 48, max_delay_ms: 2 }
`;

let folder: string;
let server: TestServer;

beforeAll(async () => {
  const described = onnxModel({
    producer: 'pytest',
    producerVersion: '3.1',
    metadata: { author: 'Ada', commit: 'abc' },
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 1] }],
    outputs: [{ name: 'y', type: 'float32', dims: ['N', 1] }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  });
  folder = await folderOf({
    'leaver/model.yaml': MANIFEST,
    'leaver/1/model.onnx': linear([1, -1], 0),
    'leaver/12/model.onnx': linear([1, -1], 2),
    'leaver/3/model.onnx': linear([1, -1], 1),
    'described/1/model.onnx': described,
    'open/1/model.onnx': openWidth(),
    'ambiguous/1/model.onnx': twoOutputs(),
    'company/1/model.onnx': meanOverBatch(),
    'single/1/model.onnx': classifier(['no', 'yes'], { batch: 1 }),
    'three/1/model.onnx': classifier(['red', 'green', 'blue']),
    'three/model.yaml': 'score: { column: predicted }',
  });
  server = await TestServer.start(folder);
});

afterAll(() => server.stop());

test('ListModels: every version of every model, by name and number; one a model is live', async () => {
  const listed = await server.client.listModels();
  expect(listed.map(({ name, version, live }) => `${name} ${version}${live ? ' live' : ''}`)).toEqual([
    'ambiguous 1 live',
    'company 1 live',
    'described 1 live',
    'leaver 1',
    'leaver 3',
    'leaver 12 live',
    'open 1 live',
    'single 1 live',
    'three 1 live',
  ]);
});

test('GetModel: the live version with all that the manifest says', async () => {
  const info = await server.client.getModel('leaver');
  expect(info).toMatchObject({
    name: 'leaver',
    version: 12n,
    live: true,
    task: Task.TASK_BINARY,
    inputs: [{ name: 'x', dataType: DataType.DATA_TYPE_FLOAT32, shape: [-1n, 2n], shapeKnown: true }],
    outputs: [{ name: 'score', dataType: DataType.DATA_TYPE_FLOAT32, shape: [-1n, 1n], shapeKnown: true }],
    features: [
      { name: 'age', dataType: DataType.DATA_TYPE_FLOAT32, required: true, allowNan: false },
      { name: 'income', dataType: DataType.DATA_TYPE_FLOAT32, required: false, allowNan: true },
    ],
    scoreProblem: '',
    labels: ['stays', 'leaves'],
    segments: [
      { name: 'calm', from: undefined },
      { name: 'tense', from: 0.5 },
    ],
  });
  expect(info.score).toMatchObject({ output: 'score', column: 0 });
  expect(info.score?.threshold).toBeCloseTo(0.6, 6);
  expect(info.batching).toMatchObject({
    enabled: true,
    reason: '',
    maxBatchRows: 48,
    maxDelayMs: 2,
    latencyBudgetMs: 25,
  });
});

test('the digest is that of the file', async () => {
  const { digest } = await server.client.getModel('leaver', 3n);
  expect(digest).toBe(
    createHash('sha256')
      .update(readFileSync(`${folder}/leaver/3/model.onnx`))
      .digest('hex'),
  );
});

test('the cost curve is measured from one row to the most', async () => {
  const { batching } = await server.client.getModel('leaver');
  const curve = batching?.costCurve ?? [];
  expect(curve.map(({ rows }) => rows)).toEqual([1, 2, 4, 8, 16, 32, 48]);
  for (const [i, { runUs }] of curve.entries()) {
    expect(runUs).toBeGreaterThan(0);
    if (i > 0) expect(runUs).toBeGreaterThanOrEqual(curve[i - 1]?.runUs as number);
  }
  expect(batching?.kneeRows).toBeGreaterThanOrEqual(1);
  expect(batching?.kneeRows).toBeLessThanOrEqual(48);
});

test('who made the model, and its metadata', async () => {
  const info = await server.client.getModel('described');
  expect(info.producer).toContain('pytest');
  expect(Object.fromEntries(info.metadata)).toEqual({ author: 'Ada', commit: 'abc' });
});

test('when it was loaded', async () => {
  const { loadedAt } = await server.client.getModel('described');
  const loadedAtMs = Number(loadedAt?.seconds) * 1000 + (loadedAt?.nanos ?? 0) / 1e6;
  expect(loadedAtMs).toBeLessThanOrEqual(Date.now());
  expect(loadedAtMs).toBeGreaterThan(Date.now() - 60_000);
});

test('a score that can not be told: absent, and why', async () => {
  const info = await server.client.getModel('ambiguous');
  expect(info.score).toBeUndefined();
  expect(info.scoreProblem).toContain('set score.output');
});

test('the column of the predicted class: no number', async () => {
  const info = await server.client.getModel('three');
  expect(info).toMatchObject({ task: Task.TASK_MULTICLASS, labels: ['red', 'green', 'blue'] });
  expect(info.score).toMatchObject({ output: 'output_probability', column: undefined, threshold: undefined });
});

test('why a model is not batched', async () => {
  const company = await server.client.getModel('company');
  expect(company.batching).toMatchObject({ enabled: false, maxBatchRows: 1, kneeRows: 1 });
  expect(company.batching?.reason).toMatch(/score changes with the rows beside it/);
  const single = await server.client.getModel('single');
  expect(single.batching?.enabled).toBe(false);
  expect(single.batching?.reason).toContain('first dimension is fixed at 1');
  // The log says it as well.
  expect(server.lines.some(({ model, reason }) => model === 'company' && reason === company.batching?.reason)).toBe(
    true,
  );
});

test('an open width has no list of features', async () => {
  const info = await server.client.getModel('open');
  expect(info.features).toEqual([]);
  expect(info.inputs[0]?.shape).toEqual([-1n, -1n]);
});

test('NOT_FOUND', async () => {
  expect(await failureOf(server.client.getModel('leavr'))).toMatchObject({
    code: 'NOT_FOUND',
    reason: 'MODEL_NOT_FOUND',
    message: 'no model is called "leavr"; did you mean "leaver"?',
  });
  expect(await failureOf(server.client.getModel('leaver', 2n))).toMatchObject({
    code: 'NOT_FOUND',
    reason: 'VERSION_NOT_FOUND',
    message: 'model "leaver" has no version 2; it has 1, 3, 12',
  });
});
