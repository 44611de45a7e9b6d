// What a call with streams of messages makes of its HTTP/2 stream.
import http2 from 'node:http2';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { GrpcServer } from '../../../src/grpc/grpc-server.ts';
import type { StreamCall, StreamHandler } from '../../../src/grpc/stream-call.ts';
import { FrameType } from '../../../src/http2/frames.ts';
import { encodeHeaders } from '../../../src/http2/header-encoder.ts';
import { STREAM_WINDOW_BYTES } from '../../../src/http2/limits.ts';
import { eventually } from '../../support/concurrently.ts';
import { blockFrame, dataFrame, RawPeer, resetFrame } from '../../support/raw-http2.ts';

/** Where set, what has been unpacked waits here. */
const gate = vi.hoisted(() => ({ held: undefined as (() => void)[] | undefined }));
vi.mock('node:zlib', async (original) => {
  const zlib = await original<typeof import('node:zlib')>();
  const createGunzip = () => {
    const unpacking = zlib.createGunzip();
    const on = unpacking.on.bind(unpacking);
    const onGated = (event: string, listener: () => void) =>
      on(event, event !== 'end' ? listener : () => (gate.held === undefined ? listener() : gate.held.push(listener)));
    return Object.assign(unpacking, { on: onGated });
  };
  return { ...zlib, createGunzip };
});

const LIMIT = 1000;
const PATH = '/test.Test/Stream';

/** What the handler was told, messages by their text. */
let told: string[];
let call: StreamCall;
/** What the handler does besides. */
let handler: Partial<StreamHandler>;
let onOpen: () => void;
const method = {
  path: PATH,
  open: (opened: StreamCall): StreamHandler => {
    call = opened;
    // A call of a test before may end during the next.
    const heard = told;
    onOpen();
    return {
      onMessage(message) {
        heard.push(message.toString());
        handler.onMessage?.(message);
      },
      onEnd() {
        heard.push('(end)');
        handler.onEnd?.();
      },
      onDrain() {
        heard.push('(drain)');
        handler.onDrain?.();
      },
      onAbort() {
        heard.push('(abort)');
        handler.onAbort?.();
      },
    };
  },
};
const limits = { maxMessageBytes: LIMIT, maxStreamsPerConnection: 100, maxConnectionIdleSeconds: 300 };
const server = new GrpcServer(limits as never);
server.addStreams([method]);
let port: number;
let client: http2.ClientHttp2Session;

beforeAll(async () => {
  port = await server.listen('127.0.0.1', 0, {} as never);
});
afterAll(() => server.destroy());
beforeEach(() => {
  told = [];
  onOpen = () => {};
  handler = { onEnd: () => call.end() };
  gate.held = undefined;
  client = http2.connect(`http://127.0.0.1:${port}`);
});
afterEach(() => client.destroy());

type Outcome = { http: number; status: number; details: string; body: Buffer };

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
  const found: Outcome = { http: 0, status: -1, details: '', body: Buffer.alloc(0) };
  const read = (given: http2.IncomingHttpHeaders): void => {
    found.http = Number(given[':status'] ?? found.http);
    if (given['grpc-status'] !== undefined) found.status = Number(given['grpc-status']);
    if (given['grpc-message'] !== undefined) found.details = decodeURIComponent(String(given['grpc-message']));
  };
  stream.on('response', read);
  stream.on('trailers', read);
  stream.on('data', (chunk: Buffer) => {
    found.body = Buffer.concat([found.body, chunk]);
  });
  stream.on('error', () => {});
  return { stream, outcome: new Promise((resolve) => stream.on('close', () => resolve(found))) };
}

function frame(message: Uint8Array | string, flag = 0): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

const packed = (message: string): Buffer => frame(gzipSync(message), 1);

/** A connection whose frames are ours, with the call open as stream 1. */
async function open(...more: readonly (readonly [string, string])[]): Promise<RawPeer> {
  const peer = await RawPeer.open(port);
  const headers = [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', PATH],
    ['content-type', 'application/grpc'],
    ...more,
  ] as const;
  peer.send(blockFrame(1, encodeHeaders(headers)));
  return peer;
}

