// ModelInfer as clients of Triton call it: tensors of every type in, raw tensors out.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelInferResponse } from '../../src/gen/inference/inference.ts';
import {
  floats,
  floatsOf,
  inferRequest,
  int32s,
  int32sOf,
  packed,
  type RequestInit,
  rawOutput,
  type TensorInit,
  unpacked,
} from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { folderOf } from '../support/model-folder.ts';
import { addAndSubtract, type ElementType, identity, linear, onnxModel } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

/** By datatype: element type, values as typed contents have them, and their bytes. */
const TYPES: readonly (readonly [string, ElementType, readonly (number | bigint | boolean | string)[], Uint8Array])[] =
  [
    ['BOOL', 'bool', [true, false, true], Uint8Array.of(1, 0, 1)],
    ['INT8', 'int8', [1, -2, -128], bytesOf(Int8Array.of(1, -2, -128))],
    ['INT16', 'int16', [1, -2, -32768], bytesOf(Int16Array.of(1, -2, -32768))],
    ['INT32', 'int32', [1, -2, -(2 ** 31)], bytesOf(Int32Array.of(1, -2, -(2 ** 31)))],
    ['INT64', 'int64', [1n, -2n, -(2n ** 63n)], bytesOf(BigInt64Array.of(1n, -2n, -(2n ** 63n)))],
    ['UINT8', 'uint8', [1, 2, 255], bytesOf(Uint8Array.of(1, 2, 255))],
    ['UINT16', 'uint16', [1, 2, 65535], bytesOf(Uint16Array.of(1, 2, 65535))],
    ['UINT32', 'uint32', [1, 2, 2 ** 32 - 1], bytesOf(Uint32Array.of(1, 2, 2 ** 32 - 1))],
    ['UINT64', 'uint64', [1n, 2n, 2n ** 64n - 1n], bytesOf(BigUint64Array.of(1n, 2n, 2n ** 64n - 1n))],
    ['FP32', 'float32', [1.5, -2.25, 1e30], bytesOf(Float32Array.of(1.5, -2.25, 1e30))],
    ['FP64', 'float64', [1.5, -2.25, 1e300], bytesOf(Float64Array.of(1.5, -2.25, 1e300))],
    ['BYTES', 'string', ['a', '', 'größer'], packed('a', '', 'größer')],
  ];

function bytesOf(values: ArrayBufferView<ArrayBuffer>): Uint8Array {
  return new Uint8Array(values.buffer);
}

let server: TestServer;
let client: InferenceClient;

const SIMPLE = `
name: "simple"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] } ]
output [
  { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] label_filename: "labels.txt" },
  { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
`;

