// What a stream's listener is told, also when it ends the stream meanwhile.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/http2/error-codes.ts';
import { eventually } from '../../support/concurrently.ts';
import { EMPTY, Http2Port, hold, RESPONSE, Recorder } from '../../support/http2-port.ts';
import { dataFrame, headersFrame, RawPeer, resetFrame } from '../../support/raw-http2.ts';

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
const told = (): string[][] => port.streams.map((stream) => stream.told);

describe('a listener', () => {
  const whole = (id: number): Buffer => Buffer.concat([headersFrame(id), dataFrame(id, 'a'), dataFrame(id, 'b', true)]);
  const ends: [string, (stream: Recorder['stream']) => void][] = [
    ['answers', (stream) => stream.respond(RESPONSE, EMPTY, EMPTY)],
    ['answers by headers alone', (stream) => stream.headers(RESPONSE.headers.literal, true)],
    ['resets', (stream) => stream.reset(ErrorCode.internalError)],
  ];

  test.each(ends)('that %s at the start hears nothing more', async (_, end) => {
    port.serve = (stream) => {
      const recorder = new Recorder(stream);
      end(stream);
      end(stream);
      return recorder;
    };
    peer = await RawPeer.open(port.port);
    peer.send(whole(1), headersFrame(3, [], true));
    await peer.over(1);
    await peer.over(3);
    await peer.heard();
    expect(told()).toEqual([[], []]);
  });

  test.each(ends)('that %s at the first bytes hears nothing more', async (_, end) => {
    port.serve = (stream) => new Recorder(stream, { onData: () => end(stream) });
    peer = await RawPeer.open(port.port);
    peer.send(whole(1));
    await peer.over(1);
    await peer.heard();
    expect(told()).toEqual([['data 1']]);
  });

  test.each(ends)('that %s at the last bytes doesn’t hear of the end', async (_, end) => {
    port.serve = (stream) => new Recorder(stream, { onData: (_bytes, _start, _end, last) => last && end(stream) });
    peer = await RawPeer.open(port.port);
    peer.send(whole(1));
    await peer.over(1);
    await peer.heard();
    expect(told()).toEqual([['data 1', 'data 1 last']]);
  });

  test.each(ends)('that %s at the end hears of no reset behind it', async (_, end) => {
    port.serve = (stream) => new Recorder(stream, { onEnd: () => end(stream) });
    peer = await RawPeer.open(port.port);
    peer.send(whole(1), resetFrame(1));
    await peer.heard();
    expect(told()).toEqual([['data 1', 'data 1 last', 'end']]);
    expect(peer.stream(1).reset !== undefined || peer.stream(1).ended).toBe(true);
  });

  test.each(ends)('that %s when it is over does nothing', async (_, end) => {
    port.serve = (stream) => new Recorder(stream, { onAbort: () => end(stream) });
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1), resetFrame(1));
    await peer.heard();
    expect(told()).toEqual([['abort']]);
    expect(peer.stream(1)).toMatchObject({ headers: {}, reset: undefined });
  });

  test.each(['lost', 'ended by a breach'])(
    'may end the others when its connection is %s: they hear no more',
    async (how) => {
      port.serve = (stream) =>
        new Recorder(stream, {
          onAbort: () => {
            for (const other of port.streams) other.stream.reset(ErrorCode.cancel);
          },
        });
      peer = await RawPeer.open(port.port);
      peer.send(headersFrame(1), headersFrame(3), headersFrame(5));
      await peer.heard();
      if (how === 'lost') peer.destroy();
      else peer.send(headersFrame(2));
      await eventually(() => told().flat().length > 0);
      expect(told().flat()).toEqual(['abort']);
      expect(port.streams.every(({ stream }) => stream.closed)).toBe(true);
    },
  );

  test('hears once of a lost connection', async () => {
    port.serve = hold;
    peer = await RawPeer.open(port.port);
    peer.send(headersFrame(1), headersFrame(3, [], true));
    await peer.heard();
    peer.socket.resetAndDestroy();
    await eventually(() => told().every((one) => one.includes('abort')));
    expect(told()).toEqual([['abort'], ['end', 'abort']]);
    for (const { stream } of port.streams) {
      stream.respond(RESPONSE, EMPTY, EMPTY);
      expect(stream.write(Buffer.alloc(10))).toBe(true);
      stream.end(RESPONSE.trailers.literal);
      stream.reset(8);
      stream.pause();
      stream.resume();
    }
  });

  test('finds the last bytes in place until the end, and after it doesn’t need to', async () => {
    const seen: string[] = [];
    port.serve = (stream) => {
      let kept: Buffer = NOTHING;
      return new Recorder(stream, {
        onData: (bytes, start, end) => {
          kept = bytes.subarray(start, end);
        },
        onEnd: () => {
          seen.push(kept.toString());
          stream.respond(RESPONSE, EMPTY, EMPTY);
        },
      });
    };
    peer = await RawPeer.open(port.port);
    peer.socket.setNoDelay(true);
    const ids = Array.from({ length: 50 }, (_, index) => 2 * index + 1);
    const all = Buffer.concat(ids.map((id) => Buffer.concat([headersFrame(id), dataFrame(id, `body ${id}`, true)])));
    for (let at = 0; at < all.length; at += 37) {
      peer.send(all.subarray(at, at + 37));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.over(99);
    expect(seen).toEqual(ids.map((id) => `body ${id}`));
  });
});
