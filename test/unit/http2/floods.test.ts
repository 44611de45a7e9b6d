// What a client can do to cost the server memory or time, and what becomes of that.
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode } from '../../../src/http2/error-codes.ts';
import { encodeFrame, FrameType, SettingId, settingsFrame } from '../../../src/http2/frames.ts';
import { eventually } from '../../support/concurrently.ts';
import { answerOf, Http2Port, hold, RESPONSE, Recorder } from '../../support/http2-port.ts';
import { dataFrame, headersFrame, moreRoom, RawPeer, resetFrame, uint32 } from '../../support/raw-http2.ts';

let port: Http2Port;
let peer: RawPeer;

beforeEach(async () => {
  port = await Http2Port.open();
});
afterEach(() => {
  peer.destroy();
  port.destroy();
});

/** Sends until the connection is over; false where it took all. */
async function flood(pieceOf: (round: number) => Uint8Array, rounds: number): Promise<boolean> {
  for (let round = 0; round < rounds && !peer.closed; round += 1000) {
    peer.send(...Array.from({ length: 1000 }, (_, index) => pieceOf(round + index)));
    // So that one who is told to stop has a chance to hear it.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (
    peer.closed ||
    (await Promise.race([peer.heard().then(() => false), eventually(() => peer.closed).then(() => true)]))
  );
}

const ROUNDS = 60_000;
const idOf = (round: number): number => 2 * round + 1;
const request = (round: number, ...behind: Uint8Array[]): Buffer =>
  Buffer.concat([headersFrame(idOf(round), [], true), ...behind]);

describe('frames that bring nobody anything end the connection when there are too many:', () => {
  test.each<[string, (round: number) => Uint8Array]>([
    ['pings', () => encodeFrame(FrameType.ping, 0, 0, Buffer.alloc(8))],
    ['settings', () => settingsFrame([[SettingId.initialWindowSize, 1000]])],
    ['priorities', () => encodeFrame(FrameType.priority, 0, 1, Buffer.alloc(5))],
    ['frames that nobody knows', () => encodeFrame(200, 0, 0, Buffer.alloc(0))],
    ['streams that are reset', (round) => request(round, resetFrame(idOf(round)))],
    ['streams that we are made to reset by a WINDOW_UPDATE of 0', (round) => request(round, moreRoom(idOf(round), 0))],
    [
      'streams that we are made to reset by too large a window',
      (round) => request(round, moreRoom(idOf(round), 0x7fffffff)),
    ],
    [
      'streams that we are made to reset by DATA behind their end',
      (round) => request(round, dataFrame(idOf(round), 'x')),
    ],
    ['requests that are none', (round) => headersFrame(idOf(round), [['Upper', 'case']], true)],
  ])('%s', async (_, pieceOf) => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    expect(await flood(pieceOf, ROUNDS)).toBe(true);
  });

  test('empty DATA frames', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1));
    expect(await flood(() => dataFrame(1, ''), ROUNDS)).toBe(true);
  });

  test('CONTINUATION frames without an end', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(encodeFrame(FrameType.headers, 0, 1, Buffer.alloc(0)));
    expect(await flood(() => encodeFrame(FrameType.continuation, 0, 1, Buffer.alloc(0)), ROUNDS)).toBe(true);
  });
});

test('useful requests may be as many as they like', async () => {
  peer = await RawPeer.open(port.port);
  expect(await flood((round) => request(round), 20_000)).toBe(false);
  expect(port.streams).toHaveLength(20_000);
});

test('headers without an end are given up before they are many', async () => {
  peer = await RawPeer.open(port.port);
  const piece = Buffer.alloc(16_000, 0x88);
  peer.send(encodeFrame(FrameType.headers, 0, 1, piece));
  for (let pieces = 0; pieces < 8; pieces++) peer.send(encodeFrame(FrameType.continuation, 0, 1, piece));
  expect(await peer.goneAway()).toBe(ErrorCode.enhanceYourCalm);
});

test('headers that are large only when unpacked: 431, and the connection goes on', async () => {
  peer = await RawPeer.open(port.port);
  // One entry of 3 KB in the table, and then its index, over and over.
  const entry = Buffer.concat([Buffer.of(0x40, 1, 0x78, 0x7f, 0xb9, 0x16), Buffer.alloc(127 + 0x39 + 0x16 * 128, 'v')]);
  peer.send(encodeFrame(FrameType.headers, 0x5, 1, Buffer.concat([entry, Buffer.alloc(12_000, 0xbe)])));
  expect((await peer.over(1)).headers).toEqual({ ':status': '431' });
  expect(port.streams).toHaveLength(0);
  peer.send(headersFrame(3, [], true));
  expect((await peer.over(3)).trailers).toEqual({ 'x-end': 'yes' });
});

