import { expect, test } from 'vitest';
import {
  clientPreface,
  encodeFrame,
  FrameError,
  FrameFlag,
  FrameReader,
  FrameType,
  MAX_FRAME_BYTES,
  settingsFrame,
  windowUpdateFrame,
} from '../../../src/http2/frames.ts';

interface Seen {
  type: number;
  flags: number;
  streamId: number;
  payload: string;
}

function readIn(chunks: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  const reader = new FrameReader((type, flags, streamId, bytes, start, end) => {
    seen.push({ type, flags, streamId, payload: bytes.subarray(start, end).toString('latin1') });
  });
  for (const chunk of chunks) reader.read(chunk, chunk.length);
  return seen;
}

const FRAMES = [
  encodeFrame(FrameType.headers, FrameFlag.endHeaders, 1, Buffer.from('headers')),
  encodeFrame(FrameType.data, 0, 1, Buffer.from('some data')),
  encodeFrame(FrameType.settings, FrameFlag.ack, 0, Buffer.alloc(0)),
  encodeFrame(FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream, 0x7fffffff, Buffer.from('trailers')),
];
const EXPECTED: Seen[] = [
  { type: 1, flags: 4, streamId: 1, payload: 'headers' },
  { type: 0, flags: 0, streamId: 1, payload: 'some data' },
  { type: 4, flags: 1, streamId: 0, payload: '' },
  { type: 1, flags: 5, streamId: 0x7fffffff, payload: 'trailers' },
];

test('frames of one chunk', () => {
  expect(readIn([Buffer.concat(FRAMES)])).toEqual(EXPECTED);
});

test('frames cut at every place, in two chunks', () => {
  const all = Buffer.concat(FRAMES);
  for (let cut = 0; cut <= all.length; cut++) {
    expect(readIn([all.subarray(0, cut), all.subarray(cut)])).toEqual(EXPECTED);
  }
});

test.each([1, 2, 3, 7, 10])('frames in chunks of %i bytes', (size) => {
  const all = Buffer.concat(FRAMES);
  const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.subarray(index * size, (index + 1) * size),
  );
  expect(readIn(chunks)).toEqual(EXPECTED);
});

test('only the chunk counts, not what else its buffer holds', () => {
  const seen: number[] = [];
  const reader = new FrameReader((type) => seen.push(type));
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = FRAMES;
  reader.read(Buffer.concat([first, second]), first.length);
  expect(seen).toEqual([FrameType.headers]);
});

test('the largest frame, split', () => {
  const frame = encodeFrame(FrameType.data, 0, 3, Buffer.alloc(MAX_FRAME_BYTES, 'x'));
  const [seen] = readIn([frame.subarray(0, 5), frame.subarray(5, 9000), frame.subarray(9000)]);
  expect(seen?.payload.length).toBe(MAX_FRAME_BYTES);
});

test('a frame beyond our limit is an error', () => {
  expect(() => readIn([encodeFrame(FrameType.data, 0, 1, Buffer.alloc(MAX_FRAME_BYTES + 1))])).toThrow(FrameError);
});

test('the bit above the stream id is ignored', () => {
  const frame = encodeFrame(FrameType.data, 0, 5, Buffer.alloc(0));
  frame[5] = 0x80;
  expect(readIn([frame])[0]?.streamId).toBe(5);
});

test('settings and window updates on the wire', () => {
  expect(
    settingsFrame([
      [1, 0],
      [4, 65_536],
    ]).toString('hex'),
  ).toBe('00000c040000000000' + '000100000000' + '000400010000');
  expect(windowUpdateFrame(0, 1).toString('hex')).toBe('000004080000000000' + '00000001');
  expect(clientPreface().toString('latin1').startsWith('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).toBe(true);
});
