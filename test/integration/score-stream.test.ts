// Many scores on one call that stays open.

import { once } from 'node:events';
import http2 from 'node:http2';
import { type ClientDuplexStream, type ServiceError, status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ScoreRequest,
  ScoreStreamRequest,
  type ScoreStreamResponse,
  type StreamResult,
} from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear, slowLinear } from '../support/onnx-builder.ts';
import { scoreRequest } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let folder: string;
let server: TestServer;

beforeAll(async () => {
  folder = await modelFolder({
    risk: linear([1, -1], 0),
    slow: [slowLinear([1], 0, 6000), 'batching: { enabled: false }'],
  });
  server = await TestServer.start(folder, ['workers.count=1']);
});

afterAll(() => server.stop());

type Stream = ClientDuplexStream<ScoreStreamRequest, ScoreStreamResponse>;

class Conversation {
  readonly results: StreamResult[] = [];
  readonly ended: Promise<{ code: number; details: string }>;
  readonly stream: Stream;
  readonly #inOrder: boolean;

  constructor(stream: Stream, inOrder: boolean) {
    this.stream = stream;
    this.#inOrder = inOrder;
    stream.on('data', ({ results }: ScoreStreamResponse) => this.results.push(...results));
    this.ended = new Promise((resolve) => {
      stream.on('error', ({ code, details }: ServiceError) => resolve({ code, details }));
      stream.on('status', ({ code, details }) => resolve({ code, details }));
    });
  }

