// What no client of ours would send: an error each, the server alive, and the next call right.

import http2 from 'node:http2';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ScoreRequest } from '../../src/gen/scorewire/v1/scoring.ts';
import { concurrently } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { scoreRequest } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const METHODS = [
  '/scorewire.v1.ScoringService/Score',
  '/scorewire.v1.ScoringService/ScoreBatch',
  '/scorewire.v1.ScoringService/ScoreStream',
  '/scorewire.v1.ModelService/ListModels',
  '/scorewire.v1.ModelService/GetModel',
  '/scorewire.v1.ModelService/LoadModel',
  '/scorewire.v1.ModelService/UnloadModel',
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
  '/no.such.Service/Method',
];
const [SCORE] = METHODS as [string];

let server: TestServer;
let session: http2.ClientHttp2Session;

beforeAll(async () => {
  server = await TestServer.start(await modelFolder({ risk: linear([1, -1], 0) }));
  session = http2.connect(`http://${server.address}`);
});

afterAll(async () => {
  session.destroy();
  await server.stop();
});

async function stillRight(): Promise<void> {
  expect((await server.client.score('risk', [1, 1])).score).toBe(0.5);
}

const NOT_BUILT = /\/Method$/;

/** No protobuf message at all, whatever its type. */
const MALFORMED: Record<string, Uint8Array> = {
  'a length beyond the end': Uint8Array.of(0x0a, 0x7f, 0x41),
  'a length of gigabytes': Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x07),
  'a tag that ends too early': Uint8Array.of(0x80),
  'a number of eleven bytes': new Uint8Array(11).fill(0xff),
  'the field 0': Uint8Array.of(0x02, 0x01, 0x41),
  'a wire type that there is not': Uint8Array.of(0x0f),
  'the end of a group that never began': Uint8Array.of(0x0c),
  'groups in groups': new Uint8Array(20_000).fill(0x0b),
};

describe.each(METHODS)('%s', (method) => {
  test.each(Object.entries(MALFORMED))('%s', async (_, bytes) => {
    const outcome = await call(method, frame(bytes));
    // UNIMPLEMENTED where nothing reads the message.
    expect(outcome.status).toBe(NOT_BUILT.test(method) ? 12 : 3);
    expect(outcome.message).not.toMatch(/node_modules|\.ts:|\n/);
    await stillRight();
  });

  test('random bytes', async () => {
    const random = randomFrom(METHODS.indexOf(method) + 1);
    const messages = Array.from({ length: 100 }, () => bytesOf(random, Math.floor(random() * 200)));
    const outcomes = await concurrently(20, messages, (bytes) => call(method, frame(bytes)));
    for (const { status } of outcomes) expect(status).toBeGreaterThanOrEqual(0);
    // Bytes that happen to be a message may ask for nothing that is there; none of them can ask for a score.
    if (method === SCORE) for (const { status } of outcomes) expect(status).toBeGreaterThan(0);
    await stillRight();
  });

  test('no message', async () => {
    const { status } = await call(method, Buffer.alloc(0));
    expect(status).toBeGreaterThanOrEqual(0);
    if (method === SCORE) expect(status).toBeGreaterThan(0);
    await stillRight();
  });

  test.each([
    ['half a frame', Buffer.of(0, 0, 0)],
    ['a frame that ends too early', Buffer.of(0, 0, 0, 0, 9, 1, 2, 3)],
    ['a frame above the limit', Buffer.of(0, 0x7f, 0xff, 0xff, 0xff, 1)],
    ['a frame that claims to be compressed', Buffer.of(1, 0, 0, 0, 2, 1, 2)],
    ['two messages', Buffer.concat([frame(new Uint8Array()), frame(new Uint8Array())])],
  ])('%s', async (_, body) => {
    const { status } = await call(method, body);
    expect(status).toBeGreaterThanOrEqual(0);
    if (method === SCORE) expect(status).toBeGreaterThan(0);
    await stillRight();
  });
});

test('a message cut anywhere is an error or a row refused, never a score', async () => {
  const whole = ScoreRequest.encode(
    scoreRequest('risk', [1, 1], { entity: { $case: 'entityId', value: 'a' }, outputNames: ['score'] }),
  ).finish();
  const cuts = Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length));
  const outcomes = await concurrently(16, cuts, (bytes) => call(SCORE, frame(bytes)));
  const served = outcomes.flatMap(({ status }, length) => (status === 0 ? [length] : []));
  // Where a field ends, what is left is a message: only the last one, without its output name, has model and row.
  expect(served).toEqual([whole.length - 'score'.length - 2]);
});

