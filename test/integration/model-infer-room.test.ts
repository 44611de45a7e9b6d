// How much of large requests and of large answers the server holds, whatever its callers do.
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelInferRequest } from '../../src/gen/inference/inference.ts';
import { eventually } from '../support/concurrently.ts';
import { inferRequest, packed, rawOutput, unpacked } from '../support/infer-requests.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { modelFolder } from '../support/model-folder.ts';
import { identity } from '../support/onnx-builder.ts';
import { type Failure, failureOf, takeApart } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const MIB = 1024 * 1024;
/** Of large messages, and of answers to them. */
const ROOM = 24 * MIB;

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  server = await TestServer.start(
    await modelFolder({
      same: identity('float32', [2, 'W']),
      text: identity('string', [2, 'W']),
    }),
    [`limits.max_batch_bytes=${ROOM}`],
  );
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

/** Of so many mebibytes. */
function large(mib: number) {
  return inferRequest('same', [
    { name: 'x', datatype: 'FP32', shape: [2, (mib * MIB) / 8], raw: Buffer.alloc(mib * MIB) },
  ]);
}

function framed(message: Uint8Array, compressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Its answers are never read: it gives no room for them. */
class Sleeper {
  readonly #session: http2.ClientHttp2Session;

  constructor() {
    this.#session = http2.connect(`http://${server.address}`, { settings: { initialWindowSize: 0 } });
    this.#session.on('error', () => {});
  }

  call(method: string, body: Uint8Array, headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': `/inference.GRPCInferenceService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => {});
    stream.write(body);
    return stream;
  }

  leave(): void {
    this.#session.destroy();
  }
}

/** Whether there is room for a request and an answer that fill all but a little of it. */
async function roomForAll(): Promise<boolean> {
  try {
    await client.call('modelInfer', large(3));
    const others = await Promise.all(Array.from({ length: 3 }, () => client.call('modelInfer', large(3))));
    return others.length === 3;
  } catch {
    return false;
  }
}

describe('answers that nobody reads', () => {
  test.each(['ModelInfer', 'ModelStreamInfer'])(
    '%s: no more than there is room for, until the caller leaves',
    async (method) => {
      const sleeper = new Sleeper();
      const message = framed(ModelInferRequest.encode(large(3)).finish());
      let refused: Failure | undefined;
      await eventually(async () => {
        const stream = sleeper.call(method, message);
        if (method === 'ModelInfer') stream.end();
        refused = await client.call('modelInfer', large(3)).then(
          () => undefined,
          (error: ServiceError) => takeApart(error),
        );
        return refused !== undefined;
      });
      expect(refused?.code).toMatch(/^(UNAVAILABLE|RESOURCE_EXHAUSTED)$/);
      sleeper.leave();
      await eventually(roomForAll);
    },
  );
});

describe('compressed messages', () => {
  const bomb = gzipSync(Buffer.alloc(60 * MIB));
  const gzip = { 'grpc-encoding': 'gzip' };

  test.each(['ModelInfer', 'ModelStreamInfer'])('%s: one that becomes more than there is room for', async (method) => {
    const stream = new Sleeper().call(method, framed(bomb, true), gzip);
    stream.end();
    const headers = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('response', resolve));
    expect(headers['grpc-status']).toBe('8');
    expect(decodeURIComponent(String(headers['grpc-message']))).toMatch(/as many large messages as it may/);
    await eventually(roomForAll);
  });
});

describe('texts', () => {
  test('more than are handed over at once', async () => {
    const count = 1_000_002;
    const found = await failureOf(
      client.call(
        'modelInfer',
        inferRequest('text', [{ name: 'x', datatype: 'BYTES', shape: [2, count / 2], raw: Buffer.alloc(4 * count) }]),
      ),
    );
    expect(found.code).toBe('INVALID_ARGUMENT');
    expect(found.message).toMatch(/expected at most 1000000 string elements for inference input 'x'.*got 1000002/);
  });

  test('count with what they take on their way', async () => {
    const count = 500_000;
    const found = await failureOf(
      client.call(
        'modelInfer',
        inferRequest('text', [{ name: 'x', datatype: 'BYTES', shape: [2, count / 2], raw: Buffer.alloc(4 * count) }]),
      ),
    );
    // There is never room for so many, and so there is no use in trying again.
    expect({ code: found.code, reason: found.reason }).toEqual({
      code: 'INVALID_ARGUMENT',
      reason: 'TOO_LARGE_TO_HOLD',
    });
    expect(found.message).toContain('limits.max_batch_bytes');
  });

  test('of any bytes come back, many and long ones too', async () => {
    const long = Buffer.from(Uint8Array.from({ length: 10_000 }, (_, index) => index % 256));
    const texts = Array.from({ length: 1000 }, (_, index) =>
      index % 100 === 7 ? long : Buffer.from([index % 256, 0xf4]),
    );
    const response = await client.call(
      'modelInfer',
      inferRequest('text', [{ name: 'x', datatype: 'BYTES', shape: [2, 500], raw: packed(...texts) }]),
    );
    expect(unpacked(rawOutput(response, 'y'))).toEqual(texts);
  });
});
