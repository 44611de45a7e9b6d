// Examples by TensorFlow Serving's Classify, Regress and MultiInference, and what it says of models.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelVersionStatus_State as State } from '../../src/gen/tensorflow_serving/apis/get_model_status.ts';
import type { MultiInferenceResponse } from '../../src/gen/tensorflow_serving/apis/inference.ts';
import type { ReloadConfigResponse } from '../../src/gen/tensorflow_serving/apis/model_management.ts';
import { EXAMPLES, folderOf } from '../support/model-folder.ts';
import { classifier, gatherRow, linear, openWidth, twoOutputs } from '../support/onnx-builder.ts';
import { DT, example, exampleInput, modelSpec, TensorflowClient } from '../support/tensorflow.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;
let client: TensorflowClient;

beforeAll(async () => {
  const digits = join(EXAMPLES, 'digits-int8');
  const folder = await folderOf({
    'risk/1/model.onnx': linear([1, -1], 0),
    'risk/model.yaml': 'task: binary\nfeatures: [{ name: a }, { name: b, default: 1 }]\nlabel: { names: [good, bad] }',
    'value/1/model.onnx': linear([2, 1], 0),
    'value/2/model.onnx': linear([1, 1], 0),
    'value/model.yaml': 'task: regression',
    'flower/1/model.onnx': classifier(['rose', 'tulip', 'lily']),
    'flower/model.yaml': 'score: { column: predicted }',
    'open/1/model.onnx': openWidth(),
    'table/1/model.onnx': gatherRow(),
    'two/1/model.onnx': twoOutputs(),
    'broken/1/model.onnx': Buffer.from('no model'),
    'broken/2/model.onnx': linear([1], 0),
    'digits/1/model.onnx': await readFile(join(digits, '1', 'model.onnx')),
    'digits/model.yaml': 'task: multiclass\nscore: { output: probabilities, column: predicted }',
  });
  server = await TestServer.start(folder, ['workers.count=1']);
  client = new TensorflowClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

async function classes(spec: Parameters<TensorflowClient['classify']>[0], input: ReturnType<typeof exampleInput>) {
  const { result } = await client.classify(spec, input);
  return result?.classifications.map((one) => one.classes.map(({ label, score }) => [label, score]));
}

describe('Classify', () => {
  test('gives every example the classes that the model names, with the scores of a native call', async () => {
    const rows = [
      { a: 0.5, b: 0.25 },
      { a: -2, b: 3 },
    ];
    const scores = await Promise.all(rows.map(async (row) => (await server.client.score('risk', row)).score));
    const found = await classes('risk', exampleInput(rows.map(example)));
    expect(found).toEqual(
      scores.map((score) => [
        ['good', expect.closeTo(1 - score, 6)],
        ['bad', score],
      ]),
    );
  });

  test('gives all classes of a model of many', async () => {
    const found = await classes('flower', exampleInput([example({ X: [1, 2, 3] }), example({ X: [9, 0, 0] })]));
    expect(found?.map((one) => one.map(([label]) => label))).toEqual([
      ['rose', 'tulip', 'lily'],
      ['rose', 'tulip', 'lily'],
    ]);
    for (const one of found ?? []) expect(one.reduce((sum, [, score]) => sum + Number(score), 0)).toBeCloseTo(1, 5);
    expect(found?.[1]?.[0]?.[1]).toBeGreaterThan(0.9);
  });

  test('fills in what an example lacks from the context, and then from defaults, and passes over what no model knows', async () => {
    const input = exampleInput(
      [example({ a: 1 }), example({ a: 1, b: 5 }), example({ note: 'new' })],
      example({ a: 2, b: 3 }),
    );
    const scores = (await classes('risk', input))?.map((one) => one[1]?.[1]);
    const expected = [
      { a: 1, b: 3 },
      { a: 1, b: 5 },
      { a: 2, b: 3 },
    ].map(async (row) => (await server.client.score('risk', row)).score);
    expect(scores).toEqual(await Promise.all(expected));
    const alone = await classes('risk', exampleInput([example({ a: 0.5, b: [] })]));
    expect(alone?.[0]?.[1]?.[1]).toBe((await server.client.score('risk', { a: 0.5 })).score);
  });

  test('runs each example alone where others would change its score', async () => {
    const pixels = [0, 1, 2].map((seed) =>
      Array.from({ length: 64 }, (_, index) => ((index * 7 + seed * 13) % 17) * (seed + 1)),
    );
    const alone = await Promise.all(
      pixels.map((values) => classes('digits', exampleInput([example({ pixels: values })]))),
    );
    const together = await classes('digits', exampleInput(pixels.map((values) => example({ pixels: values }))));
    expect(together).toEqual(alone.map((one) => one?.[0]));
  });

  test('answers thousands of examples, in their order', async () => {
    const values = Array.from({ length: 5000 }, (_, index) => (index % 100) / 25 - 2);
    const found = await classes('risk', exampleInput(values.map((a) => example({ a, b: 0 }))));
    expect(found?.map((one) => one[1]?.[1])).toEqual(values.map((a) => expect.closeTo(1 / (1 + Math.exp(-a)), 5)));
  });

  test('takes the signature by its own name as well, and says which one it was', async () => {
    const input = exampleInput([example({ a: 1 })]);
    const named = await client.classify({ name: 'risk', signature: 'classification' }, input);
    expect(named.modelSpec?.signatureName).toBe('classification');
    const unnamed = await client.classify('risk', input);
    expect(unnamed.modelSpec).toEqual(modelSpec({ name: 'risk', version: 1n, signature: 'serving_default' }));
  });
});

describe('Regress', () => {
  test('gives every example a number, by the version asked for', async () => {
    const input = exampleInput([example({ x: [1, 2] }), example({ x: [0.5, 0] })]);
    for (const version of [1n, 2n]) {
      const { result, modelSpec: answered } = await client.regress({ name: 'value', version }, input);
      const scores = [
        await server.client.score('value', [1, 2], { version }),
        await server.client.score('value', [0.5, 0], { version }),
      ];
      expect(result?.regressions).toEqual(scores.map(({ score }) => ({ value: score })));
      expect(answered?.versionChoice).toEqual({ $case: 'version', value: version });
    }
  });

  test('takes lists of any length where the model does, and integers', async () => {
    const input = exampleInput([example({ x: [1, 2, 6] }), example({ x: [4] }), example({ x: [2n, 4n] })]);
    expect((await client.regress('open', input)).result?.regressions).toEqual([
      { value: 3 },
      { value: 4 },
      { value: 3 },
    ]);
    const { result } = await client.regress('table', exampleInput([example({ index: 2n }), example({ index: -4n })]));
    expect(result?.regressions).toEqual([{ value: 0.5 }, { value: 0.125 }]);
  });
});

test('MultiInference gives what the task would alone', async () => {
  const input = exampleInput([example({ a: 1, b: 0 })]);
  const multi = (tasks: readonly [name: string, method: string][]): Promise<MultiInferenceResponse> =>
    promised((done) =>
      client.prediction.multiInference(
        {
          tasks: tasks.map(([name, method]) => ({
            modelSpec: modelSpec(name),
            methodName: `tensorflow/serving/${method}`,
          })),
          input,
        },
        done,
      ),
    );
  const { result, modelSpec: answered } = await client.classify('risk', input);
  expect(await multi([['risk', 'classify']])).toEqual({
    results: [{ modelSpec: answered, result: { $case: 'classificationResult', value: result } }],
  });
  const codes = async (tasks: readonly [string, string][]) => (await failureOf(multi(tasks))).code;
  expect(await codes([])).toBe('INVALID_ARGUMENT');
  expect(await codes([['risk', 'predict']])).toBe('UNIMPLEMENTED');
  expect(
    await codes([
      ['risk', 'classify'],
      ['value', 'regress'],
    ]),
  ).toBe('INVALID_ARGUMENT');
  expect(
    await codes([
      ['risk', 'classify'],
      ['risk', 'classify'],
    ]),
  ).toBe('INVALID_ARGUMENT');
});

describe('refused are', () => {
  const refused = async (call: Promise<unknown>) => {
    const { code, message } = await failureOf(call);
    return `${code} ${message}`;
  };
  const one = exampleInput([example({ a: 1 })]);

  test('calls that the model is not for', async () => {
    expect(await refused(client.regress('risk', one))).toBe(
      'INVALID_ARGUMENT Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/classify',
    );
    expect(await refused(client.classify('value', one))).toBe(
      'INVALID_ARGUMENT Expected classification signature method_name to be tensorflow/serving/classify. Was: tensorflow/serving/regress',
    );
    expect(await refused(client.classify('two', one))).toMatch(/Was: tensorflow\/serving\/predict$/);
    expect(await refused(client.classify({ name: 'risk', signature: 'zz' }, one))).toBe(
      'INVALID_ARGUMENT No signature was found with the name: zz',
    );
    expect(await refused(client.classify('nobody', one))).toBe(
      'NOT_FOUND Servable not found for request: Latest(nobody)',
    );
  });

  test('calls without examples', async () => {
    expect(await refused(client.classify('risk', undefined))).toBe('INVALID_ARGUMENT Input is empty.');
    expect(await refused(client.classify('risk', exampleInput([])))).toBe('INVALID_ARGUMENT Input is empty.');
  });

  test('examples that are no rows, by their place and the feature', async () => {
    const place = async (features: Parameters<typeof example>[0], model = 'risk') => {
      const call = client.prediction;
      const input = exampleInput([example({ a: 1, X: [1, 2, 3] }), example(features)]);
      const { code, violations } = await failureOf(
        promised((done) => call.classify({ modelSpec: modelSpec(model), input }, done)),
      );
      return [code, ...violations.map(({ field, description }) => `${field}: ${description}`)];
    };
    const field = 'examples[1].features["a"]';
    expect(await place({})).toEqual(['INVALID_ARGUMENT', `${field}: expected a number, found nothing`]);
    expect(await place({ a: 'one' })).toEqual(['INVALID_ARGUMENT', `${field}: expected a number, found text "one"`]);
    expect(await place({ a: [1, 2] })).toEqual(['INVALID_ARGUMENT', `${field}: expected one value, found 2`]);
    expect(await place({ X: [1, 2] }, 'flower')).toEqual([
      'INVALID_ARGUMENT',
      'examples[1].features["X"]: expected 3 values, found 2',
    ]);
    expect(await place({ X: 'abc' }, 'flower')).toEqual([
      'INVALID_ARGUMENT',
      'examples[1].features["X"]: expected 3 values, found 1',
    ]);
  });

  test('runs that the model fails in', async () => {
    expect((await failureOf(client.regress('table', exampleInput([example({ index: 99n })])))).code).toBe('INTERNAL');
  });
});

describe('of models are said', () => {
  test('their signatures, with open dimensions for rows', async () => {
    const signatures = await client.signatures('risk');
    expect([...signatures.keys()].sort()).toEqual(['classification', 'serving_default']);
    const { inputs, outputs, methodName } = signatures.get('serving_default') as NonNullable<
      ReturnType<typeof signatures.get>
    >;
    expect(methodName).toBe('tensorflow/serving/predict');
    const described = [...inputs, ...outputs].map(([name, { dtype, tensorShape }]) => [
      name,
      dtype,
      tensorShape?.dim.map(({ size }) => size),
    ]);
    expect(described).toEqual([
      ['x', DT.DT_FLOAT, [-1n, 2n]],
      ['score', DT.DT_FLOAT, [-1n, 1n]],
    ]);
    expect((await client.signatures('value')).get('regression')?.methodName).toBe('tensorflow/serving/regress');
    expect([...(await client.signatures('two')).keys()]).toEqual(['serving_default']);
  });

  test('nothing else', async () => {
    const message = async (call: Promise<unknown>) => (await failureOf(call)).message;
    expect(await message(client.metadata('risk', []))).toBe(
      'GetModelMetadataRequest must specify at least one metadata_field',
    );
    expect(await message(client.metadata('risk', ['weights']))).toBe('Metadata field weights is not supported');
    expect(await message(client.metadata('nobody'))).toBe('Servable not found for request: Latest(nobody)');
  });

  test('the states of their versions', async () => {
    const { modelVersionStatus } = await client.status('value');
    expect(modelVersionStatus.map(({ version, state, status }) => [version, state, status?.errorCode])).toEqual([
      [1n, State.AVAILABLE, 0],
      [2n, State.AVAILABLE, 0],
    ]);
    const one = await client.status({ name: 'value', version: 1n });
    expect(one.modelVersionStatus.map(({ version }) => version)).toEqual([1n]);
    expect(await failureOf(client.status('m'))).toMatchObject({
      code: 'NOT_FOUND',
      message: 'Could not find any versions of model m',
    });
    expect(await failureOf(client.status({ name: 'value', version: 7n }))).toMatchObject({
      code: 'NOT_FOUND',
      message: 'Could not find version 7 of model value',
    });
  });

  test('why a version could not be loaded', async () => {
    const { modelVersionStatus } = await client.status('broken');
    expect(modelVersionStatus.map(({ version, state, status }) => [version, state, status?.errorCode])).toEqual([
      [1n, State.END, 2],
      [2n, State.AVAILABLE, 0],
    ]);
    expect(modelVersionStatus[0]?.status?.errorMessage).toMatch(/model.onnx/);
    expect(await failureOf(client.predict({ name: 'broken', version: 1n }, {}))).toMatchObject({
      code: 'NOT_FOUND',
      message: 'Servable not found for request: Specific(broken, 1)',
    });
  });

  test('that their configuration is not for callers to change', async () => {
    const reload = promised<ReloadConfigResponse>((done) =>
      client.models.handleReloadConfigRequest({ config: undefined, metricNames: [] }, done),
    );
    expect(await failureOf(reload)).toMatchObject({ code: 'UNIMPLEMENTED', reason: 'NOT_CONFIGURED_BY_CALLS' });
  });

  test('health, by the services’ names', async () => {
    expect(await server.client.check('tensorflow.serving.PredictionService')).toBe('SERVING');
    expect(await server.client.check('tensorflow.serving.ModelService')).toBe('SERVING');
  });
});
