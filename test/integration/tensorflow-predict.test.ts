// Tensors by TensorFlow Serving's Predict, as its clients send and take them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concurrently, eventually } from '../support/concurrently.ts';
import { folderOf, modelFolder } from '../support/model-folder.ts';
import {
  embedding,
  identityText,
  linear,
  meanOverBatch,
  onnxModel,
  slowLinear,
  twoOutputs,
} from '../support/onnx-builder.ts';
import { DT, floats, shapeOf, TensorflowClient, tensor } from '../support/tensorflow.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

/** A copy of every input: `x` [N, 2] of each type. */
const TYPES = [
  'float32',
  'float64',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
] as const;

function copies(): Uint8Array {
  const names = [...TYPES, 'float16'] as const;
  return onnxModel({
    inputs: names.map((type) => ({ name: type, type, dims: ['N', 2] })),
    outputs: names.map((type) => ({ name: `${type}_out`, type, dims: ['N', 2] })),
    nodes: names.map((type) => ({ op: 'Identity', inputs: [type], outputs: [`${type}_out`] })),
  });
}

let server: TestServer;
let client: TensorflowClient;

beforeAll(async () => {
  const folder = await modelFolder({
    risk: linear([1, -1], 0),
    two: twoOutputs(),
    text: identityText(),
    mean: meanOverBatch(2),
    embedding: embedding(),
    copies: copies(),
    slow: [slowLinear([1], 0, 6000), 'batching: { enabled: false }'],
    shifted: onnxModel({
      inputs: [
        { name: 'x', type: 'float32', dims: ['N', 1] },
        { name: 'shift', type: 'float32', dims: [1] },
      ],
      outputs: [{ name: 'y', type: 'float32', dims: ['N', 1] }],
      initializers: [{ name: 'shift', type: 'float32', dims: [1], data: [10] }],
      nodes: [{ op: 'Add', inputs: ['x', 'shift'], outputs: ['y'] }],
    }),
    scalar: onnxModel({
      inputs: [{ name: 'a', type: 'float32', dims: [] }],
      outputs: [{ name: 'b', type: 'float32', dims: [] }],
      nodes: [{ op: 'Neg', inputs: ['a'], outputs: ['b'] }],
    }),
  });
  server = await TestServer.start(folder, ['workers.count=1']);
  client = new TensorflowClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

describe('an answer', () => {
  test('has the values of every row in the list of their type, and says which version gave them', async () => {
    const { outputs, modelSpec } = await client.predict('risk', { x: floats([3, 2], [1, 0, 0, 1, 2, 2]) });
    const score = outputs.get('score') as NonNullable<ReturnType<typeof outputs.get>>;
    expect(score.dtype).toBe(DT.DT_FLOAT);
    expect(shapeOf(score)).toEqual([3, 1]);
    expect(score.tensorContent).toHaveLength(0);
    expect(score.floatVal).toEqual([1, -1, 0].map((logit) => expect.closeTo(sigmoid(logit), 6)));
    expect(modelSpec).toEqual({
      name: 'risk',
      versionChoice: { $case: 'version', value: 1n },
      signatureName: 'serving_default',
    });
  });

  test('is the same as that of a native call', async () => {
    const { score } = await server.client.score('risk', [0.25, 0.75]);
    const { outputs } = await client.predict({ name: 'risk', version: 1n }, { x: floats([1, 2], [0.25, 0.75]) });
    expect(outputs.get('score')?.floatVal).toEqual([score]);
  });

  test('has all outputs, or those of the filter', async () => {
    const inputs = { x: floats([1, 2], [1, 3]) };
    const all = await client.predict('two', inputs);
    expect([...all.outputs.keys()].sort()).toEqual(['a', 'b']);
    const some = await client.predict({ name: 'two', signature: 'serving_default' }, inputs, ['b']);
    expect([...some.outputs].map(([name, { floatVal }]) => [name, floatVal])).toEqual([['b', [3]]]);
  });

  test('has texts byte by byte', async () => {
    const texts = [Buffer.from([0, 1, 2, 3]), Buffer.from([0xff, 0xfe, 0]), Buffer.from('žluť'), Buffer.alloc(0)];
    const { outputs } = await client.predict('text', {
      text: tensor(DT.DT_STRING, [4, 1], { stringVal: texts }),
    });
    expect(outputs.get('echo')?.stringVal.map((bytes) => [...bytes])).toEqual(texts.map((bytes) => [...bytes]));
  });

  test('has every type of element, the smallest and the largest of them', async () => {
    const values = {
      float32: tensor(DT.DT_FLOAT, [1, 2], { floatVal: [-1.5, Math.fround(3e38)] }),
      float64: tensor(DT.DT_DOUBLE, [1, 2], { doubleVal: [-1e300, 0.1] }),
      int8: tensor(DT.DT_INT8, [1, 2], { intVal: [-128, 127] }),
      int16: tensor(DT.DT_INT16, [1, 2], { intVal: [-32768, 32767] }),
      int32: tensor(DT.DT_INT32, [1, 2], { intVal: [-(2 ** 31), 2 ** 31 - 1] }),
      int64: tensor(DT.DT_INT64, [1, 2], { int64Val: [-(2n ** 63n), 2n ** 63n - 1n] }),
      uint8: tensor(DT.DT_UINT8, [1, 2], { intVal: [0, 255] }),
      uint16: tensor(DT.DT_UINT16, [1, 2], { intVal: [0, 65535] }),
      uint32: tensor(DT.DT_UINT32, [1, 2], { uint32Val: [0, 2 ** 32 - 1] }),
      uint64: tensor(DT.DT_UINT64, [1, 2], { uint64Val: [0n, 2n ** 64n - 1n] }),
      bool: tensor(DT.DT_BOOL, [1, 2], { boolVal: [true, false] }),
      float16: tensor(DT.DT_HALF, [1, 2], { halfVal: [0x3c00, 0xfbff] }),
    };
    const { outputs } = await client.predict('copies', values);
    for (const [name, value] of Object.entries(values)) expect(outputs.get(`${name}_out`)).toEqual(value);
  });

  test('to tensor_content is that to the same values in a list', async () => {
    const content = Buffer.from(new Float32Array([1, 0, 0, 1]).buffer);
    const packed = await client.predict('risk', { x: tensor(DT.DT_FLOAT, [2, 2], { tensorContent: content }) });
    const listed = await client.predict('risk', { x: floats([2, 2], [1, 0, 0, 1]) });
    expect(packed.outputs).toEqual(listed.outputs);
  });

  test('to fewer values than elements is that to the last one repeated, and to none that to zeros', async () => {
    const { outputs } = await client.predict('mean', { x: floats([1, 2], [3]) });
    expect(outputs.get('score')?.floatVal).toEqual([0]);
    const repeated = await client.predict('two', { x: floats([1, 2], [3]) });
    expect(repeated.outputs.get('a')?.floatVal).toEqual([3]);
    const zeros = await client.predict('two', { x: floats([1, 2], []) });
    expect(zeros.outputs.get('b')?.floatVal).toEqual([0]);
  });

  test('to a model without rows has the dimensions that it gives; no shape is a scalar', async () => {
    const { outputs } = await client.predict('scalar', { a: tensor(DT.DT_FLOAT, undefined, { floatVal: [2] }) });
    expect(outputs.get('b')).toMatchObject({ floatVal: [-2], tensorShape: { dim: [] } });
  });

  test('depends on inputs that need not be given', async () => {
    const x = floats([2, 1], [1, 2]);
    expect((await client.predict('shifted', { x })).outputs.get('y')?.floatVal).toEqual([11, 12]);
    const given = await client.predict('shifted', { x, shift: floats([1], [100]) });
    expect(given.outputs.get('y')?.floatVal).toEqual([101, 102]);
  });

  test('has all rows of a request that has more than a batch may have', async () => {
    const rows = 5000;
    const values = Array.from({ length: 2 * rows }, (_, index) => (index % 7) - (index % 3));
    const { outputs } = await client.predict('two', { x: floats([rows, 2], values) }, ['b']);
    const expected = Array.from({ length: rows }, (_, row) =>
      Math.max(values[2 * row] as number, values[2 * row + 1] as number),
    );
    expect(outputs.get('b')?.floatVal).toEqual(expected);
  });

  test('is right for all of many callers at once', async () => {
    const logits = Array.from({ length: 200 }, (_, index) => index / 50 - 2);
    const answers = await concurrently(50, logits, (logit) =>
      client.predict('risk', { x: floats([1, 2], [logit, 0]) }),
    );
    expect(answers.map(({ outputs }) => outputs.get('score')?.floatVal[0])).toEqual(
      logits.map((logit) => expect.closeTo(sigmoid(logit), 6)),
    );
  });

  test('is that to the caller’s own values, though they take more room than their message', async () => {
    const rows = 5000;
    const answers = await concurrently(20, [...'abcdefghijklmnopqrstuvwxyz'.repeat(3)], async (letter) => {
      const text = tensor(DT.DT_STRING, [rows, 1], { stringVal: new Array(rows).fill(Buffer.from(letter)) });
      const { outputs } = await client.predict('text', { text }, ['echo']);
      return { letter, echo: Buffer.concat(outputs.get('echo')?.stringVal ?? []).toString() };
    });
    for (const { letter, echo } of answers) expect(echo).toBe(letter.repeat(rows));
  });

  test('comes for a message far above the limit of native calls', async () => {
    const rows = 300_000;
    const x = tensor(DT.DT_FLOAT, [rows, 4], { tensorContent: Buffer.alloc(16 * rows) });
    const { outputs } = await client.predict('embedding', { x });
    expect(shapeOf(outputs.get('embedding') as never)).toEqual([rows, 8]);
    expect(outputs.get('embedding')?.floatVal).toHaveLength(8 * rows);
  });
});

describe('refused is', () => {
  const x = floats([1, 2], [1, 2]);
  const refused = async (call: Promise<unknown>) => {
    const { code, message } = await failureOf(call);
    return `${code} ${message}`;
  };

  test('a request for no model, or for one that there is not', async () => {
    expect(await refused(client.predict(undefined, { x }))).toBe('INVALID_ARGUMENT Missing ModelSpec');
    expect(await refused(client.predict('', { x }))).toBe('INVALID_ARGUMENT ModelSpec has no name specified.');
    expect(await refused(client.predict('m', { x }))).toBe('NOT_FOUND Servable not found for request: Latest(m)');
    expect(await refused(client.predict({ name: 'risk', version: 7n }, { x }))).toBe(
      'NOT_FOUND Servable not found for request: Specific(risk, 7)',
    );
    expect(await refused(client.predict({ name: 'risk', label: 'canary' }, { x }))).toBe(
      'INVALID_ARGUMENT Unrecognized servable version label: canary',
    );
  });

  test('a signature that the model does not have, or that takes examples', async () => {
    expect(await refused(client.predict({ name: 'risk', signature: 'zz' }, { x }))).toBe(
      'FAILED_PRECONDITION Serving signature key "zz" not found.',
    );
    expect(await refused(client.predict({ name: 'risk', signature: 'classification' }, { x }))).toMatch(
      /^INVALID_ARGUMENT model_spec.signature_name: expected "serving_default"/,
    );
  });

  test('a set of inputs that is not the model’s', async () => {
    expect(await refused(client.predict('risk', {}))).toBe(
      'INVALID_ARGUMENT input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.',
    );
    expect(await refused(client.predict('risk', { x, z: x, b: x }))).toBe(
      'INVALID_ARGUMENT input size does not match signature: 3!=1 len({b,x,z}) != len({x}). Sent extra: {b,z}. Missing but required: {}.',
    );
    expect(await refused(client.predict('risk', { y: x }))).toMatch(
      /^INVALID_ARGUMENT input tensor alias not found in signature: y\. /,
    );
  });

  test('an output that the model does not have, or that is asked for twice', async () => {
    expect(await refused(client.predict('risk', { x }, ['q']))).toBe(
      'INVALID_ARGUMENT output tensor alias not found in signature: q Outputs expected to be in the set {score}.',
    );
    expect(await refused(client.predict('risk', { x }, ['score', 'score']))).toBe(
      'INVALID_ARGUMENT duplicate output tensor alias: score',
    );
  });

  test.each([
    [
      'another type',
      tensor(DT.DT_DOUBLE, [1, 2], { doubleVal: [1, 2] }),
      /inputs\["x"\].dtype: expected DT_FLOAT, found DT_DOUBLE/,
    ],
    [
      'a type that no model takes',
      tensor(DT.DT_BFLOAT16, [1, 2], { halfVal: [1, 2] }),
      /found DT_BFLOAT16, which no model/,
    ],
    ['a resource', tensor(DT.DT_RESOURCE, [1, 2], {}), /found DT_RESOURCE, which no model/],
    ['a type that there is not', tensor(77, [1, 2], {}), /expected DT_FLOAT, found the data type 77/],
    ['another width', floats([1, 3], [1, 2, 3]), /inputs\["x"\].tensor_shape: expected \[-1,2\], found \[1,3\]/],
    ['fewer dimensions', floats([2], [1, 2]), /expected \[-1,2\], found \[2\]/],
    ['a negative size', floats([-1, 2], [1, 2]), /found -1 in \[-1,2\]/],
    ['a tensor as large as the world', floats([2 ** 52, 2], [1]), /fits in memory/],
    ['more rows than there may be', floats([2_000_000, 2], [1]), /expected at most 1000000 rows, found 2000000/],
    ['one value for a large tensor', floats([200_000, 2], [1]), /expected all values of a tensor/],
    [
      'more values than elements',
      floats([1, 2], [1, 2, 3]),
      /inputs\["x"\].float_val: expected at most 2 values, found 3/,
    ],
    ['values in the wrong list', tensor(DT.DT_FLOAT, [1, 2], { doubleVal: [1, 2] }), /found them in another list/],
    [
      'bytes that are not whole',
      tensor(DT.DT_FLOAT, [1, 2], { tensorContent: Buffer.alloc(7) }),
      /expected 8 bytes, found 7/,
    ],
  ])('%s', async (_what, input, message) => {
    expect(await failureOf(client.predict('risk', { x: input }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_FIELD',
      message: expect.stringMatching(message),
    });
  });

  test('a message that is none of its type', async () => {
    const { code, reason } = await failureOf(
      new Promise((resolve, reject) => {
        client.prediction.makeUnaryRequest(
          '/tensorflow.serving.PredictionService/Predict',
          (bytes: Buffer) => bytes,
          (bytes) => bytes,
          // An input whose tensor says that it is longer than the message.
          Buffer.from([18, 4, 18, 100, 0, 0]),
          (error, answer) => (error === null ? resolve(answer) : reject(error)),
        );
      }),
    );
    expect({ code, reason }).toEqual({ code: 'INVALID_ARGUMENT', reason: 'MALFORMED_MESSAGE' });
  });

  test('what comes too late, and nothing else', async () => {
    const inputs = { x: floats([1, 1], [0]) };
    const blocking = client.predict('slow', inputs);
    const late = failureOf(client.predict('slow', inputs, [], { deadlineMs: 1 }));
    expect((await late).code).toBe('DEADLINE_EXCEEDED');
    expect((await blocking).outputs.get('score')?.floatVal).toEqual([0.5]);
  });
});

test('a caller who leaves in the midst of a large message takes nothing along', async () => {
  const model = server.running.engine.models.find('embedding');
  const x = tensor(DT.DT_FLOAT, [500_000, 4], { floatVal: new Array(2_000_000).fill(1) });
  for (const waitMs of [5, 20, 40, 80]) {
    const leave = new AbortController();
    const call = failureOf(client.predict('embedding', { x }, [], { signal: leave.signal }));
    setTimeout(() => leave.abort(), waitMs);
    expect((await call).code).toBe('CANCELLED');
  }
  await eventually(async () => model?.uses.count === 0 && (await server.metric('scorewire_calls_in_flight')) === 0);
  expect((await client.predict('embedding', { x: floats([1, 4], [1]) })).outputs.size).toBe(1);
});

test('calls are counted as others are, by method and model, and their rows by version', async () => {
  const labels = { rpc_method: 'tensorflow.serving.PredictionService/Predict', model: 'risk', rpc_status_code: 'OK' };
  const calls = () => server.metric('rpc_server_call_duration_seconds_count', labels);
  const model = server.running.engine.models.find('risk');
  const before = await calls();
  const rows = model?.statistics.inferenceCount ?? 0;
  await client.predict('risk', { x: floats([5, 2], [1]) });
  expect(await calls()).toBe(before + 1);
  expect(model?.statistics.inferenceCount).toBe(rows + 5);
  expect(model?.uses.count).toBe(0);
});

test('a model with a config of Triton’s takes and gives what that says', async () => {
  const config = `
    max_batch_size: 8
    input [{ name: "x" data_type: TYPE_FP32 dims: [ 2, 1 ] reshape: { shape: [ 2 ] } }]
    output [{ name: "score" data_type: TYPE_FP32 dims: [ 1, 1 ] reshape: { shape: [ 1 ] } }]
  `;
  const folder = await folderOf({ 'risk/1/model.onnx': linear([1, -1], 0), 'risk/config.pbtxt': config });
  const other = await TestServer.start(folder, ['workers.count=1']);
  const caller = new TensorflowClient(other.address);
  try {
    const { outputs } = await caller.predict('risk', { x: floats([2, 2, 1], [1, 0, 0, 0]) });
    expect(shapeOf(outputs.get('score') as never)).toEqual([2, 1, 1]);
    expect(outputs.get('score')?.floatVal).toEqual([expect.closeTo(sigmoid(1), 6), 0.5]);
    const { message } = await failureOf(caller.predict('risk', { x: floats([9, 2, 1], [0]) }));
    expect(message).toBe('inputs["x"].tensor_shape: expected at most 8 rows, found 9');
  } finally {
    caller.close();
    await other.stop();
  }
});
