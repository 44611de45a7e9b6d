// Calls of every kind that goes wrong, many at once, and what they leave behind: nothing.
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ModelInferRequest } from '../../src/gen/inference/inference.ts';
import { concurrently, eventually } from '../support/concurrently.ts';
import { floats, inferRequest, type RequestInit, type TensorInit } from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { folderOf } from '../support/model-folder.ts';
import { gatherRow, identity, slowLinear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

const MIB = 1024 * 1024;
const KEY = `scorewire-test-${randomBytes(6).toString('hex')}`;
const CALLS = 400;

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  mkdirSync('/dev/shm', { recursive: true });
  writeFileSync(`/dev/shm/${KEY}`, Buffer.alloc(64));
  const models = await folderOf({
    'same/1/model.onnx': identity('float32', ['N', 'W']),
    'flat/1/model.onnx': identity('float32', [2, 'W']),
    'text/1/model.onnx': identity('string', ['N', 'W']),
    'gather/1/model.onnx': gatherRow(),
    'slow/1/model.onnx': slowLinear([1, 1], 0, 20_000),
  });
  server = await TestServer.start(models, [
    'models.control=explicit',
    'inference.client_shared_memory=on',
    `limits.max_batch_bytes=${12 * MIB}`,
    'limits.max_queue_rows=200',
    'limits.max_infer_message_bytes=8000000',
  ]);
  client = new InferenceClient(server.address);
  await client.call('systemSharedMemoryRegister', { name: 'region', key: KEY, offset: 0n, byteSize: 64n });
});

afterAll(async () => {
  client.close();
  await server.stop();
  rmSync(`/dev/shm/${KEY}`, { force: true });
});

type Request = readonly [model: string, inputs: readonly TensorInit[], init?: RequestInit];

/** With as many zeros as its shape says, where that can be. */
function x(shape: readonly number[], change: object = {}): TensorInit {
  const bytes = 4 * shape.reduce((product, dim) => product * dim, 1);
  const values = 'nothing' in change ? {} : { raw: Buffer.alloc(bytes < 0 || bytes > 64 * MIB ? 4 : bytes) };
  return { name: 'x', datatype: 'FP32', shape, ...values, ...change } as TensorInit;
}

const place = { shared_memory_region: 'region', shared_memory_byte_size: 8n };
const shared = { nothing: true, parameters: place };

/** In the order of what is checked, with some that go well. */
const REQUESTS: readonly Request[] = [
  ['same', [x([1, 2])]],
  ['nothing', []],
  ['same', [x([1, 2])], { version: 'x' }],
  ['same', [x([1, 2])], { parameters: { timeout: 'x' } }],
  ['same', [x([1, 2]), x([1, 2])]],
  ['same', [x([1, 2], { nothing: true })]],
  ['same', [x([1, 2])], { outputs: ['none'] }],
  ['same', []],
  ['same', [x([1, 2], { name: 'y' })]],
  ['same', [x([1, -2])]],
  ['same', [x([2 ** 40, 2 ** 40])]],
  ['same', [x([0, 2 ** 40])]],
  ['same', [x([1, 2], { raw: Buffer.alloc(7) })]],
  ['text', [x([1, 2], { datatype: 'BYTES', raw: Buffer.from([255, 255, 255, 255]) })]],
  ['gather', [{ name: 'index', datatype: 'INT64', shape: [1, 1], raw: Buffer.from(BigInt64Array.of(99n).buffer) }]],
  ['slow', [x([1, 2])], { parameters: { timeout: 1n } }],
  ['slow', [x([3, 2])]],
  ['slow', [x([500, 2])]],
  ['same', [x([1, 2], shared)], { outputs: [{ name: 'y', parameters: place }] }],
  ['same', [x([1, 2], shared)], { outputs: [{ name: 'none', parameters: place }] }],
  ['same', [x([1, 4])], { outputs: [{ name: 'y', parameters: place }] }],
  ['same', [x([1, 2])], { outputs: [{ name: 'y', parameters: { ...place, classification: 1n } }] }],
  ['text', [x([0, 2], { datatype: 'BYTES' })], { outputs: [{ name: 'y', parameters: { classification: 1n } }] }],
  ['flat', [x([2, MIB / 4])]],
  ['flat', [x([2, MIB / 4])], { outputs: [{ name: 'y', parameters: { classification: 5n } }] }],
  ['flat', [x([2, MIB / 2], { raw: Buffer.alloc(3 * MIB) })]],
];

