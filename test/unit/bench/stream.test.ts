// ScoreStream by the generator, against servers made with grpc-js.

import type { ServerHttp2Stream, Settings } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { framed } from '../../../src/bench/grpc-messages.ts';
import type { FlowReport } from '../../../src/bench/report.ts';
import {
  ScoreResponse,
  ScoreStreamRequest,
  ScoreStreamResponse,
  type StreamResult,
} from '../../../src/gen/scorewire/v1/scoring.ts';
import { encodeFrame, FrameFlag, FrameReader, FrameType, settingsFrame } from '../../../src/http2/frames.ts';
import {
  answered,
  echoItems,
  failed,
  loadOf,
  type ScoreStream,
  scoreRequest,
  serveFrames,
  serveScores,
} from '../../support/scoring-stub.ts';

/** Every sampled answer is the one to its own item: a row's first feature is its score. */
function expectMatched({ samples }: FlowReport): void {
  expect(samples.length).toBeGreaterThan(10);
  const wrong = samples.filter(({ message, answer }) => ScoreResponse.decode(answer).score !== message + 1);
  expect(wrong).toEqual([]);
}

test('closed loop: results are matched with their items', async () => {
  const calls: ScoreStream[] = [];
  const port = await serveScores({
    stream: (call) => {
      calls.push(call);
      echoItems(call);
    },
  });
  const flow = await loadOf(port, { connections: 2, rpc: { kind: 'stream', streams: 3, items: 1 } });
  expect(flow.errors).toEqual({});
  expect(flow.answers.count).toBeGreaterThan(50);
  expect(calls).toHaveLength(6);
  expectMatched(flow);
});

test('results in any order, several in a message, of items of several messages', async () => {
  const port = await serveScores({
    stream: (call) => {
      let held: StreamResult[] = [];
      call.on('data', ({ items }: ScoreStreamRequest) => {
        held.push(...items.map(({ id, request }) => answered(id, request)));
        if (held.length < 6) return;
        call.write({ results: held.reverse() });
        held = [];
      });
    },
  });
  const flow = await loadOf(port, { shape: { kind: 'closed', inFlight: 6 } });
  expect(flow.errors).toEqual({});
  expectMatched(flow);
});

test('several items a message: each is a call', async () => {
  const sizes = new Set<number>();
  const port = await serveScores({
    stream: (call) => {
      call.on('data', ({ items }) => sizes.add(items.length));
      echoItems(call);
    },
  });
  const arrivals = { process: 'even', ratePerSecond: 200 } as const;
  const flow = await loadOf(port, {
    rpc: { kind: 'stream', streams: 1, items: 4 },
    shape: { kind: 'open', arrivals, maxInFlight: 100 },
  });
  expect(sizes).toEqual(new Set([4]));
  expect(flow).toMatchObject({ calls: 60, errors: {}, rpc: { items: 4 } });
  expectMatched(flow);
});

test('errors by item: their codes, and the other items are answered', async () => {
  const port = await serveScores({
    stream: (call) => {
      let turn = 0;
      call.on('data', ({ items }: ScoreStreamRequest) => {
        for (const { id, request } of items) {
          const codes = [0, 8, 3];
          const code = codes[turn++ % 3] as number;
          call.write({ results: [code === 0 ? answered(id, request) : failed(id, code, `code ${code}`)] });
        }
      });
    },
  });
  const flow = await loadOf(port, {});
  expect(Object.keys(flow.errors).sort()).toEqual(['INVALID_ARGUMENT', 'RESOURCE_EXHAUSTED']);
  expect(flow.errorDetails).toEqual({ INVALID_ARGUMENT: 'code 3', RESOURCE_EXHAUSTED: 'code 8' });
  expect(flow.refusals.count).toBe(flow.errors.RESOURCE_EXHAUSTED);
  expect(flow.answers.count).toBeGreaterThan(10);
});

test('a result without an outcome is an error', async () => {
  const port = await serveScores({
    stream: (call) => call.on('data', ({ items }) => call.write({ results: [{ id: items[0]?.id ?? 0n }] })),
  });
  const flow = await loadOf(port, {});
  expect(Object.keys(flow.errors)).toEqual(['INTERNAL']);
});

