// ScoringService.Score as its contract has it: forms of rows, entities, versions, what the answer carries, tensors.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DataType } from '../../src/gen/scorewire/v1/tensor.ts';
import { concurrently } from '../support/concurrently.ts';
import { folderOf } from '../support/model-folder.ts';
import {
  classifier,
  embedding,
  identityText,
  linear,
  meanOverBatch,
  onnxModel,
  openWidth,
  twoOutputs,
} from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

/** Takes float32 [N, 2]; every output is that, cast. */
function manyTypes(): Uint8Array {
  const types = {
    double: 'float64',
    long: 'int64',
    byte: 'uint8',
    wide: 'uint64',
    flag: 'bool',
    half: 'float16',
  } as const;
  // By TensorProto.DataType.
  const codes = { double: 11, long: 7, byte: 2, wide: 13, flag: 9, half: 10 };
  const names = Object.keys(types) as (keyof typeof types)[];
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 2] }],
    outputs: [
      { name: 'score', type: 'float32', dims: ['N', 1] },
      ...names.map((name) => ({ name, type: types[name], dims: ['N', 2] })),
    ],
    nodes: [
      { op: 'ReduceMax', inputs: ['x'], outputs: ['score'], attributes: { axes: { ints: [1] } } },
      ...names.map((name) => ({
        op: 'Cast',
        inputs: ['x'],
        outputs: [name],
        attributes: { to: { int: codes[name] } },
      })),
    ],
  });
}

/** Its input declares no shape, so nobody knows what a row is. */
function shapeless(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32' }],
    outputs: [{ name: 'score', type: 'float32' }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['score'] }],
  });
}

const RISK = `task: binary
features:
  - { name: age }
  - { name: income, default: 1 }
label: { threshold: 0.6, names: [stays, leaves] }
segments: [{ name: calm }, { name: tense, from: 0.5 }, { name: lost, from: 0.75 }]
`;

let server: TestServer;

beforeAll(async () => {
  const folder = await folderOf({
    'risk/model.yaml': RISK,
    'risk/2/model.onnx': linear([1, -1], 0),
    'risk/9/model.onnx': linear([1, -1], 1),
    'risk/10/model.onnx': linear([1, -1], 2),
    'plain/1/model.onnx': linear([1, -1], 0),
    'three/1/model.onnx': classifier(['red', 'green', 'blue']),
    'three/model.yaml': 'score: { column: predicted }',
    'single/1/model.onnx': classifier(['no', 'yes'], { batch: 1 }),
    'vectors/1/model.onnx': embedding(),
    'ambiguous/1/model.onnx': twoOutputs(),
    'types/1/model.onnx': manyTypes(),
    'types/model.yaml': 'score: { output: score }',
    'text/1/model.onnx': identityText(),
    'text/model.yaml': 'task: regression',
    'open/1/model.onnx': openWidth(),
    'company/1/model.onnx': meanOverBatch(),
    'shapeless/1/model.onnx': shapeless(),
  });
  server = await TestServer.start(folder);
});

afterAll(() => server.stop());

const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));

describe('rows', () => {
  test('dense, in the order of the features', async () => {
    const { score } = await server.client.score('risk', [2, 3]);
    expect(score).toBeCloseTo(sigmoid(2 - 3 + 2), 6);
  });

  test('by name, in any order and as number or integer', async () => {
    const { score } = await server.client.score('risk', { income: 3n, age: 2 });
    expect(score).toBeCloseTo(sigmoid(2 - 3 + 2), 6);
  });

  test('a feature that is left out takes its default', async () => {
    const { score } = await server.client.score('risk', { age: 2 });
    expect(score).toBeCloseTo(sigmoid(2 - 1 + 2), 6);
  });

  test('so does one that is named without a value', async () => {
    const { score } = await server.client.score('risk', { age: 2, income: undefined });
    expect(score).toBeCloseTo(sigmoid(2 - 1 + 2), 6);
  });

  test('texts', async () => {
    const answers = await concurrently(8, ['yes', 'maybe', 'no', 'Grüße 🎉', ''], (text) =>
      server.client.score('text', { text }, { outputNames: ['echo'] }),
    );
    expect(answers.map(({ score }) => score)).toEqual([1, 0.5, 0, 0, 0]);
    expect(answers.map(({ outputs }) => outputs.get('echo')?.texts)).toEqual([
      ['yes'],
      ['maybe'],
      ['no'],
      ['Grüße 🎉'],
      [''],
    ]);
  });

  test('of any width, where the model takes any; rows of different widths do not mix', async () => {
    const widths = Array.from({ length: 48 }, (_, i) => 1 + (i % 6));
    const answers = await concurrently(48, widths, (width) =>
      server.client.score(
        'open',
        Array.from({ length: width }, (_, i) => i + width),
      ),
    );
    for (const [index, answer] of answers.entries()) {
      const width = widths[index] as number;
      expect(answer.score).toBeCloseTo(width + (width - 1) / 2, 5);
      // Eight rows have this width.
      expect(answer.timing?.batchRows).toBeLessThanOrEqual(8);
    }
    expect(Math.max(...answers.map(({ timing }) => timing?.batchRows ?? 0))).toBeGreaterThan(1);
  });

  test('of a model that batching would change: one by one, each its own score', async () => {
    const rows = Array.from({ length: 32 }, (_, i) => [i, 2 * i, 3 * i]);
    const answers = await concurrently(32, rows, (row) => server.client.score('company', row));
    for (const { score, timing } of answers) {
      expect(score).toBe(0);
      expect(timing?.batchRows).toBe(1);
    }
  });

  test('of a model whose first dimension is fixed at one', async () => {
    const answers = await concurrently(8, [0, 1, 2, 3, 4, 5, 6, 7], (x) => server.client.score('single', [x, 0, 0]));
    for (const [x, { score, timing }] of answers.entries()) {
      expect(score).toBeCloseTo(sigmoid(1 - x), 5);
      expect(timing?.batchRows).toBe(1);
    }
  });

  test('of a model whose rows nobody knows: FAILED_PRECONDITION names the manifest key', async () => {
    const failure = await failureOf(server.client.score('shapeless', [1, 2], { outputNames: ['score'] }));
    expect(failure).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'ROWS_NOT_CONFIGURED' });
    expect(failure.message).toMatch(/declares no shape; set features in .*model\.yaml/);
  });
});

