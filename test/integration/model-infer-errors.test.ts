// What ModelInfer refuses, in the words that clients of Triton look for, and in the order in which Triton looks.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  floats,
  inferRequest,
  int32s,
  type ParameterInit,
  packed,
  type RequestInit,
  type TensorInit,
} from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { folderOf } from '../support/model-folder.ts';
import { addAndSubtract, gatherRow, identity, onnxModel } from '../support/onnx-builder.ts';
import { type Failure, failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  const folder = await folderOf({
    'simple/1/model.onnx': addAndSubtract(),
    'simple/config.pbtxt': `
      name: "simple" platform: "onnxruntime_onnx" max_batch_size: 8
      input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] } ]
      output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] } ]`,
    'text/1/model.onnx': identity('string', ['N', 16]),
    'fixed/1/model.onnx': identity('float32', [2, 3]),
    'gather/1/model.onnx': gatherRow(),
    'weighted/1/model.onnx': onnxModel({
      inputs: [
        { name: 'x', type: 'float32', dims: [1] },
        { name: 'y', type: 'float32', dims: [1] },
        { name: 'weight', type: 'float32', dims: [1] },
      ],
      outputs: [{ name: 'z', type: 'float32', dims: [1] }],
      initializers: [{ name: 'weight', type: 'float32', dims: [1], data: [10] }],
      nodes: [{ op: 'Sum', inputs: ['x', 'weight', 'y'], outputs: ['z'] }],
    }),
  });
  server = await TestServer.start(folder, ['limits.max_infer_message_bytes=100000']);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

function failure(model: string, inputs: readonly TensorInit[], init: RequestInit = {}): Promise<Failure> {
  return failureOf(client.call('modelInfer', inferRequest(model, inputs, init)));
}

const row = int32s(...Array.from({ length: 16 }, (_, index) => index));

function tensor(name: string, change: object = {}): TensorInit {
  return { name, datatype: 'INT32', shape: [1, 16], raw: row, ...change } as TensorInit;
}

const both = [tensor('INPUT0'), tensor('INPUT1')];
const LR = '[request id: 42] ';
const NOTE =
  ' NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size.';

type Case = readonly [model: string, inputs: readonly TensorInit[], init: RequestInit, message: string];

describe('INVALID_ARGUMENT', () => {
  const texts = (count: number) => packed(...Array.from({ length: count }, () => 'a'));
  const text = (raw: Uint8Array): TensorInit => ({ name: 'x', datatype: 'BYTES', shape: [1, 16], raw });
  const typed = (values: readonly (number | bigint)[], datatype = 'INT32') =>
    ({ name: 'INPUT1', datatype, shape: [1, 16], typed: values }) as TensorInit;
  const cases: readonly Case[] = [
    [
      'simple',
      both,
      { version: 'x' },
      "failed to get model version from specified version string 'x' (details: stol), version should be an integral value > 0",
    ],
    ['simple', [...both, tensor('INPUT1')], {}, `${LR}input 'INPUT1' already exists in request`],
    ['simple', both, { outputs: ['OUTPUT0', 'DUMMY', 'OUTPUT0'] }, `${LR}output 'OUTPUT0' already exists in request`],
    [
      'simple',
      [tensor('INPUT0'), { name: 'INPUT1', datatype: 'INT32', shape: [1, 16], nothing: true }],
      {},
      "unable to find data for input tensor 'INPUT1' for model 'simple' in request.",
    ],
    [
      'simple',
      [tensor('INPUT0'), typed([1])],
      {},
      "contents field must not be specified when using raw_input_contents for 'INPUT1' for model 'simple'",
    ],
    ['simple', both, { outputs: ['DUMMY'] }, "unexpected inference output 'DUMMY' for model 'simple'"],
    [
      'simple',
      [tensor('INPUT0')],
      {},
      `${LR}expected 2 inputs but got 1 inputs for model 'simple'. Got input(s) ['INPUT0'], but missing required input(s) ['INPUT1']. Please provide all required input(s).`,
    ],
    [
      'simple',
      [],
      {},
      `${LR}expected 2 inputs but got 0 inputs for model 'simple'. Got input(s) [], but missing required input(s) ['INPUT0','INPUT1']. Please provide all required input(s).`,
    ],
    [
      'simple',
      [...both, tensor('DUMMY')],
      {},
      `${LR}expected 2 inputs but got 3 inputs for model 'simple'. Got input(s) ['INPUT0','INPUT1','DUMMY'], but missing required input(s) ]. Please provide all required input(s).`,
    ],
    [
      'weighted',
      [{ name: 'x', datatype: 'FP32', shape: [1], raw: floats(1) }],
      {},
      `${LR}expected number of inputs between 2 and 3 but got 1 inputs for model 'weighted'. Got input(s) ['x'], but missing required input(s) ['y']. Please provide all required input(s).`,
    ],
    [
      'weighted',
      ['x', 'weight'].map((name) => ({ name, datatype: 'FP32', shape: [1], raw: floats(1) })),
      {},
      `${LR}expected number of inputs between 2 and 3 but got 2 inputs for model 'weighted'. Got input(s) ['x','weight'], but missing required input(s) ['y']. Please provide all required input(s).`,
    ],
    ['simple', [tensor('INPUT0'), tensor('DUMMY')], {}, "unexpected inference input 'DUMMY' for model 'simple'"],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { shape: [] })],
      {},
      `${LR}input 'INPUT1' has no shape but model requires batch dimension for 'simple'`,
    ],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { shape: [2, 16] })],
      {},
      `${LR}input 'INPUT1' batch size does not match other inputs for 'simple'`,
    ],
    [
      'simple',
      both.map((input) => ({ ...input, shape: [9, 16] })),
      {},
      `${LR}inference request batch-size must be <= 8 for 'simple'`,
    ],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { datatype: 'FP32' })],
      {},
      `${LR}inference input 'INPUT1' data-type is 'FP32', but model 'simple' expects 'INT32'`,
    ],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { datatype: 'BF16' })],
      {},
      `${LR}inference input 'INPUT1' data-type is 'BF16', but model 'simple' expects 'INT32'`,
    ],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { datatype: 'float' })],
      {},
      `${LR}inference input 'INPUT1' data-type is '<invalid>', but model 'simple' expects 'INT32'`,
    ],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { shape: [1, -1] })],
      {},
      `${LR}All input dimensions should be specified for input 'INPUT1' for model 'simple', got [1,-1]`,
    ],
    [
      'simple',
      [tensor('INPUT0', { shape: [1, 17] }), tensor('INPUT1', { shape: [1, 17] })],
      {},
      `${LR}unexpected shape for input 'INPUT1' for model 'simple'. Expected [-1,16], got [1,17].${NOTE}`,
    ],
    [
      'fixed',
      [{ name: 'x', datatype: 'FP32', shape: [3, 2], raw: floats(1, 2, 3, 4, 5, 6) }],
      {},
      `${LR}unexpected shape for input 'x' for model 'fixed'. Expected [2,3], got [3,2]. `,
    ],
    [
      'simple',
      [tensor('INPUT0'), tensor('INPUT1', { raw: Buffer.concat([row, row]) })],
      {},
      `${LR}input byte size mismatch for input 'INPUT1' for model 'simple'. Expected 64, got 128`,
    ],
    [
      'simple',
      [typed([1]), { ...typed([2]), name: 'INPUT0' }],
      {},
      `${LR}input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 4`,
    ],
    [
      'text',
      [text(texts(14))],
      {},
      `${LR}expected 16 string elements for inference input 'x' for model 'text', got 14`,
    ],
    [
      'text',
      [text(texts(18))],
      {},
      `${LR}unexpected number of string elements 17 for inference input 'x' for model 'text', expecting 16`,
    ],
    [
      'text',
      [{ name: 'x', datatype: 'BYTES', shape: [1, 16], typed: ['a', 'b'] }],
      {},
      `${LR}expected 16 string elements for inference input 'x' for model 'text', got 2`,
    ],
    [
      'text',
      [text(Buffer.concat([texts(2), Buffer.alloc(2)]))],
      {},
      `${LR}incomplete string length indicator for inference input 'x' for model 'text', expecting 4 bytes but only 2 bytes available. Please make sure the string length indicator is in one buffer.`,
    ],
    [
      'text',
      [text(packed('abcdef').subarray(0, 8))],
      {},
      `${LR}incomplete string data for inference input 'x' for model 'text', expecting string of length 6 but only 4 bytes available`,
    ],
    [
      'text',
      [text(texts(16))],
      { outputs: [{ name: 'y', parameters: { classification: 1n } }] },
      "class result not available for output due to unsupported type 'BYTES'",
    ],
  ];
  test.each(cases)('%s %#', async (model, inputs, init, message) => {
    const { code, message: found, violations, reason } = await failure(model, inputs, { id: '42', ...init });
    expect({ code, message: found, reason }).toEqual({ code: 'INVALID_ARGUMENT', message, reason: 'INVALID_FIELD' });
    expect(violations).toHaveLength(1);
  });

  test.each([
    ['BOOL', 'BOOL'],
    ['INT8', 'INT32'],
    ['INT64', 'INT64'],
    ['UINT16', 'UINT32'],
    ['UINT64', 'UINT64'],
    ['FP32', 'FP32'],
    ['FP64', 'FP64'],
    ['BYTES', 'BYTES'],
  ])('typed contents of another type: %s', async (datatype, found) => {
    const value = { BOOL: true, BYTES: 'a', INT64: 1n, UINT64: 1n }[datatype] ?? 1;
    const { contents } = inferRequest('', [{ name: 'x', datatype, shape: [1], typed: [value] }]).inputs[0] as never;
    const request = inferRequest('simple', [
      { name: 'INPUT0', datatype: 'INT32', shape: [1, 16], typed: [] },
      { name: 'INPUT1', datatype: 'FP16', shape: [1, 16], typed: [] },
    ]);
    (request.inputs[1] as { contents: unknown }).contents = contents;
    expect((await failureOf(client.call('modelInfer', request))).message).toBe(
      `unexpected explicit tensor data for input tensor 'INPUT1' for model 'simple' of type '${found}', expected datatype 'FP16'`,
    );
  });

  const RESERVED =
    "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: triton_enable_empty_final_response";
  test.each<[string, ParameterInit, string]>([
    ['sequence_id', true, "invalid value type for 'sequence_id' parameter, expected int64_param or string_param."],
    ['sequence_start', 1n, "invalid value type for 'sequence_start' parameter, expected bool_param."],
    ['sequence_end', 'x', "invalid value type for 'sequence_end' parameter, expected bool_param."],
    ['priority', -1n, "invalid value for 'priority', expected value >= 0."],
    ['priority', 'x', "invalid value type for 'priority' parameter, expected int64_param or uint64_param."],
    ['timeout', 'x', "invalid value type for 'timeout' parameter, expected int64_param."],
    ['triton_x', 1n, RESERVED],
    [
      'own',
      { uint64: 1n },
      "invalid value type for 'own' parameter, expected int64_param, bool_param, or string_param.",
    ],
    ['own', undefined, "invalid value type for 'own' parameter, expected int64_param, bool_param, or string_param."],
  ])('parameter %s: %o', async (name, value, message) => {
    // Before anything is said of inputs.
    const found = await failure('simple', [], { parameters: { [name]: value } });
    expect({ code: found.code, message: found.message }).toEqual({ code: 'INVALID_ARGUMENT', message });
    expect(found.violations).toEqual([{ field: `parameters["${name}"]`, description: message }]);
  });

  test.each<[ParameterInit, string]>([
    ['x', "invalid value type for 'classification' parameter, expected int64_param"],
    [0n, "invalid value for 'classification' parameter, expected >= 0"],
    [-1n, "invalid value for 'classification' parameter, expected >= 0"],
  ])('classification: %o', async (classification, message) => {
    const found = await failure('simple', both, { outputs: [{ name: 'OUTPUT0', parameters: { classification } }] });
    expect(found.message).toBe(message);
  });

  test('a request without an id is one of an unknown id', async () => {
    expect((await failure('simple', [...both, tensor('INPUT0')])).message).toBe(
      "[request id: <id_unknown>] input 'INPUT0' already exists in request",
    );
  });
});

