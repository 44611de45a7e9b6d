// Whole servers over a real Redis that stands still, dies and comes back: calls by entity are answered all the same.
import { ChannelCredentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { ScoreStoreServiceClient } from '../../src/gen/scorewire/v1/score_store.ts';
import { Origin, ScorePolicy, type ScoreResponse } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { type Customers, customers } from '../support/customers.ts';
import { freePort } from '../support/free-port.ts';
import { putScores } from '../support/put-scores.ts';
import { describeWithRedis, RedisServer } from '../support/redis-server.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const servers: TestServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(from: Customers, kind: string, url: string): Promise<TestServer> {
  const server = await TestServer.start(from.models, [...from.set, `store.kind=${kind}`, `redis.url=${url}`]);
  servers.push(server);
  return server;
}

function ask(server: TestServer, entity: string, more: object = {}): Promise<ScoreResponse> {
  return server.client.score('churn', undefined, { entity: { $case: 'entityId', value: entity }, ...more });
}

async function connected(server: TestServer): Promise<void> {
  await eventually(async () => {
    const { problem } = await withStore(server, (store) =>
      promised<{ problem: string }>((done) => store.getScoreStoreStats({ model: '' }, done)),
    );
    return problem === '';
  });
}

async function withStore<T>(server: TestServer, work: (store: ScoreStoreServiceClient) => Promise<T>): Promise<T> {
  const store = new ScoreStoreServiceClient(server.address, ChannelCredentials.createInsecure());
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

const invalidate = (server: TestServer, entity: string): Promise<{ invalidated?: bigint }> =>
  withStore(server, (store) =>
    promised((done) =>
      store.invalidateScores(
        { model: 'churn', target: { $case: 'entities', value: { entityIds: [entity] } }, refresh: false },
        done,
      ),
    ),
  );

/** Every customer, all at once, is answered with what the model gives. */
async function allAnswered(server: TestServer, from: Customers): Promise<ScoreResponse[]> {
  const answers = await Promise.all(from.rows.map(({ customer_id: id }) => ask(server, id as string)));
  for (const [index, { score, entityId }] of answers.entries()) {
    expect(entityId).toBe(`c${index}`);
    expect(score).toBeCloseTo(from.scores[index] as number, 5);
  }
  return answers;
}

const realTime = (answers: readonly ScoreResponse[]): boolean =>
  answers.every(({ origin }) => origin === Origin.ORIGIN_REAL_TIME);

describeWithRedis('stored scores in Redis', () => {
  test.each(['redis', 'tiered'])(
    '%s: the model answers while Redis stands still, is dead, and is back empty',
    async (kind) => {
      const from = await customers();
      const redis = await RedisServer.start();
      const server = await serve(from, kind, redis.url);
      await connected(server);
      expect(realTime(await allAnswered(server, from))).toBe(true);
      await eventually(async () => (await ask(server, 'c0')).origin === Origin.ORIGIN_PRECOMPUTED);

      redis.pause();
      await allAnswered(server, from);
      // Of those that nothing is known of a score may be stored all the same.
      expect((await failureOf(ask(server, 'nobody'))).reason).toBe('STORE_UNAVAILABLE');
      const only = { policy: ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY };
      expect(await failureOf(ask(server, 'nobody', only))).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'STORE_UNAVAILABLE',
      });
      expect(await server.metric('scorewire_store_lookups_total', { result: 'unavailable' })).toBeGreaterThan(0);
      await eventually(async () => {
        await failureOf(ask(server, 'nobody', only));
        return (await server.http('/healthz')).body.includes('score store');
      });
      redis.resume();
      await connected(server);
      await eventually(async () => (await ask(server, 'c0')).origin === Origin.ORIGIN_PRECOMPUTED);

      await redis.kill();
      await allAnswered(server, from);
      await eventually(async () => (await server.http('/healthz')).body.includes('score store'));
      const error = await failureOf(putScores(server.address, 'churn', 1, { c1: 0.25 }));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE' });

      await RedisServer.start({ port: redis.port });
      await connected(server);
      await allAnswered(server, from);
      expect(await putScores(server.address, 'churn', 1, { put: 0.25 })).toMatchObject({ stored: 1n });
      expect(await ask(server, 'put')).toMatchObject({ origin: Origin.ORIGIN_PRECOMPUTED, score: 0.25 });
    },
  );

  test.each(['redis', 'tiered'])('%s: a server starts before its Redis, and finds it', async (kind) => {
    const from = await customers();
    const port = await freePort();
    const server = await serve(from, kind, `redis://127.0.0.1:${port}`);
    expect(realTime(await allAnswered(server, from))).toBe(true);
    expect((await server.http('/healthz')).body).toContain('score store');
    await RedisServer.start({ port });
    await connected(server);
    await eventually(async () => (await ask(server, 'c0')).origin === Origin.ORIGIN_PRECOMPUTED);
  });

  test('tiered: servers share scores, and an invalidation at one reaches the other', async () => {
    const from = await customers();
    const redis = await RedisServer.start();
    const [one, other] = [await serve(from, 'tiered', redis.url), await serve(from, 'tiered', redis.url)];
    await connected(one);
    await connected(other);
    await putScores(one.address, 'churn', 1, { c1: 0.25, c2: 0.75 });
    for (const server of [one, other]) {
      expect(await ask(server, 'c1')).toMatchObject({ origin: Origin.ORIGIN_PRECOMPUTED, score: 0.25 });
      expect(await ask(server, 'c2')).toMatchObject({ origin: Origin.ORIGIN_PRECOMPUTED, score: 0.75 });
    }
    expect((await invalidate(one, 'c1')).invalidated).toBe(1n);
    expect((await ask(one, 'c1')).origin).toBe(Origin.ORIGIN_REAL_TIME);
    // Told by a message that is on its way.
    await eventually(async () => (await ask(other, 'c1')).origin === Origin.ORIGIN_REAL_TIME);
    expect(await ask(other, 'c2')).toMatchObject({ origin: Origin.ORIGIN_PRECOMPUTED, score: 0.75 });
  });
});
