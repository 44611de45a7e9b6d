// Bodies and the windows that they have to fit into, both ways.
import http2 from 'node:http2';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/http2/error-codes.ts';
import { encodeFrame, FrameFlag, FrameType, SettingId, settingsFrame } from '../../../src/http2/frames.ts';
import { STREAM_WINDOW_BYTES } from '../../../src/http2/limits.ts';
import { eventually } from '../../support/concurrently.ts';
import { answerOf, EMPTY, Http2Port, hold, RESPONSE, Recorder } from '../../support/http2-port.ts';
import { dataFrame, headersFrame, moreRoom, RawPeer } from '../../support/raw-http2.ts';

const DEFAULT_WINDOW = 65_535;
let port: Http2Port;
let peer: RawPeer;

beforeEach(async () => {
  port = await Http2Port.open();
});
afterEach(() => {
  peer?.destroy();
  port.destroy();
});

const window = (bytes: number): Buffer => settingsFrame([[SettingId.initialWindowSize, bytes]]);
const received = (id: number): number => peer.stream(id).body.length;
/** Asks, and resolves with how many bytes of the answer come without more room. */
async function ask(id: number): Promise<number> {
  peer.send(headersFrame(id, [], true));
  await peer.heard();
  return received(id);
}
async function afterSending(id: number, ...frames: Buffer[]): Promise<number> {
  peer.send(...frames);
  await peer.heard();
  return received(id);
}

describe('an answer', () => {
  test.each([0, 1, 5, 16_384, 16_385, 100_000])('of %i bytes comes whole, if there is room', async (bytes) => {
    port.serve = answerOf(bytes);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 1_000_000]]);
    peer.send(moreRoom(0, 1_000_000), headersFrame(1, [], true));
    const { body, trailers, ended } = await peer.over(1);
    expect(body).toEqual(Buffer.alloc(bytes, 'abcdefghijk'));
    expect({ trailers, ended }).toEqual({ trailers: { 'x-end': 'yes' }, ended: true });
    const frames = peer.frames.filter(({ type }) => type === FrameType.data).map(({ payload }) => payload.length);
    expect(Math.max(...frames)).toBeLessThanOrEqual(16_384);
  });

  test('comes as its window opens, a byte at a time if need be, and its trailers at the end', async () => {
    port.serve = answerOf(10);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0]]);
    expect(await ask(1)).toBe(0);
    expect(peer.stream(1).headers[':status']).toBe('200');
    for (let bytes = 1; bytes <= 9; bytes++) expect(await afterSending(1, moreRoom(1, 1))).toBe(bytes);
    expect(peer.stream(1).trailers).toBeUndefined();
    expect(await afterSending(1, moreRoom(1, 100))).toBe(10);
    expect(peer.stream(1)).toMatchObject({ ended: true, trailers: { 'x-end': 'yes' } });
  });

  test('waits for the connection’s window too', async () => {
    port.serve = answerOf(100_000);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 1_000_000]]);
    expect(await ask(1)).toBe(DEFAULT_WINDOW);
    expect(await afterSending(1, moreRoom(1, 1_000_000))).toBe(DEFAULT_WINDOW);
    expect(await afterSending(1, moreRoom(0, 10))).toBe(DEFAULT_WINDOW + 10);
    expect(await afterSending(1, moreRoom(0, 1_000_000))).toBe(100_000);
    expect(peer.stream(1).ended).toBe(true);
  });

  test('to a stream that takes nothing holds no other up', async () => {
    port.serve = answerOf(1000);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 0]]);
    expect(await ask(1)).toBe(0);
    peer.send(window(10_000));
    expect(await ask(3)).toBe(1000);
    expect(received(1)).toBe(1000);
  });

  test('a share for everyone: who had the connection’s window last is not the next', async () => {
    port.serve = answerOf(200_000);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 1_000_000]]);
    expect(await ask(1)).toBe(DEFAULT_WINDOW);
    for (const id of [3, 5]) expect(await ask(id)).toBe(0);
    for (let round = 0; round < 6; round++) await afterSending(1, moreRoom(0, 1000));
    expect([1, 3, 5].map(received)).toEqual([DEFAULT_WINDOW + 2000, 2000, 2000]);
  });

  test('by SETTINGS its window may become larger in the middle', async () => {
    port.serve = answerOf(1000);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 100]]);
    expect(await ask(1)).toBe(100);
    expect(await afterSending(1, window(300))).toBe(300);
    expect(await afterSending(1, window(2000))).toBe(1000);
    expect(peer.stream(1).ended).toBe(true);
  });

  test('or smaller, below nothing: then it is to grow out of that first', async () => {
    port.serve = answerOf(1000);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 500]]);
    expect(await ask(1)).toBe(500);
    // Now -400.
    expect(await afterSending(1, window(100))).toBe(500);
    expect(await afterSending(1, moreRoom(1, 400))).toBe(500);
    expect(await afterSending(1, moreRoom(1, 1))).toBe(501);
    // And -101, then 99.
    expect(await afterSending(1, window(0))).toBe(501);
    expect(await afterSending(1, window(200))).toBe(501 + 100);
    expect(await afterSending(1, moreRoom(1, 1000))).toBe(1000);
    expect(peer.stream(1).ended).toBe(true);
  });

  test('of a prepared response that doesn’t fit is whole nonetheless, and so is the next', async () => {
    port.serve = answerOf(3000);
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 1000]]);
    for (const id of [1, 3]) expect(await ask(id)).toBe(1000);
    peer.send(window(5000));
    for (const id of [1, 3, 5, 7]) {
      if (id > 3) await ask(id);
      expect(await peer.over(id)).toMatchObject({ headers: { 'x-begin': 'yes' }, trailers: { 'x-end': 'yes' } });
      expect(received(id)).toBe(3000);
    }
  });

  test('to Node’s client, many at once', async () => {
    port.serve = answerOf(300_000);
    const client = http2.connect(`http://127.0.0.1:${port.port}`);
    const bodies = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const request = client.request({ ':method': 'POST' });
        request.end();
        return (await new Response(ReadableStream.from(request)).arrayBuffer()).byteLength;
      }),
    );
    expect(bodies).toEqual(Array.from({ length: 20 }, () => 300_000));
    client.destroy();
  });
});