test('a message with one bit turned: an answer each', async () => {
  const whole = ScoreRequest.encode(scoreRequest('risk', { x: 1, y: 'text', z: true, a: -1n })).finish();
  const turned = Array.from({ length: whole.length * 8 }, (_, bit) => {
    const copy = Uint8Array.from(whole);
    copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
    return copy;
  });
  for (const { status } of await concurrently(32, turned, (bytes) => call(SCORE, frame(bytes)))) {
    expect(status).toBeGreaterThan(0);
    // None of it is a fault of ours.
    expect(status).not.toBe(13);
  }
  await stillRight();
});

test('texts that are no UTF-8', async () => {
  const name = Uint8Array.of(0x0a, 4, 0xff, 0xfe, 0xc3, 0x28);
  const row = ScoreRequest.encode(scoreRequest('', [1, 1])).finish();
  const { status, message } = await call(SCORE, frame(Buffer.concat([row, name])));
  expect(status).toBe(3);
  expect(message).not.toBe('');
});

test('names that objects have of themselves', async () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    expect((await call(SCORE, frame(ScoreRequest.encode(scoreRequest(name, [1, 1])).finish()))).status).toBe(5);
    const row = scoreRequest('risk', undefined);
    row.row = { form: { $case: 'named', value: { values: new Map([[name, {}]]) } } };
    expect((await call(SCORE, frame(ScoreRequest.encode(row).finish()))).status).toBe(3);
    expect((await server.client.check(name).catch((error) => error)).code).toBe(5);
  }
  await stillRight();
});

describe('headers', () => {
  const good = frame(ScoreRequest.encode(scoreRequest('risk', [1, 1])).finish());

  test.each([
    { 'grpc-timeout': 'soon' },
    { 'grpc-timeout': '-1S' },
    { 'grpc-timeout': '99999999999999H' },
    { 'grpc-encoding': 'snappy' },
    { 'grpc-status-details-bin': '%%%' },
    { 'x-bin': 'not base64' },
    { traceparent: '00-zz' },
    { 'content-type': 'text/plain' },
    { ':method': 'GET' },
    { ':path': '/' },
    { ':path': `/${'a'.repeat(4000)}` },
  ])('%j', async (headers) => {
    const { status, http } = await call(SCORE, good, headers);
    expect(status >= 0 || http >= 400).toBe(true);
    await stillRight();
  });
});

test.each([
  ['random bytes', () => Buffer.from(bytesOf(randomFrom(9), 4096))],
  ['HTTP/1.1', () => Buffer.from('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['nothing', () => Buffer.alloc(0)],
  [
    'the preface of HTTP/2 and then random bytes',
    () => Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), bytesOf(randomFrom(8), 4096)]),
  ],
])('a connection with %s', async (_, bytes) => {
  const socket = connect(server.running.port, '127.0.0.1');
  await new Promise<void>((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('connect', () => socket.end(bytes()));
    socket.resume();
  });
  await stillRight();
});

test('callers that leave in the middle of their message', async () => {
  const good = frame(ScoreRequest.encode(scoreRequest('risk', [1, 1])).finish());
  for (let i = 0; i < 50; i++) {
    const leaving = http2.connect(`http://${server.address}`);
    leaving.on('error', () => {});
    const stream = leaving.request(headersOf(SCORE));
    stream.on('error', () => {});
    stream.write(good.subarray(0, i % good.length));
    await new Promise<void>((resolve) => stream.once('ready', () => resolve()));
    leaving.destroy();
  }
  await stillRight();
  expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
});

test('nobody met a fault of the server', () => {
  expect(server.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

type Outcome = {
  /** Of gRPC; -1 where there was none. */
  status: number;
  message: string;
  /** Of HTTP. */
  http: number;
};

/** A call with these bytes as its body, and what came back; a stream that stays open after its answer is left. */
function call(path: string, body: Uint8Array, headers: http2.OutgoingHttpHeaders = {}): Promise<Outcome> {
  const stream = session.request({ ...headersOf(path), ...headers });
  const outcome: Outcome = { status: -1, message: '', http: 0 };
  return new Promise((resolve) => {
    const read = (found: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader) => {
      outcome.http = found[':status'] ?? outcome.http;
      if (found['grpc-status'] !== undefined) outcome.status = Number(found['grpc-status']);
      outcome.message = decodeURIComponent(String(found['grpc-message'] ?? outcome.message));
    };
    stream.on('response', read);
    stream.on('trailers', read);
    // Watch answers and goes on.
    stream.once('data', () => {
      if (!path.endsWith('Watch')) return;
      outcome.status = 0;
      stream.close(http2.constants.NGHTTP2_CANCEL);
    });
    stream.resume();
    stream.on('error', () => {});
    stream.on('close', () => resolve(outcome));
    stream.end(body);
  });
}

function headersOf(path: string): http2.OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
}

/** A message as gRPC frames it. */
function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function bytesOf(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** Numbers in [0, 1), the same in every run (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
