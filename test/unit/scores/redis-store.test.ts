// What the Redis store does beyond the contract of all stores: races, several replicas, what others wrote, limits.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LinkFailure, RedisLink } from '../../../src/redis/redis-link.ts';
import { RedisStore, type RedisStoreOptions } from '../../../src/scores/redis-store.ts';
import type { ScoreScope } from '../../../src/scores/score-store.ts';
import { eventually } from '../../support/concurrently.ts';
import { connectedLink, PATIENT_MS } from '../../support/redis-link.ts';
import { describeWithRedis, RedisServer } from '../../support/redis-server.ts';
import { aScope, aScore } from '../../support/stored-scores.ts';

const HOUR = 3_600_000;

describeWithRedis('the Redis store', () => {
  let server: RedisServer;
  let models = 0;
  const open: RedisStore[] = [];
  let failures: LinkFailure[] = [];

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    failures = [];
    for (const store of open.splice(0)) await store.close();
  });
  afterAll(() => server.stop());

  async function storeOf(options: RedisStoreOptions = {}): Promise<{ store: RedisStore; link: RedisLink }> {
    const observer = { failed: (failure: LinkFailure) => failures.push(failure), breaker: () => {} };
    const link = await connectedLink(server.url, { observer });
    const store = new RedisStore(link, { statsForMs: 0, ...options });
    open.push(store);
    return { store, link };
  }

  const newScope = () => aScope({ model: `model-${++models}` });

  const scoreAt = (ms: number, score = 0.5) =>
    aScore({ score, featuresAsOfMs: ms, scoredAtMs: ms, keptUntilMs: Date.now() + HOUR });

  async function scoreOf(store: RedisStore, scope: ScoreScope, entity: string): Promise<number | undefined> {
    const [stored] = await store.fetch(scope, [entity], PATIENT_MS);
    return stored?.score;
  }

  test('replicas see what others put, and what others invalidated, at once', async () => {
    const { store: one } = await storeOf();
    const { store: other } = await storeOf();
    const scope = newScope();
    const nowMs = Date.now();
    await one.put(scope, [
      { entity: 'a', stored: scoreAt(nowMs, 1) },
      { entity: 'b', stored: scoreAt(nowMs, 2) },
    ]);
    expect(await scoreOf(other, { ...scope }, 'a')).toBe(1);
    await other.invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: nowMs });
    expect(await scoreOf(one, scope, 'a')).toBeUndefined();
    await other.invalidate({ kind: 'model', model: scope.model, atMs: nowMs });
    expect(await scoreOf(one, scope, 'b')).toBeUndefined();
  });

  test('of puts and invalidations in any order at once, nothing that was invalidated is left', async () => {
    const stores = [(await storeOf()).store, (await storeOf()).store, (await storeOf()).store];
    const nowMs = Date.now();
    for (let round = 0; round < 30; round++) {
      const scope = newScope();
      const entities = Array.from({ length: 20 }, (_, i) => `customer-${i}`);
      const puts = entities.map((entity) => ({ entity, stored: scoreAt(nowMs - 1) }));
      const [one, two, three] = stores as [RedisStore, RedisStore, RedisStore];
      // Each to a scope that Redis has not seen yet.
      await Promise.all([
        one.put(scope, puts),
        two.invalidate({ kind: 'entities', model: scope.model, entities, atMs: nowMs }),
        three.put({ ...scope, digest: 'd2' }, puts),
        one.put({ ...scope, view: 'v2' }, puts),
      ]);
      for (const each of [scope, { ...scope, digest: 'd2' }, { ...scope, view: 'v2' }]) {
        expect(await three.fetch(each, entities, PATIENT_MS)).toEqual(entities.map(() => undefined));
      }
    }
  });

  test('of puts at once the one of the latest features is left', async () => {
    const stores = [(await storeOf()).store, (await storeOf()).store];
    const nowMs = Date.now();
    for (let round = 0; round < 20; round++) {
      const scope = newScope();
      const ages = [3, 1, 0, 2, 4];
      await Promise.all(
        ages.map((age, i) => {
          const stored = scoreAt(nowMs - age, age);
          return (stores[i % 2] as RedisStore).put(scope, [{ entity: 'a', stored }]);
        }),
      );
      expect(await scoreOf(stores[0] as RedisStore, scope, 'a')).toBe(0);
    }
  });

  test('names that look like parts of keys never meet', async () => {
    const { store } = await storeOf();
    const nowMs = Date.now();
    const names = ['x', 'x:a', 'x%3Aa', 'x:a:b', 'ä/*?[x]'];
    const scopes = names.map((model) => aScope({ model: `names-${model}` }));
    for (const [i, scope] of scopes.entries()) {
      for (const entity of ['b', 'a:b', '*']) await store.put(scope, [{ entity, stored: scoreAt(nowMs, i) }]);
    }
    const gone = await store.invalidate({ kind: 'entities', model: 'names-x', entities: ['a:b', '*'], atMs: nowMs });
    expect(gone).toBe(2);
    for (const [i, scope] of scopes.entries()) {
      const there = [i, i === 0 ? undefined : i, i === 0 ? undefined : i];
      expect([
        await scoreOf(store, scope, 'b'),
        await scoreOf(store, scope, 'a:b'),
        await scoreOf(store, scope, '*'),
      ]).toEqual(there);
    }
    // Of the same features again: refused where it was invalidated, and nowhere else.
    for (const [i, scope] of scopes.entries()) {
      const puts = ['b', 'a:b', '*'].map((entity) => ({ entity, stored: scoreAt(nowMs, i) }));
      expect((await store.put(scope, puts)).invalidated).toBe(i === 0 ? 2 : 0);
    }
  });

  test('what was invalidated by age is in nobody’s way', async () => {
    const { store } = await storeOf();
    const scope = newScope();
    const nowMs = Date.now();
    await store.put(scope, [{ entity: 'a', stored: { ...scoreAt(nowMs - 1000, 1), featuresAsOfMs: nowMs } }]);
    await store.invalidate({ kind: 'age', model: scope.model, scoredBeforeMs: nowMs });
    // Of earlier features, but scored later.
    const later = { ...scoreAt(nowMs, 2), featuresAsOfMs: nowMs - 5000 };
    expect(await store.put(scope, [{ entity: 'a', stored: later }])).toMatchObject({ stored: 1 });
    expect(await scoreOf(store, scope, 'a')).toBe(2);
  });

  test('what expired by our clock is gone though Redis, whose clock is another, has it still', async () => {
    let nowMs = Date.now();
    const { store } = await storeOf({ now: () => nowMs });
    const scope = newScope();
    await store.put(scope, [{ entity: 'a', stored: scoreAt(nowMs, 1) }]);
    nowMs += 2 * HOUR;
    expect(await scoreOf(store, scope, 'a')).toBeUndefined();
    const older = { ...scoreAt(nowMs - 5 * HOUR, 2), keptUntilMs: nowMs + HOUR };
    expect(await store.put(scope, [{ entity: 'a', stored: older }])).toMatchObject({ stored: 1 });
    expect(await scoreOf(store, scope, 'a')).toBe(2);
  });

  test('an entry goes from Redis when it expires, and its tombstone after a time as well', async () => {
    const { store, link } = await storeOf({ tombstonesForMs: 1 });
    const scope = newScope();
    const nowMs = Date.now();
    await store.put(scope, [{ entity: 'a', stored: { ...scoreAt(nowMs), keptUntilMs: nowMs + 20 } }]);
    await store.invalidate({ kind: 'entities', model: scope.model, entities: ['b'], atMs: nowMs });
    const keys = [store.keys.entry(scope, 'a'), store.keys.tombstone(scope.model, 'b')];
    await eventually(async () => (await link.call(['exists', ...keys], PATIENT_MS)) === 0);
  });

  test('what is no score counts as absent, is counted, and is in nobody’s way', async () => {
    const { store, link } = await storeOf();
    const scope = newScope();
    const nowMs = Date.now();
    const key = (entity: string) => store.keys.entry(scope, entity);
    await store.put(scope, [
      { entity: 'cut', stored: scoreAt(nowMs) },
      { entity: 'good', stored: scoreAt(nowMs, 7) },
    ]);
    const whole = (await link.call(['get', key('cut')], PATIENT_MS)) as Buffer;
    await link.call(['set', key('cut'), whole.subarray(0, -1)], PATIENT_MS);
    await link.call(['set', key('text'), 'hello'], PATIENT_MS);
    await link.call(['set', key('empty'), ''], PATIENT_MS);
    await link.call(['set', key('other layout'), Buffer.concat([Buffer.of(9), whole.subarray(1)])], PATIENT_MS);
    await link.call(['hset', key('hash'), 'a', '1'], PATIENT_MS);
    const entities = ['cut', 'text', 'empty', 'other layout', 'hash', 'good'];
    const read = async () => (await store.fetch(scope, entities, PATIENT_MS)).map((stored) => stored?.score);
    expect(await read()).toEqual([undefined, undefined, undefined, undefined, undefined, 7]);
    // A key of another type looks like none.
    expect(failures).toEqual(Array(4).fill('garbage'));
    const puts = entities.map((entity) => ({ entity, stored: scoreAt(nowMs, 8) }));
    expect(await store.put(scope, puts)).toEqual({ stored: 6, outdated: 0, invalidated: 0 });
    expect(await read()).toEqual(Array(6).fill(8));
  });

  test('where nobody can tell what was invalidated nothing is answered, until the next invalidation', async () => {
    const { store, link } = await storeOf();
    const scope = newScope();
    const nowMs = Date.now();
    await link.call(['set', store.keys.floors(scope.model), 'hello'], PATIENT_MS);
    await store.put(scope, [{ entity: 'a', stored: scoreAt(nowMs, 3) }]);
    expect(await scoreOf(store, scope, 'a')).toBeUndefined();
    expect(failures).toEqual(['garbage']);
    await store.invalidate({ kind: 'model', model: scope.model, atMs: nowMs - 1 });
    expect(await scoreOf(store, scope, 'a')).toBe(3);
  });

  test('keys of ours that others made into something else do not stop puts of other models', async () => {
    const { store, link } = await storeOf();
    const scope = newScope();
    const nowMs = Date.now();
    await link.call(['hset', store.keys.floors(scope.model), 'a', '1'], PATIENT_MS);
    await link.call(['hset', store.keys.tombstone(scope.model, 'a'), 'a', '1'], PATIENT_MS);
    expect(await store.put(scope, [{ entity: 'a', stored: scoreAt(nowMs) }])).toMatchObject({ stored: 1 });
    expect(await store.invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: nowMs })).toBe(1);
    await store.invalidate({ kind: 'model', model: scope.model, atMs: nowMs });
    expect(await store.put(scope, [{ entity: 'b', stored: scoreAt(nowMs) }])).toMatchObject({ invalidated: 1 });
  });

  test('scopes whose last entry has long expired are forgotten', async () => {
    let nowMs = Date.now();
    const { store } = await storeOf({ now: () => nowMs });
    const scope = newScope();
    await store.put(scope, [{ entity: 'a', stored: { ...scoreAt(nowMs), keptUntilMs: nowMs + HOUR } }]);
    const known = async () => (await store.stats()).some((stats) => stats.scope.model === scope.model);
    expect(await known()).toBe(true);
    nowMs += 3 * HOUR;
    expect(await known()).toBe(false);
  });

  test('figures are good for a while, then taken anew', async () => {
    let nowMs = Date.now();
    const { store } = await storeOf({ statsForMs: 30_000, now: () => nowMs });
    const scope = newScope();
    const entries = async () => (await store.stats()).find((stats) => stats.scope.model === scope.model)?.entries;
    await store.put(scope, [{ entity: 'a', stored: scoreAt(nowMs) }]);
    expect(await entries()).toBe(1);
    await store.put(scope, [{ entity: 'b', stored: scoreAt(nowMs) }]);
    expect(await entries()).toBe(1);
    nowMs += 30_000;
    expect(await entries()).toBe(2);
  });

  test('of a large store a sample is looked at', async () => {
    const { store, link } = await storeOf();
    const scope = newScope();
    const next = { ...scope, digest: 'd2' };
    const nowMs = Date.now();
    const puts = Array.from({ length: 30_000 }, (_, i) => ({ entity: `c${i}`, stored: scoreAt(nowMs - 120_000) }));
    await store.put(scope, puts);
    await store.put(next, puts.slice(0, 15_000));
    const stats = await store.stats();
    const [whole, half] = [scope, next].map(({ model, digest }) =>
      stats.find((each) => each.scope.model === model && each.scope.digest === digest),
    );
    expect(whole?.estimated).toBe(true);
    expect(whole?.entries).toBeGreaterThan(24_000);
    expect(whole?.entries).toBeLessThan(36_000);
    expect(half?.entries).toBeGreaterThan(11_000);
    expect(half?.entries).toBeLessThan(19_000);
    expect(whole?.ages.indexOf(whole.entries)).toBe(1);
    const { entities, covered } = await store.coverage(scope, next);
    expect(entities).toBeGreaterThanOrEqual(10_000);
    expect(entities).toBeLessThan(12_000);
    expect(covered / entities).toBeGreaterThan(0.45);
    expect(covered / entities).toBeLessThan(0.55);
    await link.call(['flushall'], PATIENT_MS);
  });
});