describe('write', () => {
  test('says whether there was room, and onDrain comes when it has all gone', async () => {
    const said: boolean[] = [];
    port.serve = (stream) =>
      new Recorder(stream, {
        onEnd: () => {
          stream.headers(RESPONSE.headers.literal, false);
          for (const bytes of [60, 40, 1, 9]) said.push(stream.write(Buffer.alloc(bytes)));
        },
        onDrain: () => stream.end(RESPONSE.trailers.literal),
      });
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 100]]);
    expect(await ask(1)).toBe(100);
    expect(said).toEqual([true, true, false, false]);
    await afterSending(1, moreRoom(1, 5));
    expect(port.streams[0]?.told).toEqual(['end']);
    await afterSending(1, moreRoom(1, 5));
    expect(port.streams[0]?.told).toEqual(['end', 'drain']);
    expect(peer.stream(1)).toMatchObject({ ended: true });
  });

  test('on and on from onDrain', async () => {
    let left = 50;
    port.serve = (stream) => {
      const fill = (): void => {
        while (left > 0) {
          left--;
          if (!stream.write(Buffer.alloc(1000))) return;
        }
        stream.end(RESPONSE.trailers.literal);
      };
      return new Recorder(stream, {
        onEnd: () => {
          stream.headers(RESPONSE.headers.literal, false);
          fill();
        },
        onDrain: fill,
      });
    };
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 10]]);
    await ask(1);
    while (!peer.stream(1).ended) await afterSending(1, moreRoom(1, 1700));
    expect(received(1)).toBe(50_000);
  });

  test('nothing is told behind an end, and nothing written', async () => {
    port.serve = (stream) =>
      new Recorder(stream, {
        onEnd: () => {
          stream.headers(RESPONSE.headers.literal, false);
          stream.write(Buffer.alloc(200));
          stream.end(RESPONSE.trailers.literal);
          stream.end(RESPONSE.trailers.literal);
          expect(stream.write(Buffer.alloc(100))).toBe(true);
        },
      });
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 100]]);
    expect(await ask(1)).toBe(100);
    expect(await afterSending(1, moreRoom(1, 1000))).toBe(200);
    expect(port.streams[0]?.told).toEqual(['end']);
    expect(peer.frames.filter(({ type }) => type === FrameType.headers)).toHaveLength(2);
  });

  test.each(['reset', 'end'] as const)('from onDrain: %s', async (ending) => {
    port.serve = (stream) =>
      new Recorder(stream, {
        onEnd: () => {
          stream.headers(RESPONSE.headers.literal, false);
          stream.write(Buffer.alloc(200));
        },
        onDrain: () => (ending === 'reset' ? stream.reset(ErrorCode.cancel) : stream.end(RESPONSE.trailers.literal)),
      });
    peer = await RawPeer.open(port.port, [[SettingId.initialWindowSize, 100]]);
    for (const id of [1, 3]) await ask(id);
    peer.send(window(1000));
    for (const id of [1, 3]) {
      const { body, reset } = await peer.over(id);
      expect({ bytes: body.length, reset }).toEqual({
        bytes: 200,
        reset: ending === 'reset' ? ErrorCode.cancel : undefined,
      });
    }
    expect(port.streams.map(({ told }) => told)).toEqual([
      ['end', 'drain'],
      ['end', 'drain'],
    ]);
  });
});