describe('a stream that the server ends', () => {
  test('with a status: its items have that, and another one is opened', async () => {
    let streams = 0;
    const port = await serveScores({
      stream: (call) => {
        streams++;
        let seen = 0;
        call.on('data', ({ items }: ScoreStreamRequest) => {
          for (const { id, request } of items) {
            if (++seen <= 20) call.write({ results: [answered(id, request)] });
          }
          if (seen > 20) call.emit('error', { code: 14, details: 'going away' });
        });
      },
    });
    const flow = await loadOf(port, { shape: { kind: 'closed', inFlight: 4 } });
    expect(streams).toBeGreaterThan(2);
    expect(Object.keys(flow.errors)).toEqual(['UNAVAILABLE']);
    expect(flow.errorDetails.UNAVAILABLE).toBe('going away');
    expect(flow.errors.UNAVAILABLE).toBeLessThanOrEqual(4 * streams);
    expect(flow.lostConnections).toBe(0);
    expectMatched(flow);
  });

  test('at once, as one that does not know the call does: every item fails, nothing hangs', async () => {
    const port = await serveScores({ stream: (call) => call.emit('error', { code: 12, details: 'unknown' }) });
    const flow = await loadOf(port, {});
    expect(Object.keys(flow.errors)).toEqual(['UNIMPLEMENTED']);
    expect(flow.answers.count).toBe(0);
  });

  test('with OK, though items have no result', async () => {
    const port = await serveScores({ stream: (call) => call.once('data', () => call.end()) });
    const flow = await loadOf(port, {});
    expect(Object.keys(flow.errors)).toEqual(['INTERNAL']);
    expect(flow.errorDetails.INTERNAL).toMatch(/had no result/);
  });
});

test('items that are never answered are counted', async () => {
  const port = await serveScores({ stream: (call) => call.resume() });
  const arrivals = { process: 'even', ratePerSecond: 100 } as const;
  const flow = await loadOf(port, { shape: { kind: 'open', arrivals, maxInFlight: 10 } }, { drainSeconds: 0.1 });
  expect(flow.errors).toEqual({ NO_ANSWER: 30 });
});

test('a result for an item that is not in flight ends the connection, and says why', async () => {
  const port = await serveScores({
    stream: (call) => call.on('data', () => call.write({ results: [failed(7n, 3, '')] })),
  });
  const flow = await loadOf(port, {});
  expect(flow.errorDetails.UNAVAILABLE).toMatch(/a result for id 7, which no item in flight has/);
});

/** Answers each message with one, and calls `after` with how many there have been on all streams. */
function servePlain(
  after: (count: number, stream: ServerHttp2Stream) => void,
  settings: Settings = {},
): Promise<number> {
  let count = 0;
  return serveFrames(settings, (message, stream) => {
    after(++count, stream);
    const results = ScoreStreamRequest.decode(message).items.map(({ id, request }) => answered(id, request));
    return stream.destroyed ? [] : [ScoreStreamResponse.encode({ results }).finish()];
  });
}

describe('a connection that ends', () => {
  test('GOAWAY: items in flight are answered, a new connection takes over', async () => {
    const port = await servePlain((count, stream) => {
      if (count % 50 === 0) stream.session?.close();
    });
    const flow = await loadOf(port, {});
    expect(flow.errors).toEqual({});
    expect(flow.lostConnections).toBeGreaterThan(0);
    expectMatched(flow);
  });

  test('a break: items in flight are UNAVAILABLE, a new connection takes over', async () => {
    const port = await servePlain((count, stream) => {
      if (count === 20) stream.session?.destroy();
    });
    const flow = await loadOf(port, {});
    expect(flow.errors.UNAVAILABLE).toBeGreaterThan(0);
    expect(flow.answers.count).toBeGreaterThan(30);
  });

  test('a reset: only the items of that stream, and another one is opened', async () => {
    const port = await servePlain((count, stream) => {
      if (count % 20 === 0) stream.close(8);
    });
    const flow = await loadOf(port, { rpc: { kind: 'stream', streams: 2, items: 1 } });
    expect(Object.keys(flow.errors)).toEqual(['CANCELLED']);
    expect(flow.lostConnections).toBe(0);
    expectMatched(flow);
  });
});

