// ModelInfer messages that are cut short or changed on the way: each is answered, and the server goes on.
import { ChannelCredentials, Client, status as Status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  GRPCInferenceServiceService,
  ModelInferRequest,
  ModelInferResponse,
} from '../../src/gen/inference/inference.ts';
import { floats, floatsOf, inferRequest, packed, rawOutput } from '../support/infer-requests.ts';
import { modelFolder } from '../support/model-folder.ts';
import { identity } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

const { path } = GRPCInferenceServiceService.modelInfer;
const KNOWN = ['OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'INTERNAL', 'UNIMPLEMENTED', 'UNAVAILABLE'];

let server: TestServer;
let client: Client;

beforeAll(async () => {
  server = await TestServer.start(
    await modelFolder({ same: identity('float32', ['N', 'W']), text: identity('string', ['N', 'W']) }),
  );
  client = new Client(server.address, ChannelCredentials.createInsecure());
});

afterAll(async () => {
  client.close();
  await server.stop();
});

const RAW = encoded(inferRequest('same', [{ name: 'x', datatype: 'FP32', shape: [1, 2], raw: floats(1, 2) }]));
const MESSAGES: Record<string, Uint8Array> = {
  raw: encoded(
    inferRequest('same', [{ name: 'x', datatype: 'FP32', shape: [1, 3], raw: floats(1, 2, 3) }], {
      id: 'id',
      parameters: { timeout: 10_000_000n, text: 'x' },
      outputs: [{ name: 'y', parameters: { classification: 2n } }],
    }),
  ),
  typed: encoded(inferRequest('same', [{ name: 'x', datatype: 'FP32', shape: [1, 3], typed: [1, 2, 3] }])),
  texts: encoded(inferRequest('text', [{ name: 'x', datatype: 'BYTES', shape: [1, 2], raw: packed('ab', 'c') }])),
};

function encoded(request: ModelInferRequest): Uint8Array {
  return ModelInferRequest.encode(request).finish();
}

function send(bytes: Uint8Array): Promise<{ code: string; answer: Buffer | undefined }> {
  return new Promise((resolve) => {
    const same = (given: Buffer) => given;
    client.makeUnaryRequest(path, same, same, Buffer.from(bytes), { deadline: Date.now() + 10_000 }, (error, answer) =>
      resolve({ code: error === null ? 'OK' : Status[error.code], answer }),
    );
  });
}

async function stillRight(): Promise<void> {
  const { answer } = await send(RAW);
  expect(floatsOf(rawOutput(ModelInferResponse.decode(answer as Buffer), 'y'))).toEqual([1, 2]);
}

test.each(Object.keys(MESSAGES))('%s: cut short anywhere', async (form) => {
  const message = MESSAGES[form] as Uint8Array;
  const codes = await Promise.all(Array.from(message, (_, length) => send(message.subarray(0, length))));
  expect(codes.map(({ code }) => code).filter((code) => !KNOWN.includes(code))).toEqual([]);
  await stillRight();
});

test.each(Object.keys(MESSAGES))('%s: with any bit turned', async (form) => {
  const message = MESSAGES[form] as Uint8Array;
  const turned = Array.from({ length: message.length * 8 }, (_, bit) => {
    const bytes = Buffer.from(message);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    return bytes;
  });
  const codes = await Promise.all(turned.map(send));
  expect(codes.map(({ code }) => code).filter((code) => !KNOWN.includes(code))).toEqual([]);
  await stillRight();
});

test('bytes that mean nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => {
      expect(KNOWN).toContain((await send(bytes)).code);
    }),
    { numRuns: 300 },
  );
  await stillRight();
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
});