describe('a window beyond 2^31 - 1', () => {
  const MOST = 0x7fffffff;

  test('of the connection ends it', async () => {
    peer = await RawPeer.open(port.port);
    peer.send(moreRoom(0, MOST));
    expect(await peer.goneAway()).toBe(ErrorCode.flowControlError);
  });

  test('of a stream ends that', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1), headersFrame(3), moreRoom(1, MOST));
    expect((await peer.over(1)).reset).toBe(ErrorCode.flowControlError);
    await peer.heard();
    expect(port.streams.map(({ told }) => told)).toEqual([['abort'], []]);
  });

  test('by SETTINGS ends the connection', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1), moreRoom(1, 1), window(MOST));
    expect(await peer.goneAway()).toBe(ErrorCode.flowControlError);
    await eventually(() => port.streams[0]?.told.includes('abort') === true);
  });
});

describe('a request’s body', () => {
  const roomFor = (id: number): number =>
    peer.frames
      .filter((frame) => frame.type === FrameType.windowUpdate && frame.id === id)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  const piece = Buffer.alloc(16_384, 'x');

  test('gets new room when half of it is used, on its stream and on the connection', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    const given = roomFor(0);
    expect(DEFAULT_WINDOW + given).toBe(1024 * 1024);
    peer.send(headersFrame(1));
    for (let pieces = 0; pieces < 7; pieces++) peer.send(dataFrame(1, piece));
    await peer.heard();
    expect(roomFor(1)).toBe(0);
    peer.send(dataFrame(1, piece));
    await peer.heard();
    expect(roomFor(1)).toBe(8 * piece.length);
    for (let pieces = 8; pieces < 100; pieces++) {
      await peer.heard();
      peer.send(dataFrame(1, piece));
    }
    await peer.heard();
    expect(port.streams[0]?.body.length).toBe(100 * piece.length);
    expect(100 * piece.length - (roomFor(0) - given)).toBeLessThan(512 * 1024);
  });

  test('with padding: that counts for the windows, and not for the body', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    const padded = encodeFrame(
      FrameType.data,
      FrameFlag.padded,
      1,
      Buffer.concat([Buffer.of(200), Buffer.from('abc'), Buffer.alloc(200)]),
    );
    peer.send(headersFrame(1, [['content-length', String(3 * 700)]]));
    for (let frames = 0; frames < 700; frames++) peer.send(padded);
    peer.send(dataFrame(1, '', true));
    await peer.heard();
    expect(port.streams[0]?.body.length).toBe(3 * 700);
    expect(port.streams[0]?.told.at(-1)).toBe('end');
    expect(roomFor(1)).toBeGreaterThan(700 * 204 - STREAM_WINDOW_BYTES / 2);
  });

  test('more than a stream has room for ends the stream', async () => {
    port.serve = (stream) => {
      stream.pause();
      return hold(stream);
    };
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1));
    for (let bytes = 0; bytes < STREAM_WINDOW_BYTES; bytes += piece.length) peer.send(dataFrame(1, piece));
    await peer.heard();
    expect(peer.stream(1).reset).toBeUndefined();
    peer.send(dataFrame(1, 'x'));
    expect((await peer.over(1)).reset).toBe(ErrorCode.flowControlError);
    expect(port.streams[0]?.told.at(-1)).toBe('abort');
  });

  test('paused streams leave the connection’s room to others', async () => {
    port.serve = (stream) => {
      if (stream.id < 20) stream.pause();
      return hold(stream);
    };
    peer = await RawPeer.open(port.port);
    for (let id = 1; id < 20; id += 2) {
      peer.send(headersFrame(id));
      for (let pieces = 0; pieces < 15; pieces++) peer.send(dataFrame(id, piece));
      await peer.heard();
      expect(roomFor(id)).toBe(0);
    }
    peer.send(headersFrame(21), dataFrame(21, 'hello', true));
    await peer.heard();
    expect(port.streams[10]?.told).toEqual(['data 5 last', 'end']);
    port.streams[0]?.stream.resume();
    await eventually(() => roomFor(1) === 15 * piece.length);
  });

  test('a stream that resumes with room enough gets no more', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1));
    await peer.heard();
    port.streams[0]?.stream.pause();
    peer.send(dataFrame(1, piece));
    await peer.heard();
    port.streams[0]?.stream.resume();
    port.streams[0]?.stream.resume();
    await peer.heard();
    expect(roomFor(1)).toBe(0);
  });
});

test('an answer before the request is whole: the client is told to stop, and its rest does no harm', async () => {
  port.serve = (stream) =>
    new Recorder(stream, { onData: () => stream.respond(RESPONSE, EMPTY, Buffer.from('enough')) });
  peer = await RawPeer.open(port.port);
  peer.send(headersFrame(1), dataFrame(1, 'some'), dataFrame(1, 'more'), dataFrame(1, 'last', true));
  await peer.heard();
  expect(peer.stream(1)).toMatchObject({ ended: true, reset: ErrorCode.noError });
  expect(peer.stream(1).body.toString()).toBe('enough');
  expect(port.streams[0]?.told).toEqual(['data 4']);
  peer.send(headersFrame(3), dataFrame(3, 'again'));
  expect((await peer.over(3)).body.toString()).toBe('enough');
});
