// Tensors in memory that caller and server share: read from where they lie, and written where they are wanted.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  floats,
  floatsOf,
  inferRequest,
  packed,
  rawOutput,
  type TensorInit,
  unpacked,
} from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { modelFolder } from '../support/model-folder.ts';
import { addAndSubtract, identity } from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const KEY = `scorewire-test-${randomBytes(6).toString('hex')}`;
const FILE = `/dev/shm/${KEY}`;
const BYTES = 4 * 1024 * 1024;

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  mkdirSync('/dev/shm', { recursive: true });
  writeFileSync(FILE, Buffer.alloc(BYTES));
  const models = await modelFolder({
    same: identity('float32', ['N', 'W']),
    text: identity('string', ['N', 'W']),
    simple: addAndSubtract(),
  });
  server = await TestServer.start(models, ['inference.client_shared_memory=on']);
  client = new InferenceClient(server.address);
  await client.call('systemSharedMemoryRegister', {
    name: 'region',
    key: `/${KEY}`,
    offset: 0n,
    byteSize: BigInt(BYTES),
  });
});

beforeEach(() => writeFileSync(FILE, Buffer.alloc(BYTES), { flag: 'r+' }));

afterAll(async () => {
  client.close();
  await server.stop();
  rmSync(FILE, { force: true });
});

function place(byteSize: number, offset?: number, region = 'region') {
  return {
    shared_memory_region: region,
    shared_memory_byte_size: BigInt(byteSize),
    ...(offset === undefined ? {} : { shared_memory_offset: BigInt(offset) }),
  };
}

function put(bytes: Uint8Array, offset: number): void {
  const memory = readFileSync(FILE);
  memory.set(bytes, offset);
  writeFileSync(FILE, memory, { flag: 'r+' });
}

function x(shape: readonly number[], parameters: TensorInit['parameters'], datatype = 'FP32'): TensorInit {
  return { name: 'x', datatype, shape, parameters: parameters ?? {}, nothing: true };
}

describe('a tensor in shared memory', () => {
  test('is read from there, and its answer is written there', async () => {
    put(floats(1, 2, 3), 64);
    const response = await client.call(
      'modelInfer',
      inferRequest('same', [x([1, 3], place(12, 64))], { outputs: [{ name: 'y', parameters: place(100, 128) }] }),
    );
    expect(floatsOf(readFileSync(FILE).subarray(128, 140))).toEqual([1, 2, 3]);
    expect(response.rawOutputContents.map((raw) => raw.length)).toEqual([0]);
    expect(response.outputs[0]?.shape).toEqual([1n, 3n]);
    expect(response.outputs[0]?.parameters).toEqual(
      new Map([
        ['shared_memory_region', { parameterChoice: { $case: 'stringParam', value: 'region' } }],
        ['shared_memory_byte_size', { parameterChoice: { $case: 'int64Param', value: 12n } }],
        ['shared_memory_offset', { parameterChoice: { $case: 'int64Param', value: 128n } }],
      ]),
    );
  });

  test('of megabytes', async () => {
    const values = Float32Array.from({ length: 500_000 }, (_, index) => index);
    put(new Uint8Array(values.buffer), 0);
    const size = values.byteLength;
    await client.call(
      'modelInfer',
      inferRequest('same', [x([5, 100_000], place(size))], { outputs: [{ name: 'y', parameters: place(size, size) }] }),
    );
    expect(
      readFileSync(FILE)
        .subarray(size, 2 * size)
        .equals(Buffer.from(values.buffer)),
    ).toBe(true);
  });

  test('of texts', async () => {
    const texts = packed('a', Buffer.of(0, 0xff), '');
    put(texts, 0);
    const response = await client.call('modelInfer', inferRequest('text', [x([1, 3], place(texts.length), 'BYTES')]));
    expect(unpacked(rawOutput(response, 'y'))).toEqual([Buffer.from('a'), Buffer.of(0, 0xff), Buffer.from('')]);
  });

  test('beside one in the message: raw contents are of those that are not shared', async () => {
    const row = (value: number) => Buffer.from(Int32Array.from({ length: 16 }, () => value).buffer);
    put(row(5), 0);
    const response = await client.call(
      'modelInfer',
      inferRequest(
        'simple',
        [
          { name: 'INPUT0', datatype: 'INT32', shape: [1, 16], parameters: place(64), nothing: true },
          { name: 'INPUT1', datatype: 'INT32', shape: [1, 16], raw: row(3) },
        ],
        { outputs: ['OUTPUT0', { name: 'OUTPUT1', parameters: place(64, 64) }] },
      ),
    );
    expect(rawOutput(response, 'OUTPUT0')).toEqual(row(8));
    expect(rawOutput(response, 'OUTPUT1')).toHaveLength(0);
    expect(readFileSync(FILE).subarray(64, 128)).toEqual(row(2));
  });
});

describe('refused:', () => {
  const output = (parameters: NonNullable<TensorInit['parameters']>) => ({ outputs: [{ name: 'y', parameters }] });
  const raw: TensorInit = { name: 'x', datatype: 'FP32', shape: [1, 3], raw: floats(1, 2, 3) };
  const cases: readonly (readonly [string, readonly TensorInit[], object, string])[] = [
    ['NOT_FOUND', [x([1, 3], place(12, 0, 'other'))], {}, "Unable to find shared memory region: 'other'"],
    ['INVALID_ARGUMENT', [x([1, 3], place(12, BYTES))], {}, "Invalid offset for shared memory region: 'region'"],
    [
      'INVALID_ARGUMENT',
      [x([1, 3], place(12, BYTES - 8))],
      {},
      "Invalid offset + byte size for shared memory region: 'region'",
    ],
    [
      'INVALID_ARGUMENT',
      [x([1, 3], place(12, -4))],
      {},
      "Integer overflow detected: byte_size (12) + offset (18446744073709551612) exceeds maximum value (18446744073709551615) for region 'region'",
    ],
    [
      'INVALID_ARGUMENT',
      [x([1, 3], { shared_memory_region: 'region' })],
      {},
      "'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor 'x'",
    ],
    [
      'INVALID_ARGUMENT',
      [{ name: 'x', datatype: 'FP32', shape: [1, 3], parameters: place(12), typed: [1] }],
      {},
      "unexpected 'content' provided when using shared memory for input tensor 'x' for model 'same'",
    ],
    [
      'INVALID_ARGUMENT',
      [x([1, 3], place(16))],
      {},
      "[request id: <id_unknown>] input byte size mismatch for input 'x' for model 'same'. Expected 12, got 16",
    ],
    [
      'INVALID_ARGUMENT',
      [raw],
      output({ ...place(12), classification: 1n }),
      "output can't set both 'shared_memory_region' and 'classification'",
    ],
  ];
  test.each(cases)('%s %#', async (code, inputs, init, message) => {
    const found = await failureOf(client.call('modelInfer', inferRequest('same', inputs, init)));
    expect({ code: found.code, message: found.message }).toEqual({ code, message });
  });

  test('an output that is larger than its place', async () => {
    const found = await failureOf(client.call('modelInfer', inferRequest('same', [raw], output(place(8)))));
    expect(found.code).toBe('INTERNAL');
    expect(found.message).toContain(
      "shared memory size specified with the request for output 'y' (8 bytes) should be at least 12 bytes to hold the results",
    );
  });
});
