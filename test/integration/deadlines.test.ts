// Nothing runs after its deadline passed or its caller left, if it had not started: counted by the rows that ran.

import http2 from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ScoreRequest } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear, slowLinear } from '../support/onnx-builder.ts';
import { failureOf, scoreRequest } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const SCORE = '/scorewire.v1.ScoringService/Score';
/** Far less than a run of the slow model takes. */
const SHORT_MS = 20;

let server: TestServer;

beforeAll(async () => {
  const folder = await modelFolder({
    // A tenth of a second a row and more.
    slow: [slowLinear([1], 0, 30_000), 'batching: { enabled: false }'],
    fast: linear([1], 0),
  });
  server = await TestServer.start(folder, ['workers.count=1']);
});

afterAll(() => server.stop());

/** Rows of the fast model that a worker has run. */
const rowsRun = () => server.metric('scorewire_batch_rows_sum', { model: 'fast' });

const score = (...args: Parameters<TestServer['client']['score']>) => server.client.score(...args);

function queued(model: string): number {
  const { models, scheduler } = server.running.engine;
  return scheduler.queueDepth(models.get(model).session);
}

/** Keeps the only worker busy; resolves when it has the run, with the promise of its answer in a box. */
async function occupyWorker(): Promise<{ done: Promise<unknown> }> {
  const done = score('slow', [0]);
  await eventually(() => server.running.engine.scheduler.running === 1);
  return { done };
}

/** The only worker is free again and the queue was looked at: what was to be dropped is dropped. */
async function settled(): Promise<void> {
  expect((await score('fast', [0])).score).toBe(0.5);
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
}

test('expired in the queue', async () => {
  const before = await rowsRun();
  const { done } = await occupyWorker();
  const expiring = Array.from({ length: 8 }, () => failureOf(score('fast', [1], { deadlineMs: SHORT_MS })));
  const codes = (await Promise.all(expiring)).map(({ code }) => code);
  // The first is taken, be it in vain: estimates may be wrong. The others may be told at once that they come too late.
  expect(codes).toContain('DEADLINE_EXCEEDED');
  expect(codes.filter((code) => code !== 'DEADLINE_EXCEEDED' && code !== 'RESOURCE_EXHAUSTED')).toEqual([]);
  await done;
  await settled();
  expect((await rowsRun()) - before).toBe(1);
});

test('cancelled in the queue', async () => {
  const before = await rowsRun();
  const { done } = await occupyWorker();
  const leaving = new AbortController();
  const cancelled = Array.from({ length: 8 }, () => failureOf(score('fast', [1], { signal: leaving.signal })));
  const staying = score('fast', [0]);
  await eventually(() => queued('fast') === 9);
  leaving.abort();
  for (const failure of await Promise.all(cancelled)) expect(failure.code).toBe('CANCELLED');
  expect((await staying).score).toBe(0.5);
  await done;
  await settled();
  expect((await rowsRun()) - before).toBe(2);
});

test('its connection gone while it was queued', async () => {
  const before = await rowsRun();
  const { done } = await occupyWorker();
  const session = http2.connect(`http://${server.address}`);
  const stream = session.request(headers());
  stream.on('error', () => {});
  stream.end(frame(ScoreRequest.encode(scoreRequest('fast', [1])).finish()));
  await eventually(() => queued('fast') === 1);
  session.destroy();
  await done;
  await settled();
  expect((await rowsRun()) - before).toBe(1);
});

test.each(['1n', '1u', '0m'])('expired on arrival: a time-out of %s', async (timeout) => {
  const before = await rowsRun();
  const session = http2.connect(`http://${server.address}`);
  const stream = session.request({ ...headers(), 'grpc-timeout': timeout });
  const status = new Promise((resolve) => {
    const read = (found: http2.IncomingHttpHeaders) => {
      if (found['grpc-status'] !== undefined) resolve(found['grpc-status']);
    };
    stream.on('response', read);
    stream.on('trailers', read);
  });
  stream.resume();
  stream.end(frame(ScoreRequest.encode(scoreRequest('fast', [1])).finish()));
  // DEADLINE_EXCEEDED
  expect(await status).toBe('4');
  session.destroy();
  await settled();
  expect((await rowsRun()) - before).toBe(1);
});

test('a time-out beyond what a timer can hold is none', async () => {
  expect((await score('fast', [0], { deadlineMs: 2 ** 40 })).score).toBe(0.5);
});

test('a caller who leaves during the run takes nobody along', async () => {
  const leaving = new AbortController();
  const left = failureOf(score('slow', [0], { signal: leaving.signal }));
  await eventually(() => server.running.engine.scheduler.running === 1);
  const staying = score('fast', [0]);
  leaving.abort();
  expect((await left).code).toBe('CANCELLED');
  expect((await staying).score).toBe(0.5);
  await settled();
});

/** Calls of the slow model by the status that they are counted with. */
async function counted(): Promise<Record<string, number>> {
  const calls = (await server.samples()).filter(
    ({ name, labels }) => name === 'rpc_server_call_duration_seconds_count' && labels.model === 'slow',
  );
  return Object.fromEntries(calls.map(({ labels, value }) => [labels.rpc_status_code, value]));
}

test('what the caller never got is not counted as answered', async () => {
  const before = await counted();
  expect((await failureOf(score('slow', [0], { deadlineMs: SHORT_MS }))).code).toBe('DEADLINE_EXCEEDED');
  await settled();
  const expired = await counted();
  expect(expired.OK).toBe(before.OK);
  expect(expired.DEADLINE_EXCEEDED).toBe((before.DEADLINE_EXCEEDED ?? 0) + 1);

  const leaving = new AbortController();
  const left = failureOf(score('slow', [0], { signal: leaving.signal }));
  await eventually(() => server.running.engine.scheduler.running === 1);
  leaving.abort();
  expect((await left).code).toBe('CANCELLED');
  await settled();
  const after = await counted();
  expect(after.OK).toBe(before.OK);
  expect(after.CANCELLED).toBe((expired.CANCELLED ?? 0) + 1);
});

test('a deadline that can be met is met', async () => {
  const { done } = await occupyWorker();
  expect((await score('fast', [0], { deadlineMs: 20_000 })).score).toBe(0.5);
  await done;
});

function headers(): http2.OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': SCORE, 'content-type': 'application/grpc', te: 'trailers' };
}

/** A message as gRPC frames it. */
function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
