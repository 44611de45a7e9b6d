// The stream of questions and answers, on a real connection: HTTP/2 decides what "doesn't read" means.

import http2 from 'node:http2';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerReflectionRequest, ServerReflectionResponse } from '../../../src/gen/grpc/reflection/v1/reflection.ts';
import { GrpcServer } from '../../../src/grpc/grpc-server.ts';
import { reflectionMethods } from '../../../src/grpc/reflection.ts';
import { testSettings } from '../../support/test-server.ts';

const QUESTIONS = 30_000;

const server = new GrpcServer(testSettings('none').limits);
let session: http2.ClientHttp2Session;

beforeAll(async () => {
  server.addStreams(reflectionMethods(['grpc.health.v1.Health']));
  const port = await server.listen('127.0.0.1', 0, {} as never);
  session = http2.connect(`http://127.0.0.1:${port}`);
});

afterAll(() => {
  session.destroy();
  server.destroy();
});

test('a client that asks and does not read is read no further, and gets every answer once it reads', async () => {
  const stream = open('v1');
  const question = frame(request('grpc.health.v1.Health.Check'));
  stream.write(Buffer.concat(Array.from({ length: QUESTIONS }, () => question)));
  stream.end();
  // Until nothing moves any more; where it all was taken there is no end of it.
  let before = -1;
  while (before !== session.socket.bytesWritten) {
    before = session.socket.bytesWritten;
    await setTimeout(100);
  }
  expect(before).toBeLessThan((question.length * QUESTIONS) / 2);

  const { status, messages } = await answers(stream);
  expect(status).toBe('0');
  expect(messages.length).toBe(QUESTIONS);
  const last = ServerReflectionResponse.decode(messages.at(-1) as Buffer);
  expect(last.originalRequest).toEqual(ServerReflectionRequest.decode(request('grpc.health.v1.Health.Check')));
  expect(last.messageResponse?.$case).toBe('fileDescriptorResponse');
});

test.each(['v1', 'v1alpha'])('%s: what is no question ends the stream after the answers before it', async (version) => {
  const stream = open(version);
  stream.end(Buffer.concat([frame(request('nothing')), frame(Buffer.of(0)), frame(request('nothing'))]));
  const { status, messages } = await answers(stream);
  expect(status).toBe('3');
  expect(messages.map((message) => ServerReflectionResponse.decode(message).messageResponse)).toMatchObject([
    { $case: 'errorResponse', value: { errorCode: 5 } },
  ]);
});

test('the services asked for and reflection itself are listed', async () => {
  const stream = open('v1');
  const asked = { host: 'here', messageRequest: { $case: 'listServices' as const, value: '*' } };
  stream.end(frame(ServerReflectionRequest.encode(asked).finish()));
  const { messages } = await answers(stream);
  expect(messages.map((message) => ServerReflectionResponse.decode(message))).toEqual([
    {
      validHost: 'here',
      originalRequest: asked,
      messageResponse: {
        $case: 'listServicesResponse',
        value: {
          service: [
            { name: 'grpc.health.v1.Health' },
            { name: 'grpc.reflection.v1.ServerReflection' },
            { name: 'grpc.reflection.v1alpha.ServerReflection' },
          ],
        },
      },
    },
  ]);
});

function open(version: string): http2.ClientHttp2Stream {
  return session.request({
    ':method': 'POST',
    ':path': `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
}

function request(symbol: string): Uint8Array {
  const messageRequest = { $case: 'fileContainingSymbol' as const, value: symbol };
  return ServerReflectionRequest.encode({ host: '', messageRequest }).finish();
}

/** A message as gRPC frames it. */
function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** All that comes until the stream ends. */
async function answers(stream: http2.ClientHttp2Stream): Promise<{ status: string; messages: Buffer[] }> {
  let status = '';
  stream.on('trailers', (trailers: http2.IncomingHttpHeaders) => {
    status = String(trailers['grpc-status']);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  const whole = Buffer.concat(chunks);
  const messages: Buffer[] = [];
  for (let at = 0; at < whole.length; ) {
    const end = at + 5 + whole.readUInt32BE(at + 1);
    messages.push(whole.subarray(at + 5, end));
    at = end;
  }
  return { status, messages };
}
