// What a client may not do, and what it is told.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/http2/error-codes.ts';
import { encodeFrame, FrameType, SettingId, settingsFrame } from '../../../src/http2/frames.ts';
import { eventually } from '../../support/concurrently.ts';
import { echo, Http2Port, hold } from '../../support/http2-port.ts';
import {
  blockFrame,
  dataFrame,
  headersFrame,
  moreRoom,
  PREFACE,
  RawPeer,
  resetFrame,
  uint32,
} from '../../support/raw-http2.ts';

let port: Http2Port;
let peer: RawPeer;

beforeEach(async () => {
  port = await Http2Port.open();
});
afterEach(() => {
  peer?.destroy();
  port.destroy();
});

const NOTHING = Buffer.alloc(0);
const SETTINGS = settingsFrame([]);

describe('the connection ends for', () => {
  const { protocolError, frameSizeError, flowControlError, compressionError, streamClosed } = ErrorCode;
  const ping = (bytes: number): Buffer => encodeFrame(FrameType.ping, 0, 0, Buffer.alloc(bytes));
  const setting = (id: number, value: number): Buffer => settingsFrame([[id, value]]);

  test.each<[string, Buffer[], number]>([
    ['DATA on no stream', [dataFrame(0, 'x')], protocolError],
    ['DATA on a stream that has not begun', [dataFrame(1, 'x')], protocolError],
    ['DATA on an even one', [headersFrame(5), dataFrame(2, 'x')], protocolError],
    ['more padding than DATA', [headersFrame(1), encodeFrame(0, 8, 1, Buffer.of(2, 0))], protocolError],
    ['padded DATA of no bytes', [headersFrame(1), encodeFrame(0, 8, 1, NOTHING)], protocolError],
    ['HEADERS on no stream', [headersFrame(0)], protocolError],
    ['HEADERS on an even stream', [headersFrame(2)], protocolError],
    ['HEADERS on a stream passed over', [headersFrame(5), headersFrame(3)], protocolError],
    ['HEADERS on a stream long closed', [headersFrame(1, [], true), resetFrame(1), headersFrame(1)], streamClosed],
    ['more padding than HEADERS', [encodeFrame(1, 0xc, 1, Buffer.of(5, 0x83))], protocolError],
    ['padded HEADERS of no bytes', [encodeFrame(1, 0xc, 1, NOTHING)], protocolError],
    ['half a priority', [encodeFrame(1, 0x24, 1, Buffer.of(0, 0, 0))], protocolError],
    ['what is no HPACK', [blockFrame(1, Buffer.of(0x80))], compressionError],
    ['what is no HPACK, for trailers', [headersFrame(1), blockFrame(1, Buffer.of(0x80), true)], compressionError],
    [
      'what is no HPACK, on a stream refused',
      [headersFrame(1, [['X', '1']]), blockFrame(1, Buffer.of(0x80))],
      compressionError,
    ],
    ['a frame within headers', [encodeFrame(1, 0, 1, NOTHING), ping(8)], protocolError],
    ['other headers within headers', [encodeFrame(1, 0, 1, NOTHING), headersFrame(3)], protocolError],
    ['an unknown frame within headers', [encodeFrame(1, 0, 1, NOTHING), encodeFrame(99, 0, 1, NOTHING)], protocolError],
    ['a CONTINUATION of others', [encodeFrame(1, 0, 1, NOTHING), encodeFrame(9, 4, 3, NOTHING)], protocolError],
    ['a CONTINUATION of nothing', [headersFrame(1), encodeFrame(9, 4, 1, NOTHING)], protocolError],
    ['a PRIORITY on no stream', [encodeFrame(2, 0, 0, Buffer.alloc(5))], protocolError],
    ['RST_STREAM on no stream', [resetFrame(0)], protocolError],
    ['RST_STREAM on one that has not begun', [resetFrame(1)], protocolError],
    ['RST_STREAM of 3 bytes', [headersFrame(1), encodeFrame(3, 0, 1, Buffer.alloc(3))], frameSizeError],
    ['SETTINGS on a stream', [encodeFrame(4, 0, 1, NOTHING)], protocolError],
    ['SETTINGS of 5 bytes', [encodeFrame(4, 0, 0, Buffer.alloc(5))], frameSizeError],
    ['an acknowledgement with SETTINGS', [encodeFrame(4, 1, 0, Buffer.alloc(6))], frameSizeError],
    ['ENABLE_PUSH of 2', [setting(SettingId.enablePush, 2)], protocolError],
    ['too large a window', [setting(SettingId.initialWindowSize, 2 ** 31)], flowControlError],
    ['too small a frame', [setting(SettingId.maxFrameSize, 16_383)], protocolError],
    ['too large a frame', [setting(SettingId.maxFrameSize, 2 ** 24)], protocolError],
    ['PUSH_PROMISE', [encodeFrame(5, 4, 1, uint32(2))], protocolError],
    ['PING on a stream', [encodeFrame(6, 0, 1, Buffer.alloc(8))], protocolError],
    ['PING of 7 bytes', [ping(7)], frameSizeError],
    ['GOAWAY on a stream', [encodeFrame(7, 0, 1, Buffer.alloc(8))], protocolError],
    ['WINDOW_UPDATE of 0', [moreRoom(0, 0)], protocolError],
    ['WINDOW_UPDATE of 3 bytes', [encodeFrame(8, 0, 0, Buffer.alloc(3))], frameSizeError],
    ['WINDOW_UPDATE on a stream that has not begun', [moreRoom(1, 1)], protocolError],
    ['a frame larger than we take', [encodeFrame(0, 0, 1, Buffer.alloc(16_385))], frameSizeError],
  ])('%s', async (_, frames, code) => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(...frames);
    expect(await peer.goneAway()).toBe(code);
    // Whoever was served hears of it, once.
    for (const stream of port.streams) {
      await eventually(() => stream.told.includes('abort'));
      expect(stream.told.filter((one) => one === 'abort')).toHaveLength(1);
      expect(stream.stream.closed).toBe(true);
    }
  });

  test('GOAWAY says which stream was the last', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(
      headersFrame(7, [], true),
      headersFrame(9, [['X', '1']]),
      encodeFrame(6, 0, 0, NOTHING),
      headersFrame(11),
    );
    await peer.goneAway();
    expect((await peer.find(FrameType.goAway)).payload.readUInt32BE(0)).toBe(9);
    expect(port.streams.map(({ stream }) => stream.id)).toEqual([7]);
    expect(peer.stream(7).ended).toBe(true);
  });
});

