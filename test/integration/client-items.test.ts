// What our client says about each score on a stream, and what it makes of an item that is refused: against a server that does as
// a test tells it to.

import { status as Status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import type { Client, ConnectOptions, ScoreResult } from '../../src/client/types.ts';
import type { ScoreStreamRequest, StreamItem } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { scoreFailureOf } from '../support/score-failure.ts';
import { answered, refused, type ScoreStream, serveScores } from '../support/scoring-stub.ts';

let clock: FakeClock;
let client: Client | undefined;
/** Every item that has come. */
let items: StreamItem[];

beforeEach(() => {
  clock = new FakeClock(5_000);
  items = [];
});

// Before the server goes, which would give it something to retry.
afterEach(() => client?.close());

/** A client of a server that does `take` with each item, the first of which is number 1. */
async function connected(
  take: (call: ScoreStream, item: StreamItem, number: number) => void,
  options: ConnectOptions = {},
): Promise<Client> {
  const port = await serveScores({
    stream: (call) => {
      call.on('data', (message: ScoreStreamRequest) => {
        for (const item of message.items) take(call, item, items.push(item));
      });
      call.on('end', () => call.end());
    },
  });
  client = connect(`127.0.0.1:${port}`, { clock, deadlineMs: Number.POSITIVE_INFINITY, ...options });
  return client;
}

const answer = (call: ScoreStream, { id, request }: StreamItem) => call.write({ results: [answered(id, request)] });

const refuse = (call: ScoreStream, { id }: StreamItem, code: Status, delayMs: number) =>
  call.write({ results: [refused(id, code, delayMs)] });

const scoreOf = (from: Client, value: number, deadlineMs?: number): Promise<ScoreResult> =>
  from.score({ model: 'm', row: [value] }, deadlineMs === undefined ? {} : { deadlineMs });

const timeouts = () => items.map(({ timeout }) => timeout);

describe('the server hears how much time is left', () => {
  test('of each score', async () => {
    const asking = await connected(answer);
    await Promise.all([scoreOf(asking, 1, 30), scoreOf(asking, 2), scoreOf(asking, 3, 61_500.2)]);
    expect(timeouts()).toEqual([
      { seconds: 0n, nanos: 30_000_000 },
      undefined,
      // Rounded up: a deadline that is early is wrong, one that is late is kept by the client.
      { seconds: 61n, nanos: 501_000_000 },
    ]);
  });

  test('of one that has waited for room', async () => {
    const calls: [ScoreStream, StreamItem][] = [];
    const asking = await connected((call, item) => calls.push([call, item]), { streams: 1 });
    const full = Array.from({ length: 512 }, (_, index) => scoreOf(asking, index));
    const last = scoreOf(asking, 1000, 800);
    await eventually(() => calls.length === 512);
    await clock.advance(300);
    for (const [call, item] of calls.splice(0)) answer(call, item);
    await eventually(() => calls.length === 1);
    expect(timeouts()[512]).toEqual({ seconds: 0n, nanos: 500_000_000 });
    for (const [call, item] of calls) answer(call, item);
    await Promise.all([...full, last]);
  });

  test('of one that is tried again', async () => {
    const asking = await connected((call, item, number) =>
      number === 1 ? refuse(call, item, Status.UNAVAILABLE, 200) : answer(call, item),
    );
    const call = scoreOf(asking, 7, 1000);
    await eventually(() => clock.nextTimerMs === 5_200);
    await clock.advance(200);
    expect((await call).score).toBe(7);
    expect(timeouts()).toEqual([
      { seconds: 1n, nanos: 0 },
      { seconds: 0n, nanos: 800_000_000 },
    ]);
  });
});

describe('an item that is refused, with a time to come back', () => {
  test.each([Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE])('comes back then, and not before: %s', async (code) => {
    const asking = await connected((call, item, number) =>
      number === 1 ? refuse(call, item, code, 3_005) : answer(call, item),
    );
    const call = scoreOf(asking, 7);
    await eventually(() => clock.nextTimerMs !== undefined);
    expect(clock.nextTimerMs).toBe(8_005);
    await clock.advance(3_004);
    expect(items).toHaveLength(1);
    await clock.advance(1);
    expect((await call).score).toBe(7);
    expect(items).toHaveLength(2);
  });

  test('does not where that is past its deadline', async () => {
    const asking = await connected((call, item) => refuse(call, item, Status.RESOURCE_EXHAUSTED, 1_000));
    expect(await scoreFailureOf(scoreOf(asking, 7, 1_000))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'A_REASON',
      retryAfterMs: 1_000,
    });
    expect(items).toHaveLength(1);
  });

  test('does not where the code is no invitation', async () => {
    const asking = await connected((call, item) => refuse(call, item, Status.FAILED_PRECONDITION, 10));
    expect(await scoreFailureOf(scoreOf(asking, 7))).toMatchObject({ code: 'FAILED_PRECONDITION', retryAfterMs: 10 });
    expect(items).toHaveLength(1);
  });

  test('does not once the budget is spent', async () => {
    const asking = await connected((call, item) => refuse(call, item, Status.RESOURCE_EXHAUSTED, 10), {
      retry: { budgetTokens: 8 },
    });
    // Four tokens, that is half of them, are four failures, the last of which is final.
    const first = scoreFailureOf(scoreOf(asking, 7));
    for (let attempt = 1; attempt <= 3; attempt++) {
      await eventually(() => clock.nextTimerMs !== undefined);
      await clock.advance(10);
    }
    expect((await first).code).toBe('RESOURCE_EXHAUSTED');
    expect((await scoreFailureOf(scoreOf(asking, 7))).code).toBe('RESOURCE_EXHAUSTED');
    expect(items).toHaveLength(5);
  });
});
