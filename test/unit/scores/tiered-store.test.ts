// What memory over Redis does beyond the contract of all stores: what is answered from where, for how long, and what replicas
// tell each other.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RedisLink } from '../../../src/redis/redis-link.ts';
import { MemoryStore } from '../../../src/scores/memory-store.ts';
import { RedisStore } from '../../../src/scores/redis-store.ts';
import { ELSEWHERE, type ScorePut } from '../../../src/scores/score-store.ts';
import { TieredStore } from '../../../src/scores/tiered-store.ts';
import { eventually } from '../../support/concurrently.ts';
import { connectedLink, PATIENT_MS } from '../../support/redis-link.ts';
import { describeWithRedis, RedisServer } from '../../support/redis-server.ts';
import { aScope, aScore } from '../../support/stored-scores.ts';

const HOUR = 3_600_000;
const TRUST_MS = 10_000;
const UNAVAILABLE = { kind: 'unavailable', reason: 'STORE_UNAVAILABLE' };
const scope = aScope();

describeWithRedis('the tiered store', () => {
  let server: RedisServer;
  let nowMs: number;
  const now = () => nowMs;
  const open: { close(): Promise<void> }[] = [];

  beforeEach(async () => {
    server = await RedisServer.start();
    nowMs = Date.now();
  });
  afterEach(async () => {
    for (const store of open.splice(0)) await store.close();
    await server.stop();
  });

  const memoryOf = () => new MemoryStore({ maxEntries: 10_000, maxBytes: 10 * 1024 * 1024, trustForMs: TRUST_MS, now });

  /** A replica that hears what the others tell. */
  async function replica(): Promise<TieredStore> {
    const link = await connectedLink(server.url);
    const store = new TieredStore({ memory: memoryOf(), redis: new RedisStore(link, { now }), link });
    open.push(store);
    await heard(store);
    return store;
  }

  /** Resolves when memory counts: what was written back is answered from there. */
  async function heard(store: TieredStore): Promise<void> {
    const entity = 'probe';
    await eventually(async () => {
      await store.put(scope, [put(entity, { ageMs: 0 })]).catch(() => {});
      return store.problem() === undefined && store.peek(scope, entity) !== ELSEWHERE;
    });
  }

  async function behind(): Promise<RedisStore> {
    const store = new RedisStore(await connectedLink(server.url), { now });
    open.push(store);
    return store;
  }

  function put(entity: string, { score = 0.5, ageMs = 0, job = '' }): ScorePut {
    const atMs = nowMs - ageMs;
    return {
      entity,
      stored: aScore({ score, featuresAsOfMs: atMs, scoredAtMs: atMs, keptUntilMs: nowMs + HOUR, job }),
    };
  }

  function peeked(store: TieredStore, entity: string): number | 'elsewhere' {
    const stored = store.peek(scope, entity);
    return stored === ELSEWHERE ? 'elsewhere' : stored.score;
  }

  async function fetched(store: TieredStore, ...entities: string[]): Promise<(number | undefined)[]> {
    return (await store.fetch(scope, entities, PATIENT_MS)).map((stored) => stored?.score);
  }

  test('what was fetched from Redis is answered from memory for a time, then Redis is asked again', async () => {
    const store = await replica();
    const redis = await behind();
    await redis.put(scope, [put('a', { score: 1, ageMs: 10 })]);
    expect(peeked(store, 'a')).toBe('elsewhere');
    expect(await fetched(store, 'none', 'a')).toEqual([undefined, 1]);
    await redis.put(scope, [put('a', { score: 2 })]);
    nowMs += TRUST_MS - 1;
    expect(peeked(store, 'a')).toBe(1);
    expect(await fetched(store, 'a')).toEqual([1]);
    nowMs += 1;
    expect(peeked(store, 'a')).toBe('elsewhere');
    expect(await fetched(store, 'a')).toEqual([2]);
    expect(peeked(store, 'a')).toBe(2);
    expect(peeked(store, 'none')).toBe('elsewhere');
  });

  test("a job's scores come into memory only where they replace what is there; what was written back comes", async () => {
    const store = await replica();
    await store.put(scope, [put('used', { score: 1, ageMs: 10 }), put('written back', { score: 2, ageMs: 10 })]);
    const nightly = { score: 3, job: 'nightly' };
    await store.put(scope, [put('used', nightly), put('unused', nightly)]);
    expect(peeked(store, 'used')).toBe(3);
    expect(peeked(store, 'unused')).toBe('elsewhere');
    expect(peeked(store, 'written back')).toBe(2);
    expect(await fetched(store, 'unused')).toEqual([3]);
  });

  test('what Redis does not take does not come into memory either', async () => {
    const store = await replica();
    const redis = await behind();
    await redis.put(scope, [put('newer', { score: 1 })]);
    await redis.invalidate({ kind: 'entities', model: scope.model, entities: ['invalid'], atMs: nowMs });
    const counts = await store.put(scope, [put('newer', { score: 2, ageMs: 5 }), put('invalid', { ageMs: 5 })]);
    expect(counts).toEqual({ stored: 0, outdated: 1, invalidated: 1 });
    expect(peeked(store, 'newer')).toBe('elsewhere');
    expect(peeked(store, 'invalid')).toBe('elsewhere');
  });

  test('an invalidation reaches the memory of other replicas', async () => {
    const [one, other] = [await replica(), await replica()];
    const entities = ['a', 'b', 'c', 'd'];
    await one.put(
      scope,
      entities.map((entity, i) => put(entity, { score: i, ageMs: 1000 * (4 - i) })),
    );
    await fetched(other, ...entities);
    const there = () => entities.filter((entity) => peeked(other, entity) !== 'elsewhere').join('');
    expect(there()).toBe('abcd');
    await one.invalidate({ kind: 'entities', model: scope.model, entities: ['b'], atMs: nowMs });
    await eventually(() => there() === 'acd');
    await one.invalidate({ kind: 'age', model: scope.model, scoredBeforeMs: nowMs - 3000 });
    await eventually(() => there() === 'cd');
    await one.invalidate({ kind: 'model', model: scope.model, atMs: nowMs - 2000 });
    await eventually(() => there() === 'd');
    expect(await fetched(other, ...entities)).toEqual([undefined, undefined, undefined, 3]);
    expect(await fetched(one, ...entities)).toEqual([undefined, undefined, undefined, 3]);
  });

  test('an invalidation of more entities than one message takes reaches all of them', async () => {
    const [one, other] = [await replica(), await replica()];
    const entities = Array.from({ length: 2500 }, (_, i) => `customer-${i}`);
    await one.put(
      scope,
      entities.map((entity) => put(entity, { ageMs: 1 })),
    );
    await fetched(other, ...entities);
    expect(await one.invalidate({ kind: 'entities', model: scope.model, entities, atMs: nowMs })).toBe(2500);
    await eventually(() => entities.every((entity) => peeked(other, entity) === 'elsewhere'));
  });

  /** A replica whose look-ups have been answered by Redis for long when it hears of the answer. */
  async function slowReplica(): Promise<{ store: TieredStore; answered: Promise<void>; release: () => void }> {
    const link = await connectedLink(server.url);
    const answered = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    class SlowRedis extends RedisStore {
      override async fetch(...args: Parameters<RedisStore['fetch']>) {
        const found = await super.fetch(...args);
        answered.resolve();
        await released.promise;
        return found;
      }
    }
    const store = new TieredStore({ memory: memoryOf(), redis: new SlowRedis(link, { now }), link });
    open.push(store);
    await heard(store);
    return { store, answered: answered.promise, release: released.resolve };
  }

  test('an invalidation that arrives while a score is on its way from Redis wins', async () => {
    const one = await replica();
    const { store, answered, release } = await slowReplica();
    await one.put(scope, [put('a', { ageMs: 10 })]);
    await store.put(scope, [put('b', { ageMs: 10 })]);
    const fetching = fetched(store, 'a');
    await answered;
    await one.invalidate({ kind: 'entities', model: scope.model, entities: ['a', 'b'], atMs: nowMs });
    await eventually(() => peeked(store, 'b') === 'elsewhere');
    release();
    expect(await fetching).toEqual([undefined]);
    expect(peeked(store, 'a')).toBe('elsewhere');
  });

  test('a score that was on its way while the channel was interrupted does not come into memory', async () => {
    const { store, answered, release } = await slowReplica();
    await (await behind()).put(scope, [put('a', { score: 4, ageMs: 10 })]);
    const fetching = fetched(store, 'a');
    await answered;
    await store.put(scope, [put('b', {})]);
    const client = server.client();
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    client.disconnect();
    await eventually(() => peeked(store, 'b') === 'elsewhere');
    await heard(store);
    release();
    expect(await fetching).toEqual([4]);
    expect(peeked(store, 'a')).toBe('elsewhere');
  });

  test('while Redis is away memory answers within its time, and keeps what is written back; the rest fails', async () => {
    const store = await replica();
    await store.put(scope, [put('a', { score: 1 })]);
    await server.kill();
    await eventually(() => store.problem() !== undefined);
    expect(peeked(store, 'a')).toBe(1);
    expect(await fetched(store, 'a')).toEqual([1]);
    await expect(fetched(store, 'b')).rejects.toMatchObject(UNAVAILABLE);
    const puts = [put('b', { score: 2 }), put('c', { score: 3, job: 'nightly' })];
    await expect(store.put(scope, puts)).rejects.toMatchObject(UNAVAILABLE);
    expect([peeked(store, 'b'), peeked(store, 'c')]).toEqual([2, 'elsewhere']);
    const invalidation = { kind: 'entities', model: scope.model, entities: ['a'], atMs: nowMs } as const;
    await expect(store.invalidate(invalidation)).rejects.toMatchObject(UNAVAILABLE);
    expect(peeked(store, 'a')).toBe('elsewhere');
    nowMs += TRUST_MS;
    expect(peeked(store, 'b')).toBe('elsewhere');
  });

  test('after Redis was away nothing is answered that an invalidation may have met meanwhile', async () => {
    const store = await replica();
    await store.put(scope, [put('a', { score: 1 })]);
    await server.kill();
    await eventually(() => store.problem() !== undefined);
    expect(peeked(store, 'a')).toBe(1);
    await RedisServer.start({ port: server.port });
    await heard(store);
    expect(peeked(store, 'a')).toBe('elsewhere');
    expect(await fetched(store, 'a')).toEqual([undefined]);
  });

  test('while only the channel is interrupted memory is not asked', async () => {
    const store = await replica();
    await store.put(scope, [put('a', { score: 1 })]);
    const client = server.client();
    // Nobody may subscribe any more; commands go on.
    await client.acl('SETUSER', 'default', '-subscribe');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(() => peeked(store, 'a') === 'elsewhere');
    expect(store.problem()).toBeUndefined();
    expect(await fetched(store, 'a')).toEqual([1]);
    expect(peeked(store, 'a')).toBe('elsewhere');
    await client.acl('SETUSER', 'default', '+subscribe');
    await heard(store);
    // Of before the interruption.
    expect(peeked(store, 'a')).toBe('elsewhere');
    expect(await fetched(store, 'a')).toEqual([1]);
    expect(peeked(store, 'a')).toBe(1);
    client.disconnect();
  });

  test('a message that nobody understands may have been an invalidation of anything', async () => {
    const store = await replica();
    const redis = await behind();
    await store.put(scope, [put('a', { score: 1 })]);
    const client = server.client();
    for (const message of ['hello', '{}', '{"from":"x","invalidation":{"kind":"entities","model":"churn"}}']) {
      await fetched(store, 'a');
      expect(peeked(store, 'a')).toBe(1);
      await client.publish(redis.keys.invalidations, message);
      await eventually(() => peeked(store, 'a') === 'elsewhere');
    }
    client.disconnect();
  });

  test('it starts without a Redis, and closes without one', async () => {
    await server.kill();
    const link = new RedisLink({ url: server.url, prefix: 'test', reason: 'STORE_UNAVAILABLE' });
    const store = new TieredStore({ memory: memoryOf(), redis: new RedisStore(link, { now }), link });
    open.push(store);
    await expect(fetched(store, 'a')).rejects.toMatchObject(UNAVAILABLE);
    await RedisServer.start({ port: server.port });
    await heard(store);
    expect(await fetched(store, 'a')).toEqual([undefined]);
  });
});
