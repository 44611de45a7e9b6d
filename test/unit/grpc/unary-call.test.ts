// What a unary call makes of its stream, whatever pieces the request comes in.
import http2 from 'node:http2';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GrpcServer } from '../../../src/grpc/grpc-server.ts';
import type { UnaryCall } from '../../../src/grpc/unary-call.ts';
import { eventually } from '../../support/concurrently.ts';

const LIMIT = 1000;
const PATH = '/test.Test/Unary';

let calls: { call: UnaryCall; message: Buffer }[];
let onMessage: (call: UnaryCall, message: Buffer) => void;
const method = {
  path: PATH,
  onMessage: (call: UnaryCall, message: Buffer) => {
    calls.push({ call, message: Buffer.from(message) });
    onMessage(call, message);
  },
};
const limits = {
  maxMessageBytes: LIMIT,
  maxBatchBytes: 512 * LIMIT,
  maxStreamsPerConnection: 100,
  maxConnectionIdleSeconds: 300,
};
const server = new GrpcServer(limits as never);
server.addUnary([method]);
let port: number;
let client: http2.ClientHttp2Session;

beforeAll(async () => {
  port = await server.listen('127.0.0.1', 0, {} as never);
});
afterAll(() => server.destroy());
beforeEach(() => {
  calls = [];
  onMessage = (call, message) => call.answer(message);
  client = http2.connect(`http://127.0.0.1:${port}`);
});
afterEach(() => client.destroy());

type Outcome = { http: number; status: number; details: string; message: Buffer; headers: http2.IncomingHttpHeaders };