test('more streams than the server takes: as many as it does', async () => {
  const seen = new Set<number | undefined>();
  const port = await servePlain((_, stream) => seen.add(stream.id), { maxConcurrentStreams: 2 });
  const flow = await loadOf(port, { rpc: { kind: 'stream', streams: 5, items: 1 } });
  expect(flow).toMatchObject({ errors: {}, lostConnections: 0 });
  expect(seen.size).toBe(2);
});

test.each([
  ['smaller than a message', 100, 200],
  ['of about a message', 20, 10],
  ['full now and then', 3, 1],
])('windows of streams %s', async (_, width, items) => {
  const port = await servePlain(() => {}, { initialWindowSize: 1_000 });
  const flow = await loadOf(port, {
    messages: [1, 2, 3].map((score) => scoreRequest(score, width)),
    rpc: { kind: 'stream', streams: 2, items },
    shape: { kind: 'closed', inFlight: 600 },
  });
  expect(flow).toMatchObject({ errors: {}, lostConnections: 0 });
  expectMatched(flow);
});

test('the window of our side is given back, for the stream and for the connection', async () => {
  const given = new Map<number, number>();
  // A field that we don't know, in messages of one frame.
  const filler = framed(Buffer.concat([Buffer.from([0x7a, 0xf0, 0x7f]), Buffer.alloc(0x3ff0)]));
  const settings = settingsFrame([]);
  const answerStart = encodeFrame(FrameType.headers, FrameFlag.endHeaders, 1, Buffer.from([0x88]));
  const answerPiece = encodeFrame(FrameType.data, 0, 1, filler);
  const server = createServer((socket) => {
    socket.write(settings);
    let preface = 24;
    const reader = new FrameReader((type, _, streamId, bytes, start) => {
      if (type === FrameType.windowUpdate) given.set(streamId, (given.get(streamId) ?? 0) + bytes.readUInt32BE(start));
      if (type !== FrameType.headers) return;
      socket.write(answerStart);
      for (let sent = 0; sent < 2 ** 24; sent += filler.length) socket.write(answerPiece);
    });
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      reader.read(chunk.subarray(preface), Math.max(0, chunk.length - preface));
      preface = Math.max(0, preface - chunk.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await loadOf((server.address() as AddressInfo).port, {}, { seconds: 0.5, drainSeconds: 0 });
  server.close();
  expect(given.get(1)).toBeGreaterThanOrEqual(2 ** 24);
  // Its window began at 64 KiB, and was made as large as it gets.
  expect(given.get(0)).toBeGreaterThanOrEqual(2 ** 31 - 2 ** 16 + 2 ** 24);
});

test('a server that reads nothing: items are held back, and no window is overrun', async () => {
  const port = await serveScores({ stream: (call) => setTimeout(() => echoItems(call), 150) });
  const arrivals = { process: 'even', ratePerSecond: 10_000 } as const;
  const flow = await loadOf(port, {
    messages: [scoreRequest(1, 30)],
    shape: { kind: 'open', arrivals, maxInFlight: 20_000 },
  });
  expect(flow).toMatchObject({ calls: 3000, errors: {}, lostConnections: 0 });
  expect(flow.heldBack).toBeGreaterThan(100);
  expect(flow.answers.maxUs).toBeGreaterThan(100_000);
});

test('answers larger than a frame', async () => {
  const port = await serveScores({
    stream: (call) =>
      call.on('data', ({ items }: ScoreStreamRequest) => {
        for (const { id, request } of items) {
          const result = answered(id, request);
          if (result.outcome?.$case === 'response') result.outcome.value.entityId = 'x'.repeat(50_000);
          call.write({ results: [result] });
        }
      }),
  });
  const flow = await loadOf(port, {});
  expect(flow.errors).toEqual({});
  expectMatched(flow);
});
