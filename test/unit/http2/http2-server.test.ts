// A port's connections: how they begin, over TLS too, and how they are told to go.
import { readFile } from 'node:fs/promises';
import http2 from 'node:http2';
import net from 'node:net';
import tls, { type TlsOptions } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode } from '../../../src/http2/error-codes.ts';
import { encodeFrame, FrameFlag, FrameType, MAX_WINDOW_BYTES, SettingId } from '../../../src/http2/frames.ts';
import { Authority } from '../../support/certificates.ts';
import { eventually } from '../../support/concurrently.ts';
import { answerOf, Http2Port, hold, RESPONSE } from '../../support/http2-port.ts';
import { dataFrame, headersFrame, moreRoom, PREFACE, RawPeer, type SeenFrame } from '../../support/raw-http2.ts';

const MAX_IDLE_MS = 300_000;
let port: Http2Port;
let peer: RawPeer | undefined;

afterEach(() => {
  vi.useRealTimers();
  peer?.destroy();
  peer = undefined;
  port.destroy();
});

const goAways = ({ frames }: RawPeer): number[] =>
  frames.filter(({ type }) => type === FrameType.goAway).map(({ payload }) => payload.readUInt32BE(0));

/** Says that the client has heard the first GOAWAY. */
function acknowledge(client: RawPeer, ping: SeenFrame): void {
  client.send(encodeFrame(FrameType.ping, FrameFlag.ack, 0, ping.payload));
}

describe('an idle connection', () => {
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    port = await Http2Port.open({ maxIdleMs: MAX_IDLE_MS });
  });

  test('is told to go before it is ended', async () => {
    const client = await RawPeer.open(port.port);
    peer = client;
    vi.advanceTimersByTime(MAX_IDLE_MS - 10_000);
    await client.heard();
    expect(goAways(client)).toEqual([]);
    vi.advanceTimersByTime(15_000);
    const ping = await client.find(FrameType.ping, ({ flags }) => flags === 0);
    expect(goAways(client)).toEqual([MAX_WINDOW_BYTES]);
    acknowledge(client, ping);
    await eventually(() => client.closed);
    expect(goAways(client)).toEqual([MAX_WINDOW_BYTES, 0]);
  });

  test('is told whenever in its time the look at it comes', async () => {
    // One a second, so that they are at every distance from the looks.
    const clients: RawPeer[] = [];
    for (let second = 0; second < 6; second++) {
      clients.push(await RawPeer.open(port.port));
      vi.advanceTimersByTime(1000);
    }
    for (let looks = 0; looks < MAX_IDLE_MS / 5000 + 2; looks++) {
      vi.advanceTimersByTime(5000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const client of clients) {
      await client.find(FrameType.goAway);
      client.destroy();
    }
  });

  test('that doesn’t go is ended, even if it takes nothing', async () => {
    const client = await RawPeer.open(port.port);
    peer = client;
    vi.advanceTimersByTime(MAX_IDLE_MS + 5000);
    await client.find(FrameType.goAway);
    vi.advanceTimersByTime(5000);
    await eventually(() => client.closed);
  });

  test('with a stream stays, and its time begins when that ends', async () => {
    port.serve = hold;
    const client = await RawPeer.open(port.port);
    peer = client;
    client.send(headersFrame(1, [], true));
    await eventually(() => port.streams.length === 1);
    vi.advanceTimersByTime(10 * MAX_IDLE_MS);
    await client.heard();
    expect(goAways(client)).toEqual([]);
    port.streams[0]?.stream.headers(RESPONSE.headers.literal, true);
    await client.over(1);
    vi.advanceTimersByTime(MAX_IDLE_MS - 5000);
    await client.heard();
    expect(goAways(client)).toEqual([]);
    vi.advanceTimersByTime(10_000);
    await client.find(FrameType.goAway);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['half a preface', PREFACE.subarray(0, 10)],
    ['a preface and no SETTINGS', PREFACE],
  ])('of a client that has said %s is ended', async (_, said) => {
    const accepted = vi.spyOn(net.Socket.prototype, 'setKeepAlive');
    const client = await RawPeer.connect(port.port);
    peer = client;
    client.send(said);
    await eventually(() => accepted.mock.calls.length === 1);
    accepted.mockRestore();
    vi.advanceTimersByTime(19_000);
    expect(client.closed).toBe(false);
    vi.advanceTimersByTime(11_000);
    await eventually(() => client.closed);
    expect(client.frames).toEqual([]);
  });
});