function start(headers: http2.OutgoingHttpHeaders = {}): {
  stream: http2.ClientHttp2Stream;
  outcome: Promise<Outcome>;
} {
  const stream = client.request({
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const outcome = new Promise<Outcome>((resolve) => {
    const found: Outcome = { http: 0, status: -1, details: '', message: Buffer.alloc(0), headers: {} };
    const read = (given: http2.IncomingHttpHeaders) => {
      found.headers = { ...found.headers, ...given };
      found.http = Number(given[':status'] ?? found.http);
      if (given['grpc-status'] !== undefined) found.status = Number(given['grpc-status']);
      if (given['grpc-message'] !== undefined) found.details = decodeURIComponent(String(given['grpc-message']));
    };
    stream.on('response', read);
    stream.on('trailers', read);
    stream.on('data', (chunk: Buffer) => {
      found.message = Buffer.concat([found.message, chunk]);
    });
    stream.on('error', () => {});
    stream.on('close', () => resolve(found));
  });
  return { stream, outcome };
}

function frame(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const MESSAGE = Buffer.from('a message of some length');

test('answers: headers, the message with its prefix, trailers', async () => {
  const { stream, outcome } = start();
  stream.end(frame(MESSAGE));
  const { http, status, message, headers } = await outcome;
  expect({ http, status, message }).toEqual({ http: 200, status: 0, message: frame(MESSAGE) });
  expect(headers['content-type']).toBe('application/grpc+proto');
});

test('an empty message is one', async () => {
  const { stream, outcome } = start();
  stream.end(frame(Buffer.alloc(0)));
  expect((await outcome).status).toBe(0);
  expect(calls).toHaveLength(1);
});

test.each([1, 2, 4, 5, 6, 7, 28])('a request in pieces of %i bytes', async (size) => {
  const whole = frame(MESSAGE);
  const { stream, outcome } = start();
  for (let at = 0; at < whole.length; at += size) {
    stream.write(whole.subarray(at, at + size));
    // A frame each: what is written together goes together.
    await new Promise((resolve) => setImmediate(resolve));
  }
  stream.end();
  const { status, message } = await outcome;
  expect({ status, message }).toEqual({ status: 0, message: whole });
});

test.each([
  ['nothing', Buffer.alloc(0), 12],
  ['half a prefix', Buffer.of(0, 0, 0), 13],
  ['half a message', frame(MESSAGE).subarray(0, 12), 13],
  ['a message and a bit', Buffer.concat([frame(MESSAGE), Buffer.of(0)]), 13],
  ['two messages', Buffer.concat([frame(MESSAGE), frame(MESSAGE)]), 12],
  ['a message above the limit', frame(Buffer.alloc(LIMIT + 1)), 8],
  ['an announcement of 4 GB', Buffer.of(0, 0xff, 0xff, 0xff, 0xff, 1), 8],
])('%s', async (_, body, status) => {
  const { stream, outcome } = start();
  stream.end(body);
  expect((await outcome).status).toBe(status);
  expect(calls).toHaveLength(0);
});

test('a message of just the limit, in frames of a byte', async () => {
  const body = frame(Buffer.from(Array.from({ length: LIMIT }, (_, index) => index % 251)));
  const { stream, outcome } = start();
  for (const byte of body) {
    stream.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  stream.end();
  expect((await outcome).message).toEqual(body);
});

test('a message of just the limit', async () => {
  const { stream, outcome } = start();
  stream.end(frame(Buffer.alloc(LIMIT)));
  expect((await outcome).status).toBe(0);
});

describe('compressed', () => {
  test.each([
    ['gzip', gzipSync(MESSAGE)],
    ['deflate', deflateSync(MESSAGE)],
  ])('%s', async (encoding, packed) => {
    const { stream, outcome } = start({ 'grpc-encoding': encoding });
    stream.end(frame(packed, 1));
    expect((await outcome).message).toEqual(frame(MESSAGE));
  });

  test('a message that isn’t, on a call that may', async () => {
    const { stream, outcome } = start({ 'grpc-encoding': 'gzip' });
    stream.end(frame(MESSAGE));
    expect((await outcome).message).toEqual(frame(MESSAGE));
  });

  test.each([
    ['in a way that nobody named', undefined, frame(MESSAGE, 1), 13],
    ['in a way that isn’t known', 'snappy', frame(MESSAGE, 1), 12],
    ['badly', 'gzip', frame(MESSAGE, 1), 13],
    ['small, but large when unpacked', 'gzip', frame(gzipSync(Buffer.alloc(100_000)), 1), 8],
  ])('%s', async (_, encoding, body, status) => {
    const { stream, outcome } = start(encoding === undefined ? {} : { 'grpc-encoding': encoding });
    stream.end(body);
    const { status: found, headers } = await outcome;
    expect(found).toBe(status);
    expect(headers['grpc-accept-encoding']).toBe('identity,deflate,gzip');
  });
});

describe('the deadline', () => {
  test.each([
    ['2H', 7_200_000],
    ['3M', 180_000],
    ['4S', 4000],
    ['5000m', 5000],
    ['6000000u', 6000],
    ['7000000000n', undefined],
    ['99999999H', 359_999_996_400_000],
  ])('%s', async (timeout, ms) => {
    const { stream, outcome } = start({ 'grpc-timeout': timeout });
    stream.end(frame(MESSAGE));
    const { status, details } = await outcome;
    if (ms === undefined) {
      expect({ status, details }).toEqual({ status: 13, details: expect.stringContaining(timeout) });
      return;
    }
    expect(status).toBe(0);
    const { call } = calls[0] as { call: UnaryCall };
    expect(call.deadlineMs - call.startedMs).toBeCloseTo(ms, 3);
  });

  test('none is never', async () => {
    const { stream, outcome } = start();
    stream.end(frame(MESSAGE));
    await outcome;
    expect(calls[0]?.call.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('passes: DEADLINE_EXCEEDED, and the answer that comes after it is dropped', async () => {
    onMessage = () => {};
    const { stream, outcome } = start({ 'grpc-timeout': '20m' });
    stream.end(frame(MESSAGE));
    expect((await outcome).status).toBe(4);
    calls[0]?.call.answer(MESSAGE);
    calls[0]?.call.refuse({ code: 13, details: 'late' });
  });

  test('passes before the request is whole', async () => {
    const { stream, outcome } = start({ 'grpc-timeout': '20m' });
    stream.write(frame(MESSAGE).subarray(0, 10));
    expect((await outcome).status).toBe(4);
    expect(calls).toHaveLength(0);
  });
});

test('a caller who leaves: the call knows, and an answer is dropped', async () => {
  onMessage = () => {};
  const { stream, outcome } = start();
  stream.end(frame(MESSAGE));
  await eventually(() => calls.length === 1);
  const { call } = calls[0] as { call: UnaryCall };
  expect(call.abandoned).toBe(false);
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await outcome;
  await eventually(() => call.abandoned);
  call.answer(MESSAGE);
});

test('only the first answer counts', async () => {
  onMessage = (call, message) => {
    call.answer(message);
    call.refuse({ code: 13, details: 'second' });
    call.answer(Buffer.from('third'));
  };
  const { stream, outcome } = start();
  stream.end(frame(MESSAGE));
  const { status, message } = await outcome;
  expect({ status, message }).toEqual({ status: 0, message: frame(MESSAGE) });
});

test('a refusal: status and words, percent-encoded on the wire', async () => {
  onMessage = (call) => call.refuse({ code: 3, details: '100 % größer,\nsagt „x“' });
  const { stream, outcome } = start();
  stream.end(frame(MESSAGE));
  const { http, status, details, message } = await outcome;
  expect({ http, status, details, message: message.length }).toEqual({
    http: 200,
    status: 3,
    details: '100 % größer,\nsagt „x“',
    message: 0,
  });
});

test.each([undefined, 'application/json'])('content type %s', async (type) => {
  const stream = client.request({
    ':method': 'POST',
    ':path': PATH,
    ...(type === undefined ? {} : { 'content-type': type }),
  });
  stream.end(frame(MESSAGE));
  stream.resume();
  const status = await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
  expect(status).toBe(415);
});

test('of large messages the server holds so many, halves as well, and more when they are gone', async () => {
  const MIB = 1024 * 1024;
  const small = new GrpcServer({ ...limits, maxMessageBytes: 4 * MIB, maxBatchBytes: 5 * MIB } as never);
  small.addUnary([method]);
  const session = http2.connect(`http://127.0.0.1:${await small.listen('127.0.0.1', 0, {} as never)}`);
  const message = Buffer.alloc(3 * MIB);
  const send = () =>
    session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers' });
  const statusOf = (stream: http2.ClientHttp2Stream) =>
    new Promise<number>((resolve) => {
      const read = (headers: http2.IncomingHttpHeaders) => {
        if (headers['grpc-status'] !== undefined) resolve(Number(headers['grpc-status']));
      };
      stream.on('response', read);
      stream.on('trailers', read);
      stream.on('error', () => {});
      stream.resume();
    });
  const half = send();
  half.on('error', () => {});
  // Taken once the server gives more room than there is at first.
  await new Promise((resolve) => half.write(frame(message).subarray(0, MIB), resolve));
  const refused = send();
  refused.end(frame(message));
  expect(await statusOf(refused)).toBe(8);
  half.close(http2.constants.NGHTTP2_CANCEL);
  const taken = send();
  taken.end(frame(message));
  expect(await statusOf(taken)).toBe(0);
  session.destroy();
  small.destroy();
});

describe('a method that keeps messages', () => {
  const MIB = 1024 * 1024;
  const KEPT = '/test.Test/Kept';
  let other: GrpcServer;
  let session: http2.ClientHttp2Session;
  let kept: { call: UnaryCall; message: Buffer }[];

  beforeEach(async () => {
    kept = [];
    other = new GrpcServer({ ...limits, maxBatchBytes: 5 * MIB } as never);
    other.addUnary([
      {
        path: KEPT,
        maxMessageBytes: 4 * MIB,
        tooLargeHint: (bytes, maxBytes) => `send ${Math.ceil(bytes / maxBytes)} of them`,
        keepsMessagesAbove: 100,
        onMessage: (call, message) => void kept.push({ call, message }),
      },
    ]);
    session = http2.connect(`http://127.0.0.1:${await other.listen('127.0.0.1', 0, {} as never)}`);
  });
  afterEach(() => {
    session.destroy();
    other.destroy();
  });

  function send(message: Uint8Array): { stream: http2.ClientHttp2Stream; outcome: Promise<[number, string, Buffer]> } {
    const headers = { ':method': 'POST', ':path': KEPT, 'content-type': 'application/grpc', te: 'trailers' };
    const stream = session.request(headers);
    const outcome = new Promise<[number, string, Buffer]>((resolve) => {
      let [status, details] = [-1, ''];
      const parts: Buffer[] = [];
      const read = (given: http2.IncomingHttpHeaders) => {
        status = Number(given['grpc-status'] ?? status);
        details = decodeURIComponent(String(given['grpc-message'] ?? details));
      };
      stream.on('response', read).on('trailers', read);
      stream.on('data', (chunk: Buffer) => parts.push(chunk));
      stream.on('error', () => {}).on('close', () => resolve([status, details, Buffer.concat(parts)]));
    });
    stream.end(frame(message));
    return { stream, outcome };
  }

  test('has them unchanged until it releases them, though the caller left and others came', async () => {
    const first = send(Buffer.alloc(3 * MIB, 1));
    await eventually(() => kept.length === 1);
    first.stream.close(http2.constants.NGHTTP2_CANCEL);
    await eventually(() => kept[0]?.call.ended === true);
    // There is no room for another large one as long as it is kept, though its caller is gone.
    expect((await send(Buffer.alloc(3 * MIB, 2)).outcome)[0]).toBe(8);
    const small = send(Buffer.alloc(200, 3));
    await eventually(() => kept.length === 2);
    expect(kept[0]?.message.every((byte) => byte === 1)).toBe(true);
    kept[0]?.call.release();
    const second = send(Buffer.alloc(3 * MIB, 2));
    await eventually(() => kept.length === 3);
    expect(kept[1]?.message).toEqual(Buffer.alloc(200, 3));
    for (const { call } of kept.slice(1)) {
      call.release();
      call.answer(Buffer.of(1));
    }
    expect([(await small.outcome)[0], (await second.outcome)[0]]).toEqual([0, 0]);
  });

  test('has room for what it makes of them until the call ends', async () => {
    const { outcome } = send(Buffer.alloc(10));
    await eventually(() => kept.length === 1);
    const call = kept[0]?.call;
    expect([call?.hold(4 * MIB), call?.hold(2 * MIB)]).toEqual([true, false]);
    call?.answer(Buffer.of(1));
    await outcome;
    const next = send(Buffer.alloc(10));
    await eventually(() => kept.length === 2);
    expect(kept[1]?.call.hold(5 * MIB)).toBe(true);
    kept[1]?.call.refuse({ code: 3, details: '' });
    await next.outcome;
  });

  test('takes larger ones than others, and says what to do with those that are larger still', async () => {
    const [status, details] = await send(Buffer.alloc(5 * MIB)).outcome;
    expect([status, details]).toEqual([
      8,
      `Received message larger than max (${5 * MIB} vs ${4 * MIB}); send 2 of them`,
    ]);
  });

  test('answers with a message that has room for its prefix', async () => {
    const { outcome } = send(Buffer.alloc(10));
    await eventually(() => kept.length === 1);
    const message = Buffer.alloc(2 * MIB, 7);
    kept[0]?.call.answerFramed(Buffer.concat([Buffer.alloc(5, 0xff), message]));
    const [status, , body] = await outcome;
    expect(status).toBe(0);
    expect(body.equals(frame(message))).toBe(true);
  });
});
