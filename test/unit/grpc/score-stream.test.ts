// The order of a stream's results, how much of it is taken at once, and until when its items are wanted.

import { status as Status } from '@grpc/grpc-js';
import { beforeEach, describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { Duration } from '../../../src/gen/google/protobuf/duration.ts';
import {
  type RowError,
  ScoreResponse,
  ScoreStreamRequest,
  ScoreStreamResponse,
} from '../../../src/gen/scorewire/v1/scoring.ts';
import { ScoreStreams } from '../../../src/grpc/score-stream.ts';
import type { StreamCall, StreamHandler } from '../../../src/grpc/stream-call.ts';
import type { CallContext } from '../../../src/grpc/unary.ts';
import { Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { createTracing } from '../../../src/telemetry/tracing.ts';
import { scoreRequest } from '../../support/test-client.ts';

const OPEN_ITEMS = 512;

/** A call that keeps what is sent. */
class FakeCall {
  deadlineMs = Number.POSITIVE_INFINITY;
  ended = false;
  paused = false;
  /** Ids of the results, in the order in which they went out. */
  readonly ids: number[] = [];
  readonly errors: RowError[] = [];

  header(): undefined {
    return undefined;
  }

  send(message: Uint8Array): boolean {
    for (const { id, outcome } of ScoreStreamResponse.decode(message).results) {
      this.ids.push(Number(id));
      if (outcome?.$case === 'error') this.errors.push(outcome.value);
    }
    return true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }
}

let call: FakeCall;
let handler: StreamHandler;
/** Answers the item with this id, by the model's name. */
let answer: Map<number, (error?: ScorewireError) => void>;
/** Of the items that were let in, by the same name. */
let contexts: Map<number, CallContext>;

beforeEach(async () => {
  const tracing = await createTracing({ ratio: 0, endpoint: '', version: '', warn: () => {} });
  const edge = { metrics: createMetrics(new Registry()), tracing, logFault: () => {} };
  answer = new Map();
  contexts = new Map();
  const streams = new ScoreStreams(edge, (request, context, done) => {
    contexts.set(Number(request.model), context);
    answer.set(Number(request.model), (error) => done(error, ScoreResponse.decode(new Uint8Array())));
  });
  call = new FakeCall();
  handler = streams.method().open(call as unknown as StreamCall);
});

function send(ids: readonly number[], inOrder: boolean, timeout?: Duration): void {
  const items = ids.map((id) => ({ id: BigInt(id), request: scoreRequest(String(id), undefined, {}), timeout }));
  handler.onMessage(Buffer.from(ScoreStreamRequest.encode({ items, inOrder }).finish()));
}

async function answered(...ids: number[]): Promise<void> {
  for (const id of ids) answer.get(id)?.();
  await new Promise((resolve) => setImmediate(resolve));
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

test('as they are done, where nothing else was said', async () => {
  send([1, 2, 3], false);
  await answered(3);
  await answered(1, 2);
  expect(call.ids).toEqual([3, 1, 2]);
});

test('in order: what is done waits for those before it, errors too', async () => {
  send([1, 2, 3], true);
  await answered(3);
  answer.get(2)?.(new ScorewireError('overloaded', 'QUEUE_FULL', 'full'));
  await answered();
  expect(call.ids).toEqual([]);
  await answered(1);
  expect(call.ids).toEqual([1, 2, 3]);
});

test('the first message decides', async () => {
  send([1], true);
  send([2, 3], false);
  await answered(3, 2);
  expect(call.ids).toEqual([]);
  await answered(1);
  expect(call.ids).toEqual([1, 2, 3]);
  expect(call.ended).toBe(false);
});

test('a first message without items decides as well', async () => {
  send([], true);
  send([1, 2], false);
  await answered(2);
  expect(call.ids).toEqual([]);
});

test('a stream that was not in order does not become it', async () => {
  send([1], false);
  send([2, 3], true);
  await answered(3);
  expect(call.ids).toEqual([3]);
});

test('results that wait count as open items: no more is read until they go', async () => {
  send(range(0, OPEN_ITEMS), true);
  await answered(...range(1, OPEN_ITEMS));
  expect([call.paused, call.ids]).toEqual([true, []]);
  await answered(0);
  expect([call.paused, call.ids]).toEqual([false, range(0, OPEN_ITEMS)]);
});

test('out of order a result that is done makes room', async () => {
  send(range(0, OPEN_ITEMS), false);
  expect(call.paused).toBe(true);
  await answered(7);
  expect(call.paused).toBe(false);
});

test('whoever has said all gets what waits, and then the end', async () => {
  send([1, 2], true);
  handler.onEnd();
  await answered(2);
  expect(call.ended).toBe(false);
  await answered(1);
  expect([call.ids, call.ended]).toEqual([[1, 2], true]);
});

describe('an item is wanted', () => {
  /** Milliseconds from the arrival of the item to its deadline. */
  function timeOf(id: number): number {
    const { receivedMs, deadlineMs } = contexts.get(id) as CallContext;
    return deadlineMs - receivedMs;
  }

  test('as long as the stream, where it says nothing', () => {
    send([1], false);
    call.deadlineMs = performance.now() + 1e6;
    send([2], false);
    expect(timeOf(1)).toBe(Number.POSITIVE_INFINITY);
    expect(contexts.get(2)?.deadlineMs).toBe(call.deadlineMs);
  });

  test('until its own deadline, counted from its arrival', () => {
    send([1, 2], false, { seconds: 3n, nanos: 250_000_000 });
    call.deadlineMs = performance.now() + 1e6;
    send([3], false, { seconds: 3n, nanos: 250_000_000 });
    for (const id of [1, 2, 3]) expect(timeOf(id)).toBeCloseTo(3250);
  });

  test('no longer than the stream', () => {
    call.deadlineMs = performance.now() + 1e6;
    send([1], false, { seconds: 315_576_000_000n, nanos: 0 });
    expect(contexts.get(1)?.deadlineMs).toBe(call.deadlineMs);
  });

  test('no longer: an answer that comes too late is DEADLINE_EXCEEDED', async () => {
    send([1], false, { seconds: 0n, nanos: 0 });
    expect(timeOf(1)).toBe(0);
    send([2], false, { seconds: 1000n, nanos: 0 });
    await answered(1, 2);
    expect(call.ids).toEqual([1, 2]);
    expect(call.errors).toMatchObject([{ code: Status.DEADLINE_EXCEEDED, reason: 'DEADLINE_EXPIRED_IN_RUN' }]);
  });

  test.each<Duration>([
    { seconds: -1n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 1n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
    { seconds: 315_576_000_001n, nanos: 0 },
  ])('for a time that makes no sense: $seconds s and $nanos ns', async (timeout) => {
    send([1], false, timeout);
    send([2], false);
    await answered(2);
    expect(contexts.has(1)).toBe(false);
    expect(call.ids).toEqual([1, 2]);
    expect(call.errors).toMatchObject([
      {
        code: Status.INVALID_ARGUMENT,
        reason: 'INVALID_FIELD',
        field: 'timeout',
        message: `timeout: expected a Duration that is not negative, found ${timeout.seconds} s and ${timeout.nanos} ns`,
      },
    ]);
  });
});