describe('drain', () => {
  beforeEach(async () => {
    port = await Http2Port.open();
    port.serve = hold;
  });

  test('streams that come before the client can know are served, later ones refused', async () => {
    const client = await RawPeer.open(port.port);
    peer = client;
    client.send(headersFrame(1, [], true));
    await eventually(() => port.streams.length === 1);
    let drained = false;
    const drain = port.server.drain().then(() => {
      drained = true;
    });
    const ping = await client.find(FrameType.ping);
    client.send(headersFrame(3, [], true));
    await eventually(() => port.streams.length === 2);
    acknowledge(client, ping);
    await eventually(() => goAways(client).length === 2);
    expect(goAways(client)).toEqual([MAX_WINDOW_BYTES, 3]);
    client.send(headersFrame(5, [], true));
    expect((await client.over(5)).reset).toBe(ErrorCode.refusedStream);
    for (const { stream } of port.streams) {
      expect({ drained, closed: client.closed }).toEqual({ drained: false, closed: false });
      stream.headers(RESPONSE.headers.literal, true);
      expect((await client.over(stream.id)).headers).toEqual({ ':status': '200', 'x-begin': 'yes' });
    }
    await drain;
    expect(port.streams).toHaveLength(2);
  });

  test('says it once, however often it is asked for', async () => {
    const client = await RawPeer.open(port.port);
    peer = client;
    client.send(headersFrame(1, [], true));
    await eventually(() => port.streams.length === 1);
    const drains = [port.server.drain(), port.server.drain()];
    await client.heard();
    expect(goAways(client)).toEqual([MAX_WINDOW_BYTES]);
    client.destroy();
    await Promise.all(drains);
    expect(port.streams[0]?.told).toEqual(['end', 'abort']);
  });

  test('without a connection is done at once, and takes none', async () => {
    await port.server.drain();
    await expect(RawPeer.connect(port.port)).rejects.toThrow('ECONNREFUSED');
  });

  test('cuts who has yet to say that it speaks HTTP/2', async () => {
    const client = await RawPeer.connect(port.port);
    peer = client;
    client.send(PREFACE);
    const settled = await RawPeer.open(port.port);
    settled.destroy();
    await port.server.drain();
    await eventually(() => client.closed);
    expect(client.frames).toEqual([]);
  });

  test('Node’s own client goes by itself', async () => {
    const client = http2.connect(`http://127.0.0.1:${port.port}`);
    const request = client.request({ ':method': 'POST' });
    request.end('x');
    request.resume();
    await eventually(() => port.streams[0]?.told.includes('end') === true);
    const drain = port.server.drain();
    await new Promise((resolve) => client.once('goaway', resolve));
    const answered = new Promise((resolve) => request.once('response', resolve));
    port.streams[0]?.stream.headers(RESPONSE.headers.literal, true);
    await Promise.all([answered, drain]);
    await eventually(() => client.destroyed);
  });

  test('a large answer arrives whole at a client that is slow and says so meanwhile', async () => {
    port.serve = answerOf(3_000_000);
    const client = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0x7fffffff]]);
    peer = client;
    const drain = port.server.drain();
    const ping = await client.find(FrameType.ping);
    client.send(moreRoom(0, 0x7f000000), headersFrame(1, [], true));
    acknowledge(client, ping);
    // To every piece that it reads it says something, as clients of gRPC do.
    client.socket.on('data', () => client.send(moreRoom(0, 1)));
    const { body, trailers } = await client.over(1);
    expect({ bytes: body.length, trailers }).toEqual({ bytes: 3_000_000, trailers: { 'x-end': 'yes' } });
    client.destroy();
    await drain;
  });

  test('the end of a connection waits for what the client still says', async () => {
    const client = await RawPeer.open(port.port);
    peer = client;
    // The server's end alone must not end ours.
    client.socket.allowHalfOpen = true;
    const lost: Error[] = [];
    client.socket.on('error', (error) => lost.push(error));
    void port.server.drain();
    acknowledge(client, await client.find(FrameType.ping));
    await eventually(() => client.closed);
    for (let more = 0; more < 20; more++) {
      client.send(moreRoom(0, 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(lost).toEqual([]);
    // And not for ever.
    await eventually(() => client.socket.destroyed || lost.length > 0 || !client.socket.write(moreRoom(0, 1)));
  });
});

test('destroy ends the connections and tells their streams', async () => {
  port = await Http2Port.open();
  port.serve = hold;
  const client = await RawPeer.open(port.port);
  client.send(headersFrame(1), dataFrame(1, 'abc'));
  await eventually(() => port.streams[0]?.told.length === 1);
  port.destroy();
  await eventually(() => client.closed && port.streams[0]?.told.includes('abort') === true);
  expect(port.streams[0]?.told).toEqual(['data 3', 'abort']);
});

test('a port that is taken is said so', async () => {
  port = await Http2Port.open();
  await expect(new Http2Port().server.listen('127.0.0.1', port.port, undefined)).rejects.toThrow('EADDRINUSE');
});

describe('TLS', () => {
  let options: TlsOptions;

  beforeAll(async () => {
    const { cert, key } = await (await Authority.create()).sign('server');
    options = { cert: await readFile(cert), key: await readFile(key) };
  });
  beforeEach(async () => {
    port = await Http2Port.open({}, options);
  });

  test('of Node’s own client', async () => {
    const client = http2.connect(`https://127.0.0.1:${port.port}`, { rejectUnauthorized: false });
    const request = client.request({ ':method': 'POST' });
    request.end('over TLS');
    expect(await new Response(ReadableStream.from(request)).text()).toBe('over TLS');
    client.close();
  });

  test.each([
    ['that wants HTTP/2', ['h2']],
    ['that takes either', ['http/1.1', 'h2']],
    ['that doesn’t say', undefined],
  ])('of a client %s', async (_, protocols) => {
    peer = await RawPeer.connect(port.port, protocols === undefined ? {} : { ALPNProtocols: protocols });
    peer.send(
      PREFACE,
      encodeFrame(FrameType.settings, 0, 0, Buffer.alloc(0)),
      headersFrame(1),
      dataFrame(1, 'x', true),
    );
    expect((await peer.over(1)).body.toString()).toBe('x');
  });

  test('of a client that wants HTTP/1.1 only fails, and of one that speaks no TLS', async () => {
    await expect(RawPeer.connect(port.port, { ALPNProtocols: ['http/1.1'] })).rejects.toThrow(/alert|closed|reset/i);
    peer = await RawPeer.connect(port.port);
    peer.send(PREFACE);
    await eventually(() => peer?.closed === true);
    expect(port.streams).toEqual([]);
  });

  test('drain: a handshake that is under way leads nowhere', async () => {
    const socket = net.connect(port.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const other = await RawPeer.connect(port.port, {});
    other.destroy();
    await port.server.drain();
    const late = tls.connect({ socket, rejectUnauthorized: false });
    late.on('error', () => {});
    late.write(
      Buffer.concat([PREFACE, encodeFrame(FrameType.settings, 0, 0, Buffer.alloc(0)), headersFrame(1, [], true)]),
    );
    late.resume();
    await new Promise((resolve) => late.once('close', resolve));
    expect(port.streams).toEqual([]);
  });

  test('destroy: nor is it waited for', async () => {
    const socket = net.connect(port.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const other = await RawPeer.connect(port.port, {});
    port.destroy();
    socket.resume();
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
    await eventually(() => other.closed);
  });
});
