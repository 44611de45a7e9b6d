// ScoreBatch by the generator, against servers made with grpc-js.

import { expect, test } from 'vitest';
import { ScoreBatchResponse } from '../../../src/gen/scorewire/v1/scoring.ts';
import {
  answerBatch,
  batchRequest,
  chunk,
  loadOf,
  type ScoreBatch,
  serveFrames,
  serveScores,
  summary,
} from '../../support/scoring-stub.ts';

const ROWS = 2_500;
const COLUMNS = 8;

const BULK = {
  path: '/scorewire.v1.ScoringService/ScoreBatch',
  rpc: { kind: 'bulk', rows: ROWS },
  messages: [batchRequest(ROWS, COLUMNS)],
  shape: { kind: 'closed', inFlight: 3 },
  sampleEvery: 0,
} as const;

test('chunks until the trailers; requests beyond every window', async () => {
  const port = await serveScores({ batch: answerBatch });
  const flow = await loadOf(port, BULK);
  expect(flow).toMatchObject({ errors: {}, rpc: { kind: 'bulk', rows: ROWS }, lostConnections: 0 });
  expect(flow.answers.count).toBeGreaterThan(1);
});

test('tiny windows of streams, which the requests have to wait for', async () => {
  const port = await serveFrames({ initialWindowSize: 2_000 }, () => [
    ScoreBatchResponse.encode(chunk(0, ROWS)).finish(),
    ScoreBatchResponse.encode(summary(ROWS)).finish(),
  ]);
  const flow = await loadOf(port, BULK);
  expect(flow).toMatchObject({ errors: {}, lostConnections: 0 });
  expect(flow.answers.count).toBeGreaterThan(2);
});

test('GOAWAY: calls in flight are answered; a break: they are UNAVAILABLE', async () => {
  let count = 0;
  const port = await serveFrames({}, (_, stream) => {
    count++;
    if (count % 10 === 0) stream.session?.close();
    if (count === 15) stream.session?.destroy();
    return stream.destroyed ? [] : [ScoreBatchResponse.encode(chunk(0, ROWS)).finish()];
  });
  const arrivals = { process: 'even', ratePerSecond: 100 } as const;
  const flow = await loadOf(port, { ...BULK, shape: { kind: 'open', arrivals, maxInFlight: 3 } });
  expect(flow.calls).toBe(30);
  expect(flow.lostConnections).toBeGreaterThan(1);
  expect(Object.keys(flow.errors)).toEqual(['UNAVAILABLE']);
  expect(flow.errors.UNAVAILABLE).toBeLessThanOrEqual(3);
});

test('an open loop, and more calls than the server takes at once', async () => {
  const port = await serveScores({ batch: answerBatch }, { 'grpc.max_concurrent_streams': 2 });
  const arrivals = { process: 'even', ratePerSecond: 50 } as const;
  const flow = await loadOf(port, { ...BULK, shape: { kind: 'open', arrivals, maxInFlight: 100 } });
  expect(flow).toMatchObject({ calls: 15, errors: {} });
});

test.each([
  [
    'a row error fails the call, with its code',
    (call: ScoreBatch) => {
      const error = { row: 7n, code: 3, reason: 'BAD', field: 'age', message: 'not a number' };
      call.write(chunk(0, 2_000));
      call.write(chunk(2_000, 500, [error, { ...error, code: 9 }]));
      call.write(summary(ROWS, 2));
      call.end();
    },
    { INVALID_ARGUMENT: '2 of 2500 rows: not a number' },
  ],
  [
    'failures that only the summary knows of',
    (call: ScoreBatch) => answerBatch(call, 4),
    { UNKNOWN: '4 of 2500 rows, by the summary' },
  ],
  [
    'rows that are missing',
    (call: ScoreBatch) => {
      call.write(chunk(0, 10));
      call.end();
    },
    { INTERNAL: '10 scores for 2500 rows' },
  ],
  [
    'a status after some chunks',
    (call: ScoreBatch) => {
      call.write(chunk(0, 1_000));
      call.emit('error', { code: 8, details: 'full' });
    },
    { RESOURCE_EXHAUSTED: 'full' },
  ],
  [
    'a status before the request was read',
    (call: ScoreBatch) => call.emit('error', { code: 12, details: 'unknown' }),
    { UNIMPLEMENTED: 'unknown' },
  ],
])('%s', async (_, batch, details) => {
  const port = await serveScores({ batch });
  const flow = await loadOf(port, BULK);
  expect(flow.errorDetails).toEqual(details);
  expect(flow.answers.count).toBe(0);
  expect(flow.calls).toBeGreaterThan(0);
});