describe('versions', () => {
  test('the highest number is live, by number and not by text', async () => {
    expect((await server.client.score('risk', [0, 0])).version).toBe(10n);
  });

  test.each([2n, 9n, 10n])('%s by number', async (version) => {
    const bias = { 2: 0, 9: 1, 10: 2 }[Number(version)] as number;
    const answer = await server.client.score('risk', [0, 0], { version });
    expect(answer.version).toBe(version);
    expect(answer.score).toBeCloseTo(sigmoid(bias), 6);
  });
});

describe('the answer', () => {
  test('carries model, version, entity, origin, times', async () => {
    const before = Date.now();
    const answer = await server.client.score('risk', [0, 0], { entity: { $case: 'entityId', value: 'a/b ü' } });
    const after = Date.now();
    expect(answer).toMatchObject({ model: 'risk', version: 10n, entityId: 'a/b ü', origin: 2 });
    const { seconds, nanos } = answer.scoredAt as { seconds: bigint; nanos: number };
    const scoredAtMs = Number(seconds) * 1000 + nanos / 1e6;
    expect(scoredAtMs).toBeGreaterThanOrEqual(before);
    expect(scoredAtMs).toBeLessThanOrEqual(after);
    expect(answer.age).toEqual({ seconds: 0n, nanos: 0 });
    expect(answer.outputs.size).toBe(0);
    const timing = answer.timing as NonNullable<typeof answer.timing>;
    expect(timing.batchRows).toBeGreaterThanOrEqual(1);
    expect(timing.inferenceUs).toBeGreaterThan(0);
    expect(timing.totalUs).toBeGreaterThanOrEqual(timing.featureUs + timing.queueUs);
  });

  test.each([
    ['text', { $case: 'entityId', value: '42' } as const],
    ['number', { $case: 'entityNumber', value: 42n } as const],
  ])('an entity given as %s is the same one', async (_, entity) => {
    expect((await server.client.score('plain', [0, 0], { entity })).entityId).toBe('42');
  });

  test('a number keeps all its digits', async () => {
    const answer = await server.client.score('plain', [0, 0], {
      entity: { $case: 'entityNumber', value: -(2n ** 63n) },
    });
    expect(answer.entityId).toBe('-9223372036854775808');
  });

  test('no entity given: an empty one comes back', async () => {
    expect((await server.client.score('plain', [0, 0])).entityId).toBe('');
  });

  // The score of version 2 is sigmoid(age - income).
  test.each([
    [[0, 0], 0.5, 0, 'stays', 'tense'],
    [[0, 1e-3], sigmoid(-1e-3), 0, 'stays', 'calm'],
    [[1, 0], sigmoid(1), 1, 'leaves', 'tense'],
    [[2, 0], sigmoid(2), 1, 'leaves', 'lost'],
  ])('%j: score %d has label %d (%s) and segment %s', async (row, score, label, labelName, segment) => {
    const answer = await server.client.score('risk', row, { version: 2n });
    expect(answer.score).toBeCloseTo(score, 6);
    expect(answer).toMatchObject({ label, labelName, segment });
  });

  test('a score is what float32 has, never rounded', async () => {
    const { score } = await server.client.score('plain', [0.1, 0.37]);
    expect(score).toBe(Math.fround(score));
    expect(String(score).length).toBeGreaterThan(8);
  });

  test('without a manifest a binary model has the segments Low, Medium and High, and label 1 above 0.5', async () => {
    const answers = await concurrently(4, [-2, -0.5, 0, 2], (x) => server.client.score('plain', [x, 0]));
    expect(answers.map(({ segment }) => segment)).toEqual(['Low', 'Medium', 'Medium', 'High']);
    expect(answers.map(({ label }) => label)).toEqual([0, 0, 0, 1]);
    expect(answers[0]?.labelName).toBeUndefined();
  });

  test('a model of many classes gives the largest and its name, and no segment', async () => {
    const answer = await server.client.score('three', [0, 5, 0]);
    expect(answer).toMatchObject({ label: 1, labelName: 'green', segment: undefined });
    const sum = Math.exp(0) + Math.exp(6) + Math.exp(2);
    expect(answer.score).toBeCloseTo(Math.exp(6) / sum, 5);
  });

  test('a regression has no label', async () => {
    const answer = await server.client.score('text', { text: 'yes' });
    expect(answer).toMatchObject({ label: undefined, labelName: undefined, segment: undefined });
  });
});

