// The order of a stream's results, and how much of it is taken at once.

import { beforeEach, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { ScoreResponse, ScoreStreamRequest, ScoreStreamResponse } from '../../../src/gen/scorewire/v1/scoring.ts';
import { ScoreStreams } from '../../../src/grpc/score-stream.ts';
import type { StreamCall, StreamHandler } from '../../../src/grpc/stream-call.ts';
import { Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { createTracing } from '../../../src/telemetry/tracing.ts';
import { scoreRequest } from '../../support/test-client.ts';

const OPEN_ITEMS = 512;

/** A call that keeps what is sent. */
class FakeCall {
  readonly deadlineMs = Number.POSITIVE_INFINITY;
  ended = false;
  paused = false;
  /** Ids of the results, in the order in which they went out. */
  readonly ids: number[] = [];

  header(): undefined {
    return undefined;
  }

  send(message: Uint8Array): boolean {
    for (const { id } of ScoreStreamResponse.decode(message).results) this.ids.push(Number(id));
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

beforeEach(async () => {
  const tracing = await createTracing({ ratio: 0, endpoint: '', version: '', warn: () => {} });
  const edge = { metrics: createMetrics(new Registry()), tracing, logFault: () => {} };
  answer = new Map();
  const streams = new ScoreStreams(edge, (request, _context, done) => {
    answer.set(Number(request.model), (error) => done(error, ScoreResponse.decode(new Uint8Array())));
  });
  call = new FakeCall();
  handler = streams.method().open(call as unknown as StreamCall);
});

function send(ids: readonly number[], inOrder: boolean): void {
  const items = ids.map((id) => ({ id: BigInt(id), request: scoreRequest(String(id), undefined, {}) }));
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
