// What a connection makes of what its client sends, as RFC 9113 has it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/http2/error-codes.ts';
import { encodeFrame, FrameFlag, FrameType, settingsFrame } from '../../../src/http2/frames.ts';
import { encodeHeaders } from '../../../src/http2/header-encoder.ts';
import { eventually } from '../../support/concurrently.ts';
import { EMPTY, Http2Port, hold, RESPONSE } from '../../support/http2-port.ts';
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
const told = (): string[][] => port.streams.map((stream) => stream.told);
const trailersFrame = (id: number, end = true): Buffer => blockFrame(id, encodeHeaders([['x-checksum', '1']]), end);

describe('a request', () => {
  test('that is headers alone', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1, [['x', 'y']], true));
    expect(await peer.over(1)).toMatchObject({
      headers: { ':status': '200', 'x-begin': 'yes' },
      trailers: { 'x-end': 'yes' },
      reset: undefined,
    });
    expect(told()).toEqual([['end']]);
    expect(port.streams[0]?.stream.head?.get('x')).toBe('y');
  });

  test.each<[string, Buffer[], string[]]>([
    ['a body in one frame', [dataFrame(1, 'abc', true)], ['data 3 last', 'end']],
    ['a body in several', [dataFrame(1, 'a'), dataFrame(1, 'bc', true)], ['data 1', 'data 2 last', 'end']],
    ['an end of its own', [dataFrame(1, 'abc'), dataFrame(1, '', true)], ['data 3', 'end']],
    ['empty frames between', [dataFrame(1, ''), dataFrame(1, 'abc'), dataFrame(1, '', true)], ['data 3', 'end']],
    ['trailers', [dataFrame(1, 'abc'), trailersFrame(1)], ['data 3', 'end']],
    ['trailers and no body', [trailersFrame(1)], ['end']],
    [
      'padding',
      [encodeFrame(FrameType.data, FrameFlag.padded | FrameFlag.endStream, 1, Buffer.from('\x02abc\0\0', 'latin1'))],
      ['data 3 last', 'end'],
    ],
    [
      'nothing but padding',
      [encodeFrame(FrameType.data, FrameFlag.padded | FrameFlag.endStream, 1, Buffer.of(3, 0, 0, 0))],
      ['end'],
    ],
  ])('with %s', async (_, frames, expected) => {
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1), ...frames);
    const { body, reset } = await peer.over(1);
    expect({ told: told(), body: body.toString(), reset }).toEqual({
      told: [expected],
      body: expected.some((one) => one.startsWith('data')) ? 'abc' : '',
      reset: undefined,
    });
  });

  test('whose headers are padded, prioritized and in pieces', async () => {
    peer = await RawPeer.open(port.port);
    const block = encodeHeaders([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/pieces'],
    ]);
    const flags = FrameFlag.padded | FrameFlag.priority | FrameFlag.endStream;
    const first = Buffer.concat([Buffer.of(4, 0x80, 0, 0, 7, 16), block.subarray(0, 3), Buffer.alloc(4)]);
    peer.send(
      encodeFrame(FrameType.headers, flags, 1, first),
      encodeFrame(FrameType.continuation, 0, 1, NOTHING),
      ...[...block.subarray(3)].map((byte) => encodeFrame(FrameType.continuation, 0, 1, Buffer.of(byte))),
      encodeFrame(FrameType.continuation, FrameFlag.endHeaders, 1, NOTHING),
    );
    await peer.over(1);
    expect(port.streams[0]?.stream.head?.path).toBe('/pieces');
  });

  test('split at every byte, preface and all', async () => {
    const all = Buffer.concat([
      PREFACE,
      SETTINGS,
      headersFrame(1, [['content-length', '3']]),
      encodeFrame(FrameType.ping, 0, 0, Buffer.from('12345678')),
      dataFrame(1, 'ab'),
      moreRoom(1, 5),
      dataFrame(1, 'c', true),
    ]);
    for (let cut = 1; cut < all.length; cut++) {
      const split = await RawPeer.connect(port.port);
      split.socket.setNoDelay(true);
      split.send(all.subarray(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      split.send(all.subarray(cut));
      expect((await split.over(1)).body.toString()).toBe('abc');
      split.destroy();
    }
  });

  test('a byte at a time', async () => {
    peer = await RawPeer.connect(port.port);
    peer.socket.setNoDelay(true);
    for (const byte of Buffer.concat([PREFACE, SETTINGS, headersFrame(1), dataFrame(1, 'abc', true)])) {
      peer.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await peer.over(1)).body.toString()).toBe('abc');
  });

  test.each<[string, readonly (readonly [string, string])[], Buffer[]]>([
    ['a body shorter than it said', [['content-length', '4']], [dataFrame(1, 'abc', true)]],
    ['a longer one', [['content-length', '2']], [dataFrame(1, 'abc', true)]],
    ['a shorter one, with trailers', [['content-length', '4']], [dataFrame(1, 'abc'), trailersFrame(1)]],
    ['trailers that are not its end', [], [trailersFrame(1, false)]],
    ['pseudo-headers for trailers', [], [blockFrame(1, encodeHeaders([[':path', '/']]), true)]],
    ['a WINDOW_UPDATE of 0', [], [moreRoom(1, 0)]],
    ['a priority on itself', [], [encodeFrame(FrameType.priority, 0, 1, Buffer.of(0, 0, 0, 1, 5))]],
  ])('with %s is reset, and the connection goes on', async (_, headers, frames) => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1, headers), ...frames);
    expect((await peer.over(1)).reset).toBe(ErrorCode.protocolError);
    await eventually(() => told()[0]?.at(-1) === 'abort');
    expect(told()[0]).not.toContain('end');
    peer.send(headersFrame(3));
    await peer.heard();
    expect(port.streams).toHaveLength(2);
  });

  test.each<[string, Buffer]>([
    ['upper case', headersFrame(1, [['X', '1']], true)],
    ['a forbidden header', headersFrame(1, [['connection', 'close']], true)],
    ['a length and no body', headersFrame(1, [['content-length', '1']], true)],
    ['no path', blockFrame(1, encodeHeaders([[':method', 'GET']]), true)],
    [
      'a dependency on itself',
      encodeFrame(FrameType.headers, 0x25, 1, Buffer.concat([uint32(1), Buffer.of(1, 0x83, 0x86, 0x84)])),
    ],
  ])('with %s is no request, and nobody hears of it', async (_, frame) => {
    peer = await RawPeer.open(port.port);
    peer.send(frame);
    expect((await peer.over(1)).reset).toBe(ErrorCode.protocolError);
    expect(port.streams).toEqual([]);
    // What comes behind it does no harm.
    peer.send(dataFrame(1, 'x', true), headersFrame(3, [], true));
    expect((await peer.over(3)).ended).toBe(true);
  });

  test('beyond those that there may be at once is refused, until one ends', async () => {
    port.destroy();
    port = await Http2Port.open({ maxStreams: 2 });
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1), headersFrame(3), headersFrame(5));
    expect((await peer.over(5)).reset).toBe(ErrorCode.refusedStream);
    peer.send(resetFrame(1), headersFrame(7), headersFrame(9));
    expect((await peer.over(9)).reset).toBe(ErrorCode.refusedStream);
    expect(port.streams.map(({ stream }) => stream.id)).toEqual([1, 3, 7]);
  });

  test('whose headers are too large gets 431', async () => {
    port.destroy();
    port = await Http2Port.open({ maxHeaderListBytes: 200 });
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1, [['x', 'y'.repeat(100)]]), dataFrame(1, 'body', true));
    expect(await peer.over(1)).toMatchObject({ headers: { ':status': '431' }, ended: true });
    peer.send(headersFrame(3, [], true));
    expect((await peer.over(3)).headers).toMatchObject({ ':status': '200' });
    expect(port.streams).toHaveLength(1);
  });
});