test('whatever a client sends: the port lives on, and every stream that began ends', async () => {
  const id = fc.constantFrom(0, 1, 2, 3, 5, 7);
  const frame = fc.oneof(
    fc
      .tuple(fc.integer({ min: 0, max: 10 }), fc.nat(255), id, fc.uint8Array({ maxLength: 20 }))
      .map((parts) => encodeFrame(...parts)),
    fc.tuple(id, fc.boolean()).map(([stream, end]) => headersFrame(stream, [], end)),
    fc.tuple(id, fc.string({ maxLength: 10 }), fc.boolean()).map(([stream, body, end]) => dataFrame(stream, body, end)),
    id.map((stream) => resetFrame(stream)),
    fc.tuple(id, fc.constantFrom(0, 1, 100, 0x7fffffff)).map(([stream, bytes]) => moreRoom(stream, bytes)),
    fc.constantFrom(0, 5, 0x7fffffff).map((bytes) => settingsFrame([[SettingId.initialWindowSize, bytes]])),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 20 }), fc.boolean(), async (frames, holds) => {
      port.streams.length = 0;
      port.serve = holds ? hold : echo;
      const client = await RawPeer.connect(port.port);
      client.send(PREFACE, SETTINGS, ...frames);
      client.socket.end();
      await eventually(() => client.socket.closed);
      await eventually(() => port.streams.every(({ stream }) => stream.closed));
      for (const { told: heard } of port.streams) {
        expect(heard.filter((one) => one === 'end').length).toBeLessThanOrEqual(1);
        expect(heard.slice(0, -1)).not.toContain('abort');
      }
    }),
    { numRuns: 200 },
  );
  peer = await RawPeer.open(port.port);
  port.serve = echo;
  peer.send(headersFrame(1), dataFrame(1, 'alive', true));
  expect((await peer.over(1)).body.toString()).toBe('alive');
});
