// A folder as Triton has it, served as it lies there: configs of every kind beside models without one.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelInferResponse } from '../../src/gen/inference/inference.ts';
import {
  floats,
  floatsOf,
  inferRequest,
  int32s,
  int32sOf,
  rawOutput,
  type TensorInit,
} from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { folderOf } from '../support/model-folder.ts';
import { addAndSubtract, identity, linear, onnxModel, slowLinear } from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const SIMPLE = `
name: "simple"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }
]
output { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
instance_group [ { count: 2 kind: KIND_GPU } ]
model_warmup { name: "zeros" batch_size: 8 inputs { key: "INPUT0" value { data_type: TYPE_INT32 dims: 16 zero_data: true } }
  inputs { key: "INPUT1" value { data_type: TYPE_INT32 dims: 16 random_data: true } } }
`;

/** `x` [2] and `factor`, 10 by itself, and a text that is there for nothing -> `y` = x * factor. */
const scaled = onnxModel({
  inputs: [
    { name: 'factor', type: 'float32', dims: [1] },
    { name: 'x', type: 'float32', dims: [2] },
    { name: 'note', type: 'string', dims: [1] },
  ],
  outputs: [
    { name: 'y', type: 'float32', dims: [2] },
    { name: 'told', type: 'string', dims: [1] },
  ],
  initializers: [
    { name: 'factor', type: 'float32', dims: [1], data: [10] },
    { name: 'note', type: 'string', dims: [1], data: ['ten'] },
  ],
  nodes: [
    { op: 'Mul', inputs: ['x', 'factor'], outputs: ['y'] },
    { op: 'Identity', inputs: ['note'], outputs: ['told'] },
  ],
});

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  const folder = await folderOf({
    'simple/1/model.onnx': addAndSubtract(),
    'simple/config.pbtxt': SIMPLE,
    'large/1/model.onnx/model.onnx': identity('float32', ['N', 2]),
    'versions/1/model.onnx': linear([1, -1], 0),
    'versions/2/model.onnx': linear([1, -1], 1),
    'versions/3/model.onnx': linear([1, -1], 2),
    'versions/config.pbtxt': 'version_policy: { specific { versions: [ 1, 3 ] } }',
    'scaled/1/model.onnx': scaled,
    'scaled/config.pbtxt': `
      input { name: "x" data_type: TYPE_FP32 dims: 2 }
      input { name: "factor" data_type: TYPE_FP32 dims: 1 optional: true }
      input { name: "note" data_type: TYPE_STRING dims: 1 optional: true }`,
    'scaled_bare/1/model.onnx': scaled,
    'broken/1/model.onnx': linear([1], 0),
    'broken/config.pbtxt': 'max_batch_size: 8\ninput [ { name: "y" } ]',
    'plan/1/model.plan': 'x',
    'plan/config.pbtxt': 'platform: "tensorrt_plan"',
    'sequence/1/model.onnx': linear([1], 0),
    'sequence/config.pbtxt': 'sequence_batching { }',
  });
  server = await TestServer.start(folder);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

const infer = (model: string, inputs: readonly TensorInit[]): Promise<ModelInferResponse> =>
  client.call('modelInfer', inferRequest(model, inputs));

test('what can be served is, and what can not is told by model, file and field', async () => {
  const served = (await server.client.listModels()).map(({ name, version }) => `${name} ${version}`);
  expect(served).toEqual(['large 1', 'scaled 1', 'scaled_bare 1', 'simple 1', 'versions 1', 'versions 3']);
  const told = server.lines.filter(({ level, model }) => level === 'error' && model !== undefined);
  expect(
    Object.fromEntries(told.map(({ model, reason }) => [model, String(reason).replace(/\S*\/(?=\w+\/config)/, '')])),
  ).toEqual({
    broken: 'broken/config.pbtxt:2: input[0].name: found "y"; allowed is an input of the graph: "x"',
    plan: 'plan/config.pbtxt:1: platform: found "tensorrt_plan"; allowed is "onnxruntime_onnx": only ONNX models are served',
    sequence:
      'sequence/config.pbtxt:1: sequence_batching: models with state between requests (sequences) are not served',
  });
  const warned = server.lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
  for (const field of ['instance_group[0].count', 'instance_group[0].kind', 'dynamic_batching.preferred_batch_size']) {
    expect(warned.some((line) => line.includes(`simple/config.pbtxt`) && line.includes(` ${field} is ignored: `))).toBe(
      true,
    );
  }
  expect(warned.some((line) => line.includes('model_warmup'))).toBe(false);
});

