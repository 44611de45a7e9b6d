// An item of a stream has a deadline of its own: nothing runs for it after that, counted by the rows that ran.

import { type ClientDuplexStream, status as Status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import { ScoreError } from '../../src/client/score-error.ts';
import type { Duration } from '../../src/gen/google/protobuf/duration.ts';
import type { ScoreStreamRequest, ScoreStreamResponse, StreamResult } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear, slowLinear } from '../support/onnx-builder.ts';
import { scoreRequest } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

/** Far less than a run of the slow model takes. */
const SHORT_MS = 20;
const SHORT: Duration = { seconds: 0n, nanos: SHORT_MS * 1e6 };

let server: TestServer;
let stream: ClientDuplexStream<ScoreStreamRequest, ScoreStreamResponse>;
let results: StreamResult[];

beforeAll(async () => {
  const folder = await modelFolder({
    // Some tenths of a second a row.
    slow: [slowLinear([1], 0, 60_000), 'batching: { enabled: false }'],
    fast: linear([1], 0),
  });
  server = await TestServer.start(folder, ['workers.count=1']);
});

afterEach(() => stream?.end());
afterAll(() => server.stop());

function open(deadlineMs = 60_000): void {
  results = [];
  stream = server.client.scoring.scoreStream({ deadline: Date.now() + deadlineMs });
  stream.on('data', (message: ScoreStreamResponse) => results.push(...message.results));
  stream.on('error', () => {});
}

/** Asks for the fast model's scores, all in one message. */
function send(...timeouts: (Duration | undefined)[]): void {
  const items = timeouts.map((timeout, index) => ({
    id: BigInt(index),
    request: scoreRequest('fast', [0], {}),
    timeout,
  }));
  stream.write({ items, inOrder: false });
}

/** What became of the items, in their order: a score, or a reason. */
async function outcomes(count: number): Promise<(number | string)[]> {
  await eventually(() => results.length === count);
  return results
    .sort((a, b) => Number(a.id - b.id))
    .map(({ outcome }) => (outcome?.$case === 'response' ? outcome.value.score : (outcome?.value.reason ?? '')));
}

/** Rows of the fast model that a worker has run. */
const rowsRun = () => server.metric('scorewire_batch_rows_sum', { model: 'fast' });

/** Keeps the only worker busy; resolves when it has the run, with the promise of its answer in a box. */
async function occupyWorker(): Promise<{ done: Promise<unknown> }> {
  const done = server.client.score('slow', [0]);
  await eventually(() => server.running.engine.scheduler.running === 1);
  return { done };
}

/** The only worker is free again and the queue was looked at: what was to be dropped is dropped. */
async function settled(): Promise<void> {
  expect((await server.client.score('fast', [0])).score).toBe(0.5);
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
}

test('what expires in the queue never runs; what has more time does', async () => {
  const before = await rowsRun();
  open();
  const { done } = await occupyWorker();
  // The first is taken, be it in vain: estimates may be wrong. Those behind it may be told at once that they come too late.
  send(SHORT, undefined, { seconds: 60n, nanos: 0 }, ...new Array(8).fill(SHORT));
  const [first, second, third, ...late] = await outcomes(11);
  expect([first, second, third]).toEqual(['DEADLINE_EXPIRED_IN_QUEUE', 0.5, 0.5]);
  expect(late.filter((reason) => reason !== 'DEADLINE_EXPIRED_IN_QUEUE' && reason !== 'OVERLOADED')).toEqual([]);
  for (const { outcome } of results) {
    if (outcome?.$case !== 'error') continue;
    const { code, reason, retryDelay } = outcome.value;
    expect(code).toBe(reason === 'OVERLOADED' ? Status.RESOURCE_EXHAUSTED : Status.DEADLINE_EXCEEDED);
    // Whoever is refused hears when to come back.
    expect(retryDelay === undefined).toBe(reason !== 'OVERLOADED');
  }
  await done;
  await settled();
  expect((await rowsRun()) - before).toBe(3);
});

test('what has expired on arrival is told so, and what makes no sense as well', async () => {
  const before = await rowsRun();
  open();
  const { done } = await occupyWorker();
  send({ seconds: 0n, nanos: 0 }, { seconds: 0n, nanos: 1 }, { seconds: -1n, nanos: 0 }, { seconds: 1n, nanos: -1 });
  expect(await outcomes(4)).toEqual(['DEADLINE_EXPIRED', 'DEADLINE_EXPIRED', 'INVALID_FIELD', 'INVALID_FIELD']);
  expect(results[2]?.outcome).toMatchObject({ value: { code: Status.INVALID_ARGUMENT, field: 'timeout' } });
  await done;
  // The stream goes on.
  results = [];
  send(undefined);
  expect(await outcomes(1)).toEqual([0.5]);
  await settled();
  expect((await rowsRun()) - before).toBe(2);
});

test('a time longer than that of the stream is that of the stream', async () => {
  const before = await rowsRun();
  const { done } = await occupyWorker();
  open(SHORT_MS);
  const ended = new Promise((resolve) => {
    stream.on('status', ({ code }) => resolve(code));
  });
  send({ seconds: 60n, nanos: 0 }, undefined);
  expect(await ended).toBe(Status.DEADLINE_EXCEEDED);
  await done;
  await settled();
  expect((await rowsRun()) - before).toBe(1);
});

test('a run that takes longer than the item has is no answer', async () => {
  open();
  const items = [{ id: 0n, request: scoreRequest('slow', [0], {}), timeout: SHORT }];
  stream.write({ items, inOrder: false });
  expect(await outcomes(1)).toEqual(['DEADLINE_EXPIRED_IN_RUN']);
});

test("our client's deadlines reach the server: what it gave up is not run", async () => {
  const before = await rowsRun();
  const client = connect(server.address, { deadlineMs: 60_000, retry: false });
  const { done } = await occupyWorker();
  const row = [0];
  const late = Array.from({ length: 8 }, () =>
    client.score({ model: 'fast', row }, { deadlineMs: SHORT_MS }).catch((error: unknown) => error),
  );
  const wanted = client.score({ model: 'fast', row });
  for (const error of await Promise.all(late)) {
    expect(error).toBeInstanceOf(ScoreError);
    expect(['DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED']).toContain((error as ScoreError).code);
  }
  expect((await wanted).score).toBe(0.5);
  await done;
  await settled();
  expect((await rowsRun()) - before).toBe(2);
  await client.close();
});
