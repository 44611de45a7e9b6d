// Too much work: every queue has a limit, what is too much is refused with the time to come back, and then all is well.

import type { ServiceError } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear, slowLinear } from '../support/onnx-builder.ts';
import { type Failure, failureOf, takeApart } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let server: TestServer;

afterEach(() => server.stop());

/** A few milliseconds a row. */
const slow = () => slowLinear([1], 0, 1000);

type Outcome = { answered: number; refusals: Failure[] };

/** All calls at once. */
async function flood(model: string, calls: number): Promise<Outcome> {
  const outcome: Outcome = { answered: 0, refusals: [] };
  await Promise.all(
    Array.from({ length: calls }, () =>
      server.client.score(model, [0]).then(
        () => outcome.answered++,
        (error: ServiceError) => outcome.refusals.push(takeApart(error)),
      ),
    ),
  );
  expect(outcome.answered + outcome.refusals.length).toBe(calls);
  return outcome;
}

async function recovered(): Promise<void> {
  expect((await server.client.score('slow', [0])).score).toBe(0.5);
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
  expect(await server.metric('scorewire_queue_depth')).toBe(0);
}

test('a full queue refuses: RESOURCE_EXHAUSTED with RetryInfo; then the server recovers', async () => {
  const folder = await modelFolder({ slow: [slow(), 'batching: { enabled: false }'], fast: linear([1], 0) });
  server = await TestServer.start(folder, ['limits.max_queue_rows=8', 'batching.max_rows=8', 'workers.count=1']);
  for (let round = 0; round < 3; round++) {
    const { answered, refusals } = await flood('slow', 100);
    expect(answered).toBeGreaterThanOrEqual(8);
    expect(refusals.length).toBeGreaterThan(0);
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'QUEUE_FULL', metadata: { model: 'slow' } });
      expect(refusal.retryMs).toBeGreaterThanOrEqual(5);
      expect(refusal.pushbackMs).toBe(refusal.retryMs);
    }
    await recovered();
    expect(await server.metric('scorewire_shed_total', { model: 'slow', reason: 'QUEUE_FULL' })).toBeGreaterThan(0);
  }
  // The other model has a queue of its own.
  const [, fast] = await Promise.all([flood('slow', 100), server.client.score('fast', [0])]);
  expect(fast.score).toBe(0.5);
});

test('what can not be answered within the budget is refused, under load only', async () => {
  const folder = await modelFolder({
    slow: slow(),
    // Busy for as long as the flood takes to come in.
    busy: [slowLinear([1], 0, 30_000), 'batching: { enabled: false }'],
  });
  server = await TestServer.start(folder, ['batching.latency_budget_ms=20', 'batching.max_rows=1', 'workers.count=1']);
  const first = server.client.score('busy', [0]);
  await eventually(() => server.running.engine.scheduler.running === 1);
  const { answered, refusals } = await flood('slow', 60);
  expect((await first).score).toBe(0.5);
  expect(answered).toBeGreaterThan(0);
  expect(refusals.length).toBeGreaterThan(0);
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'OVERLOADED' });
    expect(refusal.retryMs).toBeGreaterThanOrEqual(5);
  }
  expect(await server.metric('scorewire_shed_total', { model: 'slow', reason: 'OVERLOADED' })).toBe(refusals.length);
  await recovered();
});

test('a budget that no run can hold refuses nobody who comes alone', async () => {
  const folder = await modelFolder({ slow: slow() });
  server = await TestServer.start(folder, ['batching.latency_budget_ms=0.1', 'workers.count=1']);
  for (let i = 0; i < 5; i++) expect((await server.client.score('slow', [0])).score).toBe(0.5);
});

test('more calls than the server holds', async () => {
  const folder = await modelFolder({ slow: [slowLinear([1], 0, 20_000), 'batching: { enabled: false }'] });
  server = await TestServer.start(folder, ['limits.max_in_flight=4', 'workers.count=1']);
  const held = Array.from({ length: 4 }, () => server.client.score('slow', [0]));
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 4);
  const other = server.connect();
  const failure = await failureOf(other.score('slow', [0]));
  expect(failure).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_CALLS' });
  expect(failure.retryMs).toBeGreaterThan(0);
  for (const answer of await Promise.all(held)) expect(answer.score).toBe(0.5);
  expect((await other.score('slow', [0])).score).toBe(0.5);
  await recovered();
});

test('one connection with more calls than it may have streams: all are answered', async () => {
  const folder = await modelFolder({ slow: linear([1], 0) });
  server = await TestServer.start(folder, ['limits.max_streams_per_connection=4', 'workers.count=1']);
  // After the first call the client knows the limit, and keeps the others back by itself.
  expect((await server.client.score('slow', [0])).score).toBe(0.5);
  const { answered, refusals } = await flood('slow', 100);
  expect(refusals).toEqual([]);
  expect(answered).toBe(100);
  await recovered();
});