test('tensors come in the order of the config, and no others', async () => {
  const { inputs, outputs } = await client.call('modelMetadata', { name: 'simple', version: '' });
  expect(inputs).toEqual([
    { name: 'INPUT1', datatype: 'INT32', shape: [-1n, 16n] },
    { name: 'INPUT0', datatype: 'INT32', shape: [-1n, 16n] },
  ]);
  expect(outputs).toEqual([{ name: 'OUTPUT1', datatype: 'INT32', shape: [-1n, 16n] }]);
  const ramp = Array.from({ length: 16 }, (_, index) => index);
  const response = await infer('simple', [
    { name: 'INPUT0', datatype: 'INT32', shape: [1, 16], raw: int32s(...ramp) },
    { name: 'INPUT1', datatype: 'INT32', shape: [1, 16], raw: int32s(...ramp.map(() => 1)) },
  ]);
  expect(response.outputs.map(({ name }) => name)).toEqual(['OUTPUT1']);
  expect(int32sOf(rawOutput(response, 'OUTPUT1'))).toEqual(ramp.map((value) => value - 1));
});

test('a request has no more rows than max_batch_size', async () => {
  const rows = 9;
  const zeros = int32s(...new Array<number>(rows * 16).fill(0));
  const inputs = ['INPUT0', 'INPUT1'].map((name) => ({ name, datatype: 'INT32', shape: [rows, 16], raw: zeros }));
  await expect(infer('simple', inputs)).rejects.toThrow("inference request batch-size must be <= 8 for 'simple'");
});

test('a model that lies as a folder in its version is served', async () => {
  const response = await infer('large', [{ name: 'x', datatype: 'FP32', shape: [1, 2], raw: floats(1, 2) }]);
  expect(floatsOf(rawOutput(response, 'y'))).toEqual([1, 2]);
});

describe.each(['scaled', 'scaled_bare'])('an input with a value of its own: %s', (model) => {
  const x: TensorInit = { name: 'x', datatype: 'FP32', shape: [2], raw: floats(1, 2) };
  const factor = (value: number): TensorInit => ({ name: 'factor', datatype: 'FP32', shape: [1], raw: floats(value) });
  const note: TensorInit = { name: 'note', datatype: 'BYTES', shape: [1], raw: Buffer.from('\x03\0\0\0own') };
  const answer = async (...inputs: TensorInit[]) => {
    const response = await infer(model, inputs);
    return [floatsOf(rawOutput(response, 'y')), rawOutput(response, 'told').subarray(4).toString()];
  };

  test('is the value where nobody brings another one, before and after somebody did', async () => {
    expect(await answer(x)).toEqual([[10, 20], 'ten']);
    expect(await answer(factor(3), x)).toEqual([[3, 6], 'ten']);
    expect(await answer(note, factor(-1), x)).toEqual([[-1, -2], 'own']);
    expect(await answer(x)).toEqual([[10, 20], 'ten']);
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? answer(x) : answer(factor(i), x))),
    );
    expect(many).toEqual(Array.from({ length: 20 }, (_, i) => [i % 2 === 0 ? [10, 20] : [i, 2 * i], 'ten']));
  });

  test('must be of its own type and shape', async () => {
    expect((await failureOf(infer(model, [x, { ...factor(1), shape: [2], raw: floats(1, 2) }]))).message).toContain(
      `unexpected shape for input 'factor' for model '${model}'. Expected [1], got [2]`,
    );
  });
});

test('no more requests wait than max_queue_size lets', async () => {
  const folder = await folderOf({
    'slow/1/model.onnx': slowLinear([1], 0, 3000),
    'slow/config.pbtxt': 'max_batch_size: 1 dynamic_batching { default_queue_policy { max_queue_size: 2 } }',
  });
  const busy = await TestServer.start(folder, ['workers.count=1']);
  const one = new InferenceClient(busy.address);
  const row = inferRequest('slow', [{ name: 'x', datatype: 'FP32', shape: [1, 1], raw: floats(1) }]);
  const ends = await Promise.all(
    Array.from({ length: 8 }, () =>
      one.call('modelInfer', row).then(
        () => 'OK',
        (error: Error) => error.message,
      ),
    ),
  );
  expect(ends.filter((end) => end === 'OK').length).toBeGreaterThanOrEqual(2);
  expect(ends.filter((end) => end !== 'OK').length).toBeGreaterThan(0);
  for (const end of ends) expect(end).toMatch(/^OK$|Exceeds maximum queue size$/);
  one.close();
  await busy.stop();
});