  send(...items: [id: number, request: ScoreRequest | undefined][]): void {
    this.stream.write({ items: items.map(([id, request]) => ({ id: BigInt(id), request })), inOrder: this.#inOrder });
  }

  async answered(count: number): Promise<void> {
    await eventually(() => this.results.length >= count);
  }

  /** By id; an error as its reason. */
  outcomes(): Map<number, number | string> {
    return new Map(
      this.results.map(({ id, outcome }) => [
        Number(id),
        outcome?.$case === 'response' ? outcome.value.score : (outcome?.value.reason ?? ''),
      ]),
    );
  }
}

function converse(on = server, deadlineMs?: number): Conversation {
  const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  return new Conversation(on.client.scoring.scoreStream(options), false);
}

function converseInOrder(): Conversation {
  return new Conversation(server.client.scoring.scoreStream(), true);
}

const risk = (a: number, b: number): ScoreRequest => scoreRequest('risk', [a, b], {});
const slow = (): ScoreRequest => scoreRequest('slow', [0], {});

test('every item is answered once, under its id, as the unary call answers it', async () => {
  const talk = converse();
  const rows = Array.from({ length: 300 }, (_, index) => [index / 100, 1] as const);
  for (let at = 0; at < rows.length; at += 7) {
    talk.send(
      ...rows.slice(at, at + 7).map(([a, b], index): [number, ScoreRequest] => [1000 + at + index, risk(a, b)]),
    );
  }
  talk.stream.end();
  expect((await talk.ended).code).toBe(Status.OK);
  expect(talk.results).toHaveLength(rows.length);
  const alone = await Promise.all(rows.map(([a, b]) => server.client.score('risk', [a, b])));
  const outcomes = talk.outcomes();
  expect(rows.map((_, index) => outcomes.get(1000 + index))).toEqual(alone.map(({ score }) => score));
});

test('an item that fails says why, and the others are answered', async () => {
  const talk = converse();
  talk.send(
    [1, risk(1, 1)],
    [2, scoreRequest('nobody', [1], {})],
    [3, undefined],
    [4, scoreRequest('risk', [1], {})],
    [5, scoreRequest('risk', undefined, { entity: { $case: 'entityId', value: 'c-1' } })],
    [6, risk(1, 1)],
  );
  await talk.answered(6);
  expect([...talk.outcomes()].sort(([a], [b]) => a - b)).toEqual([
    [1, 0.5],
    [2, 'MODEL_NOT_FOUND'],
    [3, 'INVALID_FIELD'],
    [4, 'INVALID_ROW'],
    [5, 'NO_FEATURES'],
    [6, 0.5],
  ]);
  const wrong = talk.results.find(({ id }) => id === 4n)?.outcome;
  expect(wrong).toMatchObject({ $case: 'error', value: { code: Status.INVALID_ARGUMENT, field: 'row.dense.values' } });
  // The stream goes on.
  talk.send([7, risk(2, 2)]);
  await talk.answered(7);
  talk.stream.end();
  expect((await talk.ended).code).toBe(Status.OK);
});

test('whoever has said all gets what is still open', async () => {
  const talk = converse();
  talk.send([1, slow()], [2, slow()], [3, risk(0, 0)]);
  talk.stream.end();
  expect((await talk.ended).code).toBe(Status.OK);
  expect([...talk.outcomes().keys()].sort()).toEqual([1, 2, 3]);
});

test('in the order of the items, where that is wanted: behind a slow one too, and errors in their place', async () => {
  const talk = converseInOrder();
  talk.send([1, slow()], [2, scoreRequest('nobody', [1], {})], [3, risk(1, 1)]);
  talk.send([4, undefined], [5, slow()]);
  talk.send([6, risk(1, 1)]);
  // Whoever has said all still gets what is open.
  talk.stream.end();
  expect((await talk.ended).code).toBe(Status.OK);
  expect([...talk.outcomes()]).toEqual([
    [1, expect.any(Number)],
    [2, 'MODEL_NOT_FOUND'],
    [3, 0.5],
    [4, 'INVALID_FIELD'],
    [5, expect.any(Number)],
    [6, 0.5],
  ]);
});

test('a stream whose results wait in order keeps nobody else waiting', async () => {
  const talk = converseInOrder();
  talk.send(...Array.from({ length: 40 }, (_, id): [number, ScoreRequest] => [id, slow()]));
  await eventually(() => talk.results.length > 0);
  talk.send(...Array.from({ length: 1000 }, (_, id): [number, ScoreRequest] => [40 + id, risk(1, 1)]));
  const other = converse();
  other.send([1, risk(1, 1)], [2, risk(1, 1)]);
  await other.answered(2);
  await server.client.score('risk', [1, 1]);
  expect(talk.results.length).toBeLessThan(40);
  other.stream.end();
  talk.stream.end();
  expect((await talk.ended).code).toBe(Status.OK);
  expect(talk.results.map(({ id }) => Number(id))).toEqual(Array.from({ length: 1040 }, (_, id) => id));
});

test('nothing said, nothing answered', async () => {
  const talk = converse();
  talk.stream.end();
  expect((await talk.ended).code).toBe(Status.OK);
  expect(talk.results).toEqual([]);
});

test('of a caller who left nothing more runs', async () => {
  const ran = () => server.metric('scorewire_batch_rows_sum', { model: 'slow' });
  const before = await ran();
  const talk = converse();
  talk.send(...Array.from({ length: 100 }, (_, id): [number, ScoreRequest] => [id, slow()]));
  await eventually(() => server.running.engine.scheduler.running === 1);
  talk.stream.cancel();
  expect((await talk.ended).code).toBe(Status.CANCELLED);
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
  expect((await ran()) - before).toBeLessThan(50);
});

test("the call's deadline ends it", async () => {
  const talk = converse(server, 50);
  talk.send(...Array.from({ length: 100 }, (_, id): [number, ScoreRequest] => [id, slow()]));
  expect((await talk.ended).code).toBe(Status.DEADLINE_EXCEEDED);
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
});

test('a stream with thousands of items to come does not keep others waiting for them', async () => {
  const talk = converse();
  for (let at = 0; at < 20_000; at += 1000) {
    talk.send(...Array.from({ length: 1000 }, (_, index): [number, ScoreRequest] => [at + index, risk(1, 2)]));
  }
  await talk.answered(1);
  await server.client.score('risk', [1, 1]);
  expect(talk.results.length).toBeLessThan(20_000);
  await talk.answered(20_000);
  expect(talk.outcomes().size).toBe(20_000);
  talk.stream.end();
  await talk.ended;
});

test('metrics count items by what became of them', async () => {
  const count = (code: string) =>
    server.metric('rpc_server_call_duration_seconds_count', {
      rpc_method: 'scorewire.v1.ScoringService/ScoreStream',
      rpc_status_code: code,
    });
  const before = [await count('OK').catch(() => 0), await count('NOT_FOUND').catch(() => 0)] as [number, number];
  const talk = converse();
  talk.send([1, risk(1, 1)], [2, risk(1, 1)], [3, scoreRequest('nobody', [1], {})]);
  talk.stream.end();
  await talk.ended;
  expect([await count('OK'), await count('NOT_FOUND')]).toEqual([before[0] + 2, before[1] + 1]);
});

describe('a client that sends and does not read', () => {
  const ITEMS = 30_000;

  test('is read no further, and gets every result once it reads', async () => {
    const session = http2.connect(`http://${server.address}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/scorewire.v1.ScoringService/ScoreStream',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const message = ScoreStreamRequest.encode({ items: [{ id: 1n, request: risk(1, 1) }], inOrder: false }).finish();
    const framed = Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), message]);
    stream.write(Buffer.concat(Array.from({ length: ITEMS }, () => framed)));
    stream.end();
    // Until nothing moves any more; where it all was taken there is no end of it.
    let before = -1;
    await eventually(async () => {
      const still = before === session.socket.bytesWritten;
      before = session.socket.bytesWritten;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return still && before === session.socket.bytesWritten;
    });
    expect(before).toBeLessThan((framed.length * ITEMS) / 2);
    expect(await server.metric('scorewire_calls_in_flight')).toBeLessThan(1000);

    let status = '';
    stream.on('trailers', (trailers) => {
      status = String(trailers['grpc-status']);
    });
    stream.resume();
    await once(stream, 'close');
    expect(status).toBe('0');
    session.destroy();
  });
});

test('a drain answers the items that are open, and tells the stream to go elsewhere', async () => {
  const other = await TestServer.start(folder, ['workers.count=1']);
  const talk = converse(other);
  talk.send([1, slow()], [2, slow()], [3, slow()]);
  await eventually(() => other.running.engine.scheduler.running === 1);
  expect(await other.running.drain()).toBe(true);
  expect(await talk.ended).toMatchObject({ code: Status.UNAVAILABLE });
  expect([...talk.outcomes().keys()].sort()).toEqual([1, 2, 3]);
  await other.stop();
});