test('what waits for a client that doesn’t read is little more than its bytes', async () => {
  const sockets: net.Socket[] = [];
  vi.spyOn(net.Socket.prototype, 'setKeepAlive').mockImplementation(function (this: net.Socket) {
    sockets.push(this);
    return this;
  });
  const piece = Buffer.alloc(16_000);
  port.serve = (stream) => new Recorder(stream, { onEnd: () => stream.headers(RESPONSE.headers.literal, false) });
  peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0x7fffffff]]);
  vi.restoreAllMocks();
  peer.send(moreRoom(0, 0x7f000000), headersFrame(1, [], true));
  await eventually(() => sockets.length === 1 && port.streams[0]?.told.includes('end') === true);
  const [socket] = sockets as [net.Socket];
  peer.socket.pause();
  while (socket.writableLength === 0) {
    port.streams[0]?.stream.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const write = vi.spyOn(socket, 'write');
  // Each in a turn of its own, which would otherwise have a buffer of its own.
  for (let turn = 0; turn < 200; turn++) {
    peer.send(encodeFrame(FrameType.ping, 0, 0, Buffer.alloc(8)));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(socket.writableLength).toBeLessThan(256 * 1024);
  expect(write.mock.calls.length).toBeLessThan(10);
  // And nothing of it is lost.
  peer.socket.resume();
  await eventually(() => peer.frames.filter(({ type }) => type === FrameType.ping).length === 200);
});

test('answers that a client doesn’t take wait with their streams, of which there are only so many', async () => {
  port.serve = answerOf(16_000);
  peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0x7fffffff]]);
  peer.send(moreRoom(0, 0x7f000000));
  peer.socket.pause();
  // They fit into one chunk, which is read before anything that they lead to can be taken.
  const asked = 2000;
  peer.send(...Array.from({ length: asked }, (_, round) => request(round)));
  peer.socket.resume();
  let whole = 0;
  for (let round = 0; round < asked; round++) {
    const { body, reset } = await peer.over(idOf(round));
    expect(reset ?? body.length).toBe(reset === undefined ? 16_000 : ErrorCode.refusedStream);
    if (reset === undefined) whole++;
  }
  expect(whole).toBe(port.streams.length);
  expect(whole).toBeGreaterThan(100);
  expect(whole).toBeLessThan(500);
});

test('a client that doesn’t read what it asks for is heard again once it does', async () => {
  port.serve = answerOf(16_000);
  peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0x7fffffff]]);
  peer.send(moreRoom(0, 0x7f000000), headersFrame(1, [], true));
  await peer.over(1);
  peer.socket.pause();
  for (let round = 1; round < 90; round++) peer.send(request(round));
  for (let round = 0; round < 1000; round++) peer.send(encodeFrame(FrameType.ping, 0, 0, Buffer.alloc(8)));
  peer.socket.resume();
  await peer.heard();
  for (let round = 1; round < 90; round++) expect((await peer.over(idOf(round))).body).toHaveLength(16_000);
});

test('window updates don’t go through the streams that wait for something else', async () => {
  port.serve = answerOf(1000);
  peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0]]);
  for (let stream = 0; stream < 100; stream++) peer.send(request(stream));
  await eventually(() => port.streams.length === 100);
  let asked = 0;
  for (const { stream } of port.streams) {
    let left = stream.sendWindowBytes;
    Object.defineProperty(stream, 'sendWindowBytes', {
      get: () => {
        asked++;
        return left;
      },
      set: (bytes: number) => {
        left = bytes;
      },
    });
  }
  peer.send(...Array.from({ length: 1000 }, () => moreRoom(0, 1)));
  await peer.heard();
  expect(asked).toBe(0);
  peer.send(moreRoom(0, 100_000), ...port.streams.map(({ stream }) => moreRoom(stream.id, 1000)));
  for (const { stream } of port.streams) expect((await peer.over(stream.id)).body).toHaveLength(1000);
});

test('a reset of a stream with a large answer frees what it held', async () => {
  port.serve = answerOf(1_000_000);
  peer = await RawPeer.open(port.port);
  peer.send(request(0));
  await eventually(() => (port.streams[0]?.stream.pendingBytes ?? 0) > 0);
  peer.send(encodeFrame(FrameType.rstStream, 0, 1, uint32(8)));
  await peer.heard();
  expect(port.streams[0]?.stream).toMatchObject({ pendingBytes: 0, pending: [], closed: true });
});