test.each([
  ['nothing', '', 'NOT_FOUND', "Request for unknown model: 'nothing' is not found"],
  ['simple', '7', 'NOT_FOUND', "Request for unknown model: 'simple' version 7 is not found"],
] as const)('%s version "%s": %s', async (model, version, code, message) => {
  const found = await failure(model, both, { version });
  expect({ code: found.code, message: found.message }).toEqual({ code, message });
});

test('a run that fails is a fault, with an id that the log has as well', async () => {
  const found = await failure('gather', [
    { name: 'index', datatype: 'INT64', shape: [1, 1], raw: Buffer.from(BigInt64Array.of(99n).buffer) },
  ]);
  expect(found.code).toBe('INTERNAL');
  expect(server.lines.some(({ id }) => id === found.metadata.id)).toBe(true);
});

test('a message that is larger than it may be: what to do about it', async () => {
  const found = await failure('fixed', [{ name: 'x', datatype: 'FP32', shape: [1], raw: Buffer.alloc(150_000) }]);
  expect(found.code).toBe('RESOURCE_EXHAUSTED');
  expect(found.message).toMatch(/send the rows in 2 requests or more.*limits\.max_infer_message_bytes/);
});

test("a request's own timeout is the queue's, and the caller's is the call's", async () => {
  const found = await failure('simple', both, { parameters: { timeout: 1n } });
  expect({ code: found.code, message: found.message }).toEqual({
    code: 'UNAVAILABLE',
    message: 'Request timeout expired',
  });
});

test('errors are counted, and nothing stays in flight', async () => {
  await failure('simple', []);
  const labels = { rpc_method: 'inference.GRPCInferenceService/ModelInfer', model: 'simple' };
  expect(
    await server.metric('rpc_server_call_duration_seconds_count', { ...labels, rpc_status_code: 'INVALID_ARGUMENT' }),
  ).toBeGreaterThan(0);
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
  const { modelStats } = await client.call('modelStatistics', { name: 'simple', version: '' });
  expect(modelStats[0]?.inferenceStats?.fail?.count).toBeGreaterThan(0n);
});