describe('messages', () => {
  const MESSAGES = ['one', '', 'two', 'a third that is longer'];
  const whole = Buffer.concat(MESSAGES.map((message) => frame(message)));

  test('several in one frame', async () => {
    const { stream, outcome } = start();
    stream.end(whole);
    expect(await outcome).toMatchObject({ http: 200, status: 0 });
    expect(told).toEqual([...MESSAGES, '(end)']);
  });

  test('split at every place', async () => {
    const peer = await open();
    peer.send(dataFrame(1, '', true));
    await peer.over(1);
    for (let cut = 0; cut <= whole.length; cut++) {
      told = [];
      const id = 2 * cut + 3;
      const block = encodeHeaders([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', PATH],
        ['content-type', 'application/grpc'],
      ]);
      peer.send(blockFrame(id, block), dataFrame(id, whole.subarray(0, cut)), dataFrame(id, whole.subarray(cut), true));
      expect((await peer.over(id)).trailers).toEqual({ 'grpc-status': '0' });
      expect(told).toEqual([...MESSAGES, '(end)']);
    }
    peer.destroy();
  });

  test('a byte at a time', async () => {
    const peer = await open();
    for (const byte of whole) peer.send(dataFrame(1, Buffer.of(byte)));
    peer.send(dataFrame(1, '', true));
    await peer.over(1);
    expect(told).toEqual([...MESSAGES, '(end)']);
    peer.destroy();
  });

  test.each([
    ['half a prefix', Buffer.of(0, 0, 0), 13],
    ['half a message', frame('abc').subarray(0, 7), 13],
    ['a message above the limit', frame(Buffer.alloc(LIMIT + 1)), 8],
    ['an announcement of 4 GB', Buffer.of(0, 0xff, 0xff, 0xff, 0xff), 8],
  ])('a good one, and %s', async (_, body, status) => {
    const { stream, outcome } = start();
    stream.end(Buffer.concat([frame('good'), body]));
    expect((await outcome).status).toBe(status);
    expect(told).toEqual(['good', '(abort)']);
  });

  test('none', async () => {
    const { stream, outcome } = start();
    stream.end();
    expect((await outcome).status).toBe(0);
    expect(told).toEqual(['(end)']);
  });
});

describe('compressed messages', () => {
  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ])('%s, among others, in their order', async (encoding, pack) => {
    const { stream, outcome } = start({ 'grpc-encoding': encoding });
    stream.end(Buffer.concat([frame('1'), frame(pack('2'), 1), frame('3'), frame(pack('4'), 1), frame(pack('5'), 1)]));
    expect((await outcome).status).toBe(0);
    expect(told).toEqual(['1', '2', '3', '4', '5', '(end)']);
  });

  test.each([
    ['in a way that nobody named', undefined, 13],
    ['in a way that isn’t known', 'snappy', 12],
    ['badly', 'gzip', 13],
  ])('%s', async (_, encoding, status) => {
    const { stream, outcome } = start(encoding === undefined ? {} : { 'grpc-encoding': encoding });
    stream.end(Buffer.concat([frame('good'), frame('bad', 1), frame('never')]));
    expect((await outcome).status).toBe(status);
    expect(told).toEqual(['good', '(abort)']);
  });

  test('the caller gets no more room while one is being unpacked', async () => {
    gate.held = [];
    const peer = await open(['grpc-encoding', 'gzip']);
    const first = packed('first');
    peer.send(dataFrame(1, first));
    await eventually(() => gate.held?.length === 1);
    const piece = Buffer.concat(Array.from({ length: 1000 }, () => frame('12345')));
    let sent = first.length;
    for (; sent + piece.length <= STREAM_WINDOW_BYTES; sent += piece.length) peer.send(dataFrame(1, piece));
    await peer.heard();
    const room = (): unknown[] => peer.frames.filter(({ type, id }) => type === FrameType.windowUpdate && id === 1);
    expect(room()).toEqual([]);
    const [tell] = gate.held as [() => void];
    gate.held = undefined;
    tell();
    await eventually(() => room().length === 1);
    await eventually(() => told.length === 1 + (1000 * (sent - first.length)) / piece.length);
    peer.destroy();
  });

  test('one that is unpacked while the call is paused waits for its end', async () => {
    gate.held = [];
    const { stream, outcome } = start({ 'grpc-encoding': 'gzip' });
    stream.end(Buffer.concat([packed('1'), frame('2')]));
    await eventually(() => gate.held?.length === 1);
    call.pause();
    gate.held[0]?.();
    expect(told).toEqual([]);
    call.resume();
    expect((await outcome).status).toBe(0);
    expect(told).toEqual(['1', '2', '(end)']);
  });

  test('a call that ended meanwhile hears no more', async () => {
    gate.held = [];
    const { stream, outcome } = start({ 'grpc-encoding': 'gzip' });
    stream.end(packed('1'));
    await eventually(() => gate.held?.length === 1);
    call.refuse({ code: 5, details: 'enough' });
    expect((await outcome).status).toBe(5);
    gate.held[0]?.();
    expect(told).toEqual([]);
  });
});