describe('tensors', () => {
  test('of several types, without the batch dimension, beside the score', async () => {
    const names = ['double', 'long', 'byte', 'wide', 'flag', 'half', 'score'];
    const rows = Array.from({ length: 24 }, (_, i) => [i, i + 0.5]);
    const answers = await concurrently(24, rows, (row) => server.client.score('types', row, { outputNames: names }));
    for (const [i, { outputs, score }] of answers.entries()) {
      expect(score).toBe(i + 0.5);
      expect([...outputs.keys()].sort()).toEqual([...names].sort());
      const tensor = (name: string) => outputs.get(name);
      expect(tensor('double')).toMatchObject({
        dataType: DataType.DATA_TYPE_FLOAT64,
        shape: [2n],
        doubles: [i, i + 0.5],
      });
      expect(tensor('long')).toMatchObject({ dataType: DataType.DATA_TYPE_INT64, integers: [BigInt(i), BigInt(i)] });
      expect(tensor('byte')).toMatchObject({ dataType: DataType.DATA_TYPE_UINT8, integers: [BigInt(i), BigInt(i)] });
      expect(tensor('wide')).toMatchObject({ dataType: DataType.DATA_TYPE_UINT64, unsigneds: [BigInt(i), BigInt(i)] });
      expect(tensor('flag')).toMatchObject({ dataType: DataType.DATA_TYPE_BOOL, integers: [i > 0 ? 1n : 0n, 1n] });
      expect(tensor('half')).toMatchObject({ dataType: DataType.DATA_TYPE_FLOAT16, floats: [i, i + 0.5] });
      expect(tensor('score')).toMatchObject({ dataType: DataType.DATA_TYPE_FLOAT32, shape: [1n], floats: [i + 0.5] });
    }
  });

  test('each call gets those it asked for, whatever its batch-mates want', async () => {
    const wanted = Array.from(
      { length: 32 },
      (_, i) => [['double'], [], ['long', 'half'], ['score']][i % 4] as string[],
    );
    const answers = await concurrently(32, wanted, (outputNames, i) =>
      server.client.score('types', [i, -i], { outputNames }),
    );
    for (const [i, { outputs, score }] of answers.entries()) {
      expect(score).toBe(i);
      expect([...outputs.keys()].sort()).toEqual([...(wanted[i] as string[])].sort());
      if (wanted[i]?.[0] === 'double') expect(outputs.get('double')?.doubles).toEqual([i, -i]);
    }
  });

  test('a name given twice comes once', async () => {
    const { outputs } = await server.client.score('types', [1, 2], { outputNames: ['long', 'long'] });
    expect(outputs.get('long')?.integers).toEqual([1n, 2n]);
  });

  test.each([
    ['vectors', [1, 2, 3, 4], 'set score.column'],
    ['ambiguous', [1, 2], 'set score.output'],
  ])('%s has no score that can be told: the error says %j, %j', async (model, row, key) => {
    const failure = await failureOf(server.client.score(model, row));
    expect(failure).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'SCORE_NOT_CONFIGURED',
      metadata: { model },
    });
    expect(failure.message).toContain(key);
    expect(failure.message).toContain('output_names');
  });

  test('its tensors are served all the same, and the score is NaN', async () => {
    const answer = await server.client.score('vectors', [1, 2, 3, 4], { outputNames: ['embedding'] });
    expect(answer.outputs.get('embedding')).toMatchObject({ shape: [8n], floats: [1, -1, 2, -2, 3, -3, 4, -4] });
    expect(answer.score).toBeNaN();
    expect(answer).toMatchObject({ label: undefined, segment: undefined });

    const both = await server.client.score('ambiguous', [1, 3], { outputNames: ['a', 'b'] });
    expect(both.outputs.get('a')?.floats).toEqual([2]);
    expect(both.outputs.get('b')?.floats).toEqual([3]);
  });
});