const MESSAGES = REQUESTS.map(([model, inputs, init]) =>
  Buffer.from(ModelInferRequest.encode(inferRequest(model, inputs, init)).finish()),
);

function framed(message: Uint8Array, compressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Fixed, so that what failed fails again. */
let seed = 12;
function random(below: number): number {
  seed = (seed * 1103515245 + 12345) % 2 ** 31;
  return Math.floor((seed / 2 ** 31) * below);
}

/** Sends requests, and goes away in some way. */
function storm(session: http2.ClientHttp2Session): Promise<void> {
  const streamed = random(2) === 0;
  const compressed = random(5) === 0;
  const bodies = Array.from({ length: streamed ? 1 + random(6) : 1 }, () => {
    const message = MESSAGES[random(MESSAGES.length)] as Buffer;
    if (random(12) === 0) return framed(randomBytes(1 + random(50)));
    return compressed ? framed(gzipSync(message), true) : framed(message);
  });
  const body = Buffer.concat(bodies);
  return new Promise((resolve) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/inference.GRPCInferenceService/${streamed ? 'ModelStreamInfer' : 'ModelInfer'}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(compressed ? { 'grpc-encoding': 'gzip' } : {}),
      ...(random(4) === 0 ? { 'grpc-timeout': `${1 + random(20)}m` } : {}),
      ...(random(4) === 0 ? { triton_grpc_error: 'true' } : {}),
    });
    stream.on('error', () => {});
    stream.on('close', resolve);
    const way = random(5);
    stream.write(way === 0 ? body.subarray(0, random(body.length)) : body);
    if (way !== 1) stream.end();
    // Some never read; some go on the way.
    if (way !== 2) stream.resume();
    // Node's own client never hears of a call that was over before it had sent all.
    setTimeout(() => stream.destroy(), way < 4 ? random(40) : 500);
  });
}

const usesOf = () => server.running.engine.models.all().reduce((uses, model) => uses + model.uses.count, 0);

test('no call stays, no version stays in use, and no room stays taken', async () => {
  const sessions = Array.from({ length: 6 }, () => http2.connect(`http://${server.address}`));
  for (const session of sessions) {
    session.on('error', () => {});
    // Whoever doesn't read must not keep the others on the connection from it.
    session.on('connect', () => session.setLocalWindowSize(2 ** 30));
  }
  const changes = (async () => {
    for (let turn = 0; turn < 6; turn++) {
      const name = turn % 2 === 0 ? 'slow' : 'flat';
      await client.call('repositoryModelUnload', { repositoryName: '', modelName: name, parameters: new Map() });
      await client.call('repositoryModelLoad', { repositoryName: '', modelName: name, parameters: new Map() });
    }
  })();
  await concurrently(80, Array.from({ length: CALLS }), async (_, index) => {
    await storm(sessions[index % sessions.length] as http2.ClientHttp2Session);
  });
  await changes;
  for (const session of sessions) session.destroy();

  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
  await eventually(() => usesOf() === 0);
  // All of the room is there again: the message and its tensor take nearly all of it.
  const outputs = [{ name: 'y', parameters: { classification: 1n } }];
  const large = inferRequest('same', [x([16, (5.5 * MIB) / 64])], { outputs });
  let refused = '';
  await eventually(async () => {
    refused = await client.call('modelInfer', large).then(
      () => '',
      (error: Error) => error.message,
    );
    return refused === '' || !refused.includes('queue size');
  });
  expect(refused).toBe('');
  const answer = await client.call('modelInfer', inferRequest('same', [x([1, 2], { raw: floats(1, 2) })]));
  expect(answer.rawOutputContents.map((raw) => Buffer.from(raw))).toEqual([floats(1, 2)]);
  // Statistics add up: what was tried was either answered or not.
  const { modelStats } = await client.call('modelStatistics', { name: 'same', version: '' });
  const { success, queue } = modelStats[0]?.inferenceStats ?? {};
  expect(queue?.count).toBe(success?.count);
}, 60_000);