describe('the beginning:', () => {
  test('SETTINGS of ours come first, with the acknowledgement behind', async () => {
    peer = await RawPeer.open(port.port);
    const [first, room, ack] = peer.frames;
    expect([first?.type, room?.type, ack?.type]).toEqual([
      FrameType.settings,
      FrameType.windowUpdate,
      FrameType.settings,
    ]);
    expect([first?.flags, ack?.flags, ack?.payload.length]).toEqual([0, FrameFlag.ack, 0]);
  });

  test.each<[string, Buffer]>([
    ['something else than SETTINGS', Buffer.concat([PREFACE, headersFrame(1)])],
    ['an acknowledgement', Buffer.concat([PREFACE, encodeFrame(4, 1, 0, NOTHING)])],
    ['half a preface, and no more of it', Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n')],
    ['noise', Buffer.from([1, 2, 3, 4, 5])],
  ])('%s is a protocol error', async (_, bytes) => {
    peer = await RawPeer.connect(port.port);
    peer.send(bytes);
    expect(await peer.goneAway()).toBe(ErrorCode.protocolError);
    expect(port.streams).toEqual([]);
  });

  test('HTTP/1 gets an answer that it can read', async () => {
    const answer = await fetch(`http://127.0.0.1:${port.port}/`, { method: 'POST', body: 'x' });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain('gRPC');
  });
});

describe('on a connection', () => {
  test('pings are answered, with what they say', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(encodeFrame(FrameType.ping, 0, 0, Buffer.from('whatever')));
    const answer = await peer.find(FrameType.ping);
    expect([answer.flags, answer.payload.toString()]).toEqual([FrameFlag.ack, 'whatever']);
  });

  test('what nobody asked for or knows is passed over', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(
      headersFrame(1),
      encodeFrame(0x77, 0xff, 1, Buffer.from('unknown')),
      encodeFrame(0x77, 0, 999, NOTHING),
      settingsFrame([[0xabc, 1]]),
      encodeFrame(FrameType.ping, FrameFlag.ack, 0, Buffer.alloc(8)),
      encodeFrame(FrameType.settings, FrameFlag.ack, 0, NOTHING),
      encodeFrame(FrameType.priority, 0, 1, Buffer.of(0, 0, 0, 3, 1)),
      encodeFrame(FrameType.priority, 0, 77, Buffer.of(0, 0, 0, 3, 1)),
      dataFrame(1, 'x', true),
    );
    await peer.heard();
    expect(told()).toEqual([['data 1 last', 'end']]);
  });

  test('what comes for streams that are closed is passed over, or answered by a reset', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1, [], true));
    await peer.over(1);
    peer.send(resetFrame(1), moreRoom(1, 10), encodeFrame(FrameType.priority, 0, 1, Buffer.alloc(5)));
    await peer.heard();
    expect(peer.stream(1).reset).toBeUndefined();
    peer.send(dataFrame(1, 'late'));
    await peer.heard();
    expect(peer.stream(1).reset).toBe(ErrorCode.streamClosed);
    expect(told()).toEqual([['end']]);
  });

  test('a second end is told to nobody, and the answer that is under way is lost', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1, [], true), dataFrame(1, '', true));
    expect((await peer.over(1)).reset).toBe(ErrorCode.streamClosed);
    port.streams[0]?.stream.respond(RESPONSE, EMPTY, EMPTY);
    await peer.heard();
    expect(told()).toEqual([['end', 'abort']]);
    expect(peer.stream(1).headers).toEqual({});
  });

  test('streams answer in any order', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(...[1, 3, 5].map((id) => headersFrame(id, [], true)));
    await peer.heard();
    for (const { stream } of [...port.streams].reverse()) {
      stream.respond(RESPONSE, EMPTY, Buffer.from(String(stream.id)));
      expect((await peer.over(stream.id)).body.toString()).toBe(String(stream.id));
    }
  });

  test('GOAWAY of the client: what is under way is still served, and then all ends', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1, [], true), encodeFrame(FrameType.goAway, 0, 0, Buffer.alloc(8)));
    await peer.heard();
    port.streams[0]?.stream.respond(RESPONSE, EMPTY, Buffer.from('bye'));
    expect((await peer.over(1)).body.toString()).toBe('bye');
    await eventually(() => peer.closed);
  });

  test('GOAWAY of a client with nothing under way ends it at once', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(encodeFrame(FrameType.goAway, 0, 0, Buffer.alloc(8)));
    await eventually(() => peer.closed);
  });

  test('a stream with the largest id is one', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(0x7fffffff, [], true));
    expect((await peer.over(0x7fffffff)).ended).toBe(true);
  });
});
