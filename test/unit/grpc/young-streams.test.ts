import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Duplex, Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { beforeAll, describe, expect, test } from 'vitest';
import { keepSessionYoung, keepStreamsYoung } from '../../../src/grpc/young-streams.ts';
import { eventually } from '../../support/concurrently.ts';

// The one way to see where V8 put something.
setFlagsFromString('--allow-natives-syntax');
const isYoung = new Function('object', 'return %InYoungGeneration(object)') as (object: unknown) => boolean;

let before: Duplex;
beforeAll(async () => {
  before = echo();
  expect(await keepStreamsYoung()).toBe(true);
});

function echo(): Duplex {
  return new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      this.push(chunk);
      setImmediate(done);
    },
    final(done) {
      this.push(null);
      done();
    },
  });
}

function onwrite(stream: Duplex): unknown {
  return (stream as unknown as { _writableState: { onwrite: unknown } })._writableState.onwrite;
}

test('what a stream brings along is young', () => {
  expect(isYoung(onwrite(before))).toBe(false);
  expect(isYoung(onwrite(echo()))).toBe(true);
});

test('replaced once', async () => {
  const replaced = (Writable as unknown as { WritableState: unknown }).WritableState;
  expect(await keepStreamsYoung()).toBe(true);
  expect((Writable as unknown as { WritableState: unknown }).WritableState).toBe(replaced);
});

test('streams do what they did: data, corking, drain, end', async () => {
  const stream = echo();
  stream.cork();
  for (const part of ['a', 'b', 'c']) stream.write(part);
  stream.uncork();
  while (stream.write(Buffer.alloc(8192)));
  const drained = new Promise((resolve) => stream.once('drain', resolve));
  const received: Buffer[] = [];
  stream.on('data', (chunk) => received.push(chunk));
  await drained;
  stream.end('z');
  await new Promise((resolve) => stream.once('end', resolve));
  const text = Buffer.concat(received).toString();
  expect([text.slice(0, 3), text.at(-1)]).toEqual(['abc', 'z']);
  expect(stream.writableFinished).toBe(true);
});

test('a write that fails destroys its own stream, with its error', async () => {
  const fault = new Error('disk full');
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(fault) });
  const written = new Promise((resolve) => stream.write('a', resolve));
  const other = echo();
  await expect(new Promise((_resolve, reject) => stream.once('error', reject))).rejects.toBe(fault);
  expect(await written).toBe(fault);
  expect([stream.destroyed, other.destroyed]).toEqual([true, false]);
});

describe('a session', () => {
  type Tables = { streams: Map<number, unknown>; pendingStreams: Set<unknown> };
  const tables = (session: http2.Http2Session): Tables => {
    const state = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state') as symbol;
    return (session as unknown as Record<symbol, Tables>)[state] as Tables;
  };

  test('gets tables in which streams come and go', async () => {
    const server = http2.createServer();
    const sessions: http2.ServerHttp2Session[] = [];
    server.on('session', (session) => {
      keepSessionYoung(session);
      sessions.push(session);
    });
    const waiting: http2.ServerHttp2Stream[] = [];
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      if (headers[':path'] === '/wait') waiting.push(stream);
      else stream.respond({ ':status': 200 }, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const call = (path: string) => {
      const stream = client.request({ ':path': path });
      stream.on('error', () => {});
      stream.resume();
      return stream;
    };
    const closed = (stream: http2.Http2Stream) => new Promise((resolve) => stream.once('close', resolve));
    await Promise.all(Array.from({ length: 40 }, () => closed(call('/'))));
    const open = [call('/wait'), call('/wait')];
    await eventually(() => waiting.length === 2);
    const [session] = sessions as [http2.ServerHttp2Session];
    const { streams, pendingStreams } = tables(session);
    expect([streams, pendingStreams].map((table) => table.constructor.name)).toEqual(['SlotMap', 'SlotSet']);
    expect([...streams.values()]).toEqual(waiting);
    expect([streams.size, pendingStreams.size]).toEqual([2, 0]);
    // Node ends what is in them when the session goes.
    const ends = Promise.all([...open, ...waiting].map(closed));
    session.destroy();
    await ends;
    expect(streams.size).toBe(0);
    await new Promise((resolve) => server.close(resolve));
  });
});
