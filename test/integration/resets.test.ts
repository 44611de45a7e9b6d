// A client that resets streams while it doesn't read what it is sent: whatever it resets, the answers that it is owed come.

import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GrpcServer } from '../../src/grpc/grpc-server.ts';
import { Authority } from '../support/certificates.ts';
import { eventually } from '../support/concurrently.ts';

const LIMIT = 4_000_000;
const ANSWER_BYTES = 3_000_000;

let server: GrpcServer;
let port: number;
let calls = 0;

beforeAll(async () => {
  server = new GrpcServer({
    maxMessageBytes: LIMIT,
    maxBatchBytes: 512 * LIMIT,
    maxStreamsPerConnection: 100,
    maxConnectionIdleSeconds: 300,
  } as never);
  const method = {
    path: '/test.Test/Unary',
    onMessage: (call: { answer(message: Uint8Array): void }) => {
      calls++;
      call.answer(Buffer.alloc(ANSWER_BYTES));
    },
  };
  server.addUnary([method]);
  const { cert, key } = await (await Authority.create()).sign('server');
  port = await server.listen('127.0.0.1', 0, { cert, key } as never);
});
afterAll(() => server.destroy());

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

function requestHeaders(stream: number, path: string, contentType: string | undefined): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  const pairs = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', path],
    [':authority', 'x'],
    ...(contentType === undefined ? [] : [['content-type', contentType]]),
  ] as [string, string][];
  const block = Buffer.concat(pairs.map(([name, value]) => Buffer.concat([Buffer.of(0), text(name), text(value)])));
  return frame(1, 4, stream, block);
}

const message = (end: boolean, stream: number) =>
  frame(0, end ? 1 : 0, stream, Buffer.concat([Buffer.of(0, 0, 0, 0, 10), Buffer.alloc(10)]));

function reset(stream: number, code: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(3, 0, stream, payload);
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** The largest windows that there are, so that answers wait in the socket and not for the peer. */
const WIDE = Buffer.of(0, 4, 0x7f, 0xff, 0xff, 0xff);
const WIDER = Buffer.of(0x7f, 0xfe, 0, 0);

test.each([
  ['no content type', '/test.Test/Unary', undefined],
  ['an unknown method', '/test.Test/Nothing', 'application/grpc'],
  ['a good call', '/test.Test/Unary', 'application/grpc'],
])('%s', async (_, path, contentType) => {
  const socket = tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  socket.pause();
  const before = calls;
  const good = [1, 3, 5, 7].flatMap((stream) => [
    requestHeaders(stream, '/test.Test/Unary', 'application/grpc'),
    message(true, stream),
  ]);
  socket.write(Buffer.concat([PREFACE, frame(4, 0, 0, WIDE), frame(8, 0, 0, WIDER), ...good]));
  await eventually(() => calls === before + 4);
  let stream = 9;
  for (let round = 0; round < 20; round++) {
    const attack: Buffer[] = [];
    for (const code of [0, 2, 8]) {
      attack.push(requestHeaders(stream, path, contentType), message(false, stream), reset(stream, code));
      stream += 2;
    }
    socket.write(Buffer.concat(attack));
  }
  // Whoever reads on gets the good answers whole.
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  socket.resume();
  await eventually(() => received > 4 * ANSWER_BYTES);
  expect(calls).toBe(before + 4);
  socket.destroy();
});