beforeAll(async () => {
  const identities = Object.fromEntries(
    TYPES.map(([datatype, type]) => [`${datatype}/1/model.onnx`, identity(type, ['N', 'W'])]),
  );
  const folder = await folderOf({
    ...identities,
    'FP16/1/model.onnx': identity('float16', ['N', 'W']),
    'simple/1/model.onnx': addAndSubtract(),
    'simple/config.pbtxt': SIMPLE,
    'simple/labels.txt': ['zero', 'one', 'two'].join('\n'),
    'reshaped/1/model.onnx': identity('float32', ['N', 2, 2]),
    'reshaped/config.pbtxt': `
      name: "reshaped"
      max_batch_size: 4
      input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] reshape { shape: [ 2, 2 ] } } ]
      output [ { name: "y" data_type: TYPE_FP32 dims: [ 4, 1 ] reshape { shape: [ 2, 2 ] } } ]
    `,
    'scalar/1/model.onnx': identity('float32', []),
    'fixed/1/model.onnx': identity('float32', [2, 3]),
    'shapeless/1/model.onnx': identity('float32', undefined),
    'constant/1/model.onnx': onnxModel({
      inputs: [],
      outputs: [{ name: 'y', type: 'float32', dims: [2] }],
      initializers: [{ name: 'y0', type: 'float32', dims: [2], data: [1, 2] }],
      nodes: [{ op: 'Identity', inputs: ['y0'], outputs: ['y'] }],
    }),
    'weighted/1/model.onnx': onnxModel({
      inputs: [
        { name: 'x', type: 'float32', dims: ['N', 1] },
        { name: 'weight', type: 'float32', dims: [1] },
      ],
      outputs: [{ name: 'y', type: 'float32', dims: ['N', 1] }],
      initializers: [{ name: 'weight', type: 'float32', dims: [1], data: [10] }],
      nodes: [{ op: 'Mul', inputs: ['x', 'weight'], outputs: ['y'] }],
    }),
    'score/1/model.onnx': linear([1, -1], 0),
    'score/7/model.onnx': linear([1, -1], 1),
  });
  server = await TestServer.start(folder);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

function infer(model: string, inputs: readonly TensorInit[], init: RequestInit = {}): Promise<ModelInferResponse> {
  return client.call('modelInfer', inferRequest(model, inputs, init));
}

const ramp = Array.from({ length: 16 }, (_, index) => index);

function simpleInputs(rows = 1): TensorInit[] {
  const values = Array.from({ length: rows * 16 }, (_, index) => index);
  return [
    { name: 'INPUT0', datatype: 'INT32', shape: [rows, 16], raw: int32s(...values) },
    { name: 'INPUT1', datatype: 'INT32', shape: [rows, 16], raw: int32s(...values.map(() => 1)) },
  ];
}

describe.each(TYPES)('%s', (datatype, _, values, raw) => {
  test.each(['raw', 'typed'] as const)('comes back as it was sent: %s', async (form) => {
    const contents = form === 'raw' ? { raw } : { typed: values };
    const response = await infer(datatype, [{ name: 'x', datatype, shape: [3, 1], ...contents }]);
    expect(response.outputs).toEqual([
      { name: 'y', datatype, shape: [3n, 1n], parameters: new Map(), contents: undefined },
    ]);
    expect(rawOutput(response, 'y')).toEqual(Buffer.from(raw));
  });

  test.each([
    [0, 1],
    [1, 0],
  ])('a tensor of no elements comes back: [%d, %d]', async (rows, width) => {
    const response = await infer(datatype, [{ name: 'x', datatype, shape: [rows, width], raw: Buffer.alloc(0) }]);
    expect(response.outputs[0]?.shape).toEqual([BigInt(rows), BigInt(width)]);
    expect(rawOutput(response, 'y')).toHaveLength(0);
  });
});

test('half floats come back as the bits that they are', async () => {
  const raw = Buffer.from(Uint16Array.of(0x3c00, 0xc000, 0x7c00, 0x0001).buffer);
  const response = await infer('FP16', [{ name: 'x', datatype: 'FP16', shape: [2, 2], raw }]);
  expect(response.outputs[0]?.datatype).toBe('FP16');
  expect(rawOutput(response, 'y')).toEqual(raw);
});

test('any bytes are texts', async () => {
  const texts = [Buffer.of(0, 1, 2, 3), Buffer.of(0xff, 0xfe, 0x80), Buffer.from('a\0b'), Buffer.alloc(5000, 0xc3)];
  const shape = [4, 1];
  const raw = await infer('BYTES', [{ name: 'x', datatype: 'BYTES', shape, raw: packed(...texts) }]);
  expect(unpacked(rawOutput(raw, 'y'))).toEqual(texts);
  const typed = await infer('BYTES', [{ name: 'x', datatype: 'BYTES', shape, typed: texts }]);
  expect(unpacked(rawOutput(typed, 'y'))).toEqual(texts);
});

test('integers that are too large for their type keep their lower bytes', async () => {
  const signed = await infer('INT8', [{ name: 'x', datatype: 'INT8', shape: [1, 3], typed: [300, -129, 128] }]);
  expect(rawOutput(signed, 'y')).toEqual(Buffer.from(Int8Array.of(44, 127, -128).buffer));
  const unsigned = await infer('UINT16', [{ name: 'x', datatype: 'UINT16', shape: [1, 2], typed: [65536, 65537] }]);
  expect(rawOutput(unsigned, 'y')).toEqual(Buffer.from(Uint16Array.of(0, 1).buffer));
});

describe('an answer', () => {
  test('has all outputs in the order of the config, model, version and id', async () => {
    const response = await infer('simple', simpleInputs(), { id: 'größer/1' });
    expect({
      ...response,
      rawOutputContents: response.rawOutputContents.map((raw) => int32sOf(Buffer.from(raw))),
    }).toEqual({
      modelName: 'simple',
      modelVersion: '1',
      id: 'größer/1',
      parameters: new Map(),
      outputs: ['OUTPUT0', 'OUTPUT1'].map((name) => ({
        name,
        datatype: 'INT32',
        shape: [1n, 16n],
        parameters: new Map(),
        contents: undefined,
      })),
      rawOutputContents: [ramp.map((value) => value + 1), ramp.map((value) => value - 1)],
    });
  });

  test.each([[['OUTPUT1', 'OUTPUT0']], [['OUTPUT1']], [['OUTPUT0']]])(
    'has the outputs asked for, in their order: %j',
    async (outputs) => {
      const response = await infer('simple', simpleInputs(2), { outputs });
      expect(response.outputs.map(({ name }) => name)).toEqual(outputs);
      expect(response.rawOutputContents).toHaveLength(outputs.length);
      const sign = outputs[0] === 'OUTPUT0' ? 1 : -1;
      expect(int32sOf(Buffer.from(response.rawOutputContents[0] as Uint8Array))[0]).toBe(sign);
    },
  );

  test('is of the version asked for, else of the live one', async () => {
    const inputs: TensorInit[] = [{ name: 'x', datatype: 'FP32', shape: [1, 2], raw: floats(0, 0) }];
    const [live, first] = [await infer('score', inputs), await infer('score', inputs, { version: '1' })];
    expect([live.modelVersion, first.modelVersion]).toEqual(['7', '1']);
    expect(floatsOf(rawOutput(first, 'score'))).toEqual([0.5]);
    expect(floatsOf(rawOutput(live, 'score'))[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
  });

  test('has its largest elements where those are asked for, with labels where there are some', async () => {
    const response = await infer('simple', simpleInputs(2), {
      outputs: [
        { name: 'OUTPUT0', parameters: { classification: 2n } },
        { name: 'OUTPUT1', parameters: { classification: 1000n } },
      ],
    });
    expect(response.outputs.map(({ datatype, shape }) => ({ datatype, shape }))).toEqual([
      { datatype: 'BYTES', shape: [2n, 2n] },
      { datatype: 'BYTES', shape: [2n, 16n] },
    ]);
    const texts = (name: string) => unpacked(rawOutput(response, name)).map(String);
    expect(texts('OUTPUT0')).toEqual(['16:15', '15:14', '32:15', '31:14']);
    expect(texts('OUTPUT1').slice(0, 2)).toEqual(['14:15', '13:14']);
    const labelled = await infer(
      'simple',
      [
        { name: 'INPUT0', datatype: 'INT32', shape: [1, 16], typed: ramp.map((value) => -value) },
        { name: 'INPUT1', datatype: 'INT32', shape: [1, 16], typed: ramp.map(() => 0) },
      ],
      { outputs: [{ name: 'OUTPUT0', parameters: { classification: 4n } }] },
    );
    expect(unpacked(rawOutput(labelled, 'OUTPUT0')).map(String)).toEqual(['0:0:zero', '-1:1:one', '-2:2:two', '-3:3']);
  });

  test('has the largest elements of floats with six places', async () => {
    const response = await infer('FP32', [{ name: 'x', datatype: 'FP32', shape: [1, 3], raw: floats(0.5, 1e22, -1) }], {
      outputs: [{ name: 'y', parameters: { classification: 3n } }],
    });
    expect(unpacked(rawOutput(response, 'y')).map(String)).toEqual([
      '9999999778196308361216.000000:1',
      '0.500000:0',
      '-1.000000:2',
    ]);
  });
});

describe('a model', () => {
  test('whose config reshapes gets what its graph takes, and callers get what the config says', async () => {
    const values = [1, 2, 3, 4, 5, 6, 7, 8];
    const response = await infer('reshaped', [{ name: 'x', datatype: 'FP32', shape: [2, 4], raw: floats(...values) }]);
    expect(response.outputs[0]?.shape).toEqual([2n, 4n, 1n]);
    expect(floatsOf(rawOutput(response, 'y'))).toEqual(values);
  });

  test.each([
    ['scalar', [], [4]],
    ['fixed', [2, 3], [1, 2, 3, 4, 5, 6]],
    ['shapeless', [1, 2, 1], [1, 2]],
    ['shapeless', [], [1]],
  ] as const)('without a dimension for rows: %s %j', async (model, shape, values) => {
    const response = await infer(model, [{ name: 'x', datatype: 'FP32', shape, raw: floats(...values) }]);
    expect(response.outputs[0]?.shape).toEqual(shape.map(BigInt));
    expect(floatsOf(rawOutput(response, 'y'))).toEqual(values);
  });

  test('without inputs answers', async () => {
    expect(floatsOf(rawOutput(await infer('constant', []), 'y'))).toEqual([1, 2]);
  });

  test('with an optional input takes its own value where none is sent', async () => {
    const x: TensorInit = { name: 'x', datatype: 'FP32', shape: [1, 1], raw: floats(3) };
    const weight: TensorInit = { name: 'weight', datatype: 'FP32', shape: [1], raw: floats(2) };
    expect(floatsOf(rawOutput(await infer('weighted', [x]), 'y'))).toEqual([30]);
    expect(floatsOf(rawOutput(await infer('weighted', [weight, x]), 'y'))).toEqual([6]);
  });
});

test('parameters that mean nothing to a model are accepted', async () => {
  const parameters = {
    sequence_id: 7n,
    sequence_start: true,
    sequence_end: false,
    priority: { uint64: 3n },
    timeout: 60_000_000n,
    triton_enable_empty_final_response: true,
    binary_data_output: true,
    own: 'x',
    number: 1.5,
  };
  const inputs = simpleInputs().map((input) => ({ ...input, parameters: { binary_data: true } }));
  const outputs = [{ name: 'OUTPUT0', parameters: { binary_data: true } }];
  const response = await infer('simple', inputs, { parameters, outputs });
  expect(response.parameters.size).toBe(0);
  expect(int32sOf(rawOutput(response, 'OUTPUT0'))[0]).toBe(1);
});

test('many callers at once get their own', async () => {
  const rows = Array.from({ length: 200 }, (_, index) => 1 + (index % 8));
  const responses = await Promise.all(
    rows.map((count, index) => infer('simple', simpleInputs(count), { id: `${index}` })),
  );
  for (const [index, response] of responses.entries()) {
    const count = rows[index] as number;
    expect(response.id).toBe(`${index}`);
    expect(int32sOf(rawOutput(response, 'OUTPUT1'))).toEqual(Array.from({ length: count * 16 }, (_, at) => at - 1));
  }
});

test('requests are counted as the native ones are', async () => {
  const labels = { 'rpc.method': 'inference.GRPCInferenceService/ModelInfer' };
  const name = 'rpc_server_call_duration_seconds_count';
  const seen = { rpc_method: labels['rpc.method'], model: 'fixed', rpc_status_code: 'OK' };
  const before = await server.metric(name, seen);
  await infer('fixed', [{ name: 'x', datatype: 'FP32', shape: [2, 3], raw: floats(1, 2, 3, 4, 5, 6) }]);
  expect(await server.metric(name, seen)).toBe(before + 1);
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
  const { modelStats } = await client.call('modelStatistics', { name: 'fixed', version: '' });
  expect(modelStats[0]?.inferenceStats?.success?.count).toBeGreaterThan(0n);
});