describe('pause', () => {
  test('nothing comes until resume, and then all in its order, the end too', async () => {
    handler.onMessage = () => call.pause();
    const { stream, outcome } = start();
    stream.end(Buffer.concat([frame('1'), frame('2'), frame('3')]));
    for (const messages of [1, 2, 3]) {
      await eventually(() => told.length === messages);
      await new Promise((resolve) => setImmediate(resolve));
      expect(told).toHaveLength(messages);
      call.resume();
    }
    expect((await outcome).status).toBe(0);
    expect(told).toEqual(['1', '2', '3', '(end)']);
  });

  test('resumed at once, while messages are being handed on', async () => {
    let under = 0;
    handler.onMessage = () => {
      expect(++under).toBe(1);
      call.pause();
      call.resume();
      under--;
    };
    const { stream, outcome } = start({ 'grpc-encoding': 'gzip' });
    stream.end(Buffer.concat([frame('1'), packed('2'), frame('3'), packed('4')]));
    expect((await outcome).status).toBe(0);
    expect(told).toEqual(['1', '2', '3', '4', '(end)']);
  });

  test('the end is told once, however often the call is paused after it', async () => {
    handler.onEnd = () => {};
    const { stream, outcome } = start();
    stream.end(frame('1'));
    await eventually(() => told.length === 2);
    for (let times = 0; times < 2; times++) {
      call.pause();
      call.resume();
    }
    expect(told).toEqual(['1', '(end)']);
    call.end();
    expect((await outcome).status).toBe(0);
  });

  test('the caller gets no more room than it had, and new room after', async () => {
    onOpen = () => call.pause();
    const peer = await open();
    const piece = Buffer.concat(Array.from({ length: 16 }, () => frame(Buffer.alloc(LIMIT, 'x'))));
    let pieces = 0;
    for (; (pieces + 1) * piece.length <= STREAM_WINDOW_BYTES; pieces++) peer.send(dataFrame(1, piece));
    await peer.heard();
    const room = (): unknown[] => peer.frames.filter(({ type, id }) => type === FrameType.windowUpdate && id === 1);
    expect({ room: room(), told }).toEqual({ room: [], told: [] });
    call.resume();
    await eventually(() => room().length === 1);
    expect(told).toHaveLength(16 * pieces);
    peer.destroy();
  });
});

describe('answers', () => {
  test('before, between and after the caller’s messages', async () => {
    onOpen = () => void call.send(Buffer.from('hello'));
    handler.onMessage = (message) => void call.send(Buffer.from(`got ${message}`));
    const { stream, outcome } = start();
    stream.write(frame('1'));
    await eventually(() => told.length === 1);
    stream.end(frame('2'));
    const { status, body } = await outcome;
    expect(status).toBe(0);
    expect(body).toEqual(Buffer.concat([frame('hello'), frame('got 1'), frame('got 2')]));
  });

  test('that don’t fit into the caller’s window: send says so, and onDrain when they are gone', async () => {
    const said: boolean[] = [];
    onOpen = () => {
      said.push(call.send(Buffer.alloc(60_000)), call.send(Buffer.alloc(60_000)), call.send(Buffer.alloc(10)));
    };
    handler.onDrain = () => call.end();
    const { outcome } = start();
    const { status, body } = await outcome;
    expect({ said, status, bytes: body.length }).toEqual({
      said: [true, false, false],
      status: 0,
      bytes: 120_000 + 10 + 15,
    });
    expect(told).toEqual(['(drain)']);
  });

  test('an error after messages comes behind them', async () => {
    onOpen = () => {
      call.send(Buffer.alloc(100_000));
      call.refuse({ code: 9, details: 'no more, größer' });
    };
    const { status, details, body } = await start().outcome;
    expect({ status, details, bytes: body.length }).toEqual({ status: 9, details: 'no more, größer', bytes: 100_005 });
    expect(told).toEqual([]);
  });

  test('only the first end counts, and nothing is sent after it', async () => {
    onOpen = () => {
      call.end();
      call.refuse({ code: 13, details: 'second' });
      call.end();
      expect(call.send(Buffer.from('late'))).toBe(true);
    };
    const { stream, outcome } = start();
    stream.end(frame('1'));
    const { status, body } = await outcome;
    expect({ status, bytes: body.length, ended: call.ended }).toEqual({ status: 0, bytes: 0, ended: true });
    expect(told).toEqual([]);
  });
});

describe('ends:', () => {
  test('the caller leaves', async () => {
    const peer = await open();
    peer.send(dataFrame(1, frame('1')), resetFrame(1));
    await peer.heard();
    expect(told).toEqual(['1', '(abort)']);
    expect(call.send(Buffer.from('late'))).toBe(true);
    call.end();
    await peer.heard();
    expect(peer.stream(1)).toMatchObject({ headers: {}, reset: undefined });
    peer.destroy();
  });

  test('the connection is lost', async () => {
    const { stream } = start();
    stream.write(frame('1'));
    await eventually(() => told.length === 1);
    client.destroy();
    await eventually(() => told.length === 2);
    expect(told).toEqual(['1', '(abort)']);
  });

  test('the deadline passes, at the caller and here', async () => {
    const { outcome } = start({ 'grpc-timeout': '20m' });
    expect((await outcome).status).toBe(4);
    expect(told).toEqual(['(abort)']);
    expect(call.deadlineMs - call.startedMs).toBeCloseTo(20, 3);
  });

  test('a timeout that is none: no handler is asked', async () => {
    call = undefined as never;
    expect(await start({ 'grpc-timeout': 'soon' }).outcome).toMatchObject({ status: 13 });
    expect(call).toBeUndefined();
  });

  test.each(['application/grpc-web', 'application/grpcs', 'text/plain'])(
    'content type %s is not ours',
    async (type) => {
      expect((await start({ 'content-type': type }).outcome).http).toBe(415);
    },
  );

  test.each(['application/grpc+proto', 'application/grpc;x=y'])('content type %s is', async (type) => {
    const { stream, outcome } = start({ 'content-type': type });
    stream.end();
    expect((await outcome).status).toBe(0);
  });
});
