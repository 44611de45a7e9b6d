// Features in Redis: what is sent, and what a Redis that is slow, gone or full of other things means to a caller.
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import type { RedisStoreDefinition } from '../../../src/config/feature-stores-file.ts';
import { type FeatureObserver, type LookUp, nobody } from '../../../src/features/feature-store.ts';
import { RedisFeatureStore } from '../../../src/features/redis-feature-store.ts';
import { RedisLink } from '../../../src/redis/redis-link.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { wantedOf } from '../../contract/feature-store.ts';
import { eventually } from '../../support/concurrently.ts';
import { describeWithRedis, RedisServer } from '../../support/redis-server.ts';

describeWithRedis('features in Redis', () => {
  const closing: (() => void)[] = [];

  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  async function opened(part: Partial<RedisStoreDefinition> = {}) {
    const server = await RedisServer.start();
    const client = new Redis(server.url);
    const link = new RedisLink({ url: server.url, prefix: 'other:', reason: 'FEATURES_UNAVAILABLE' });
    closing.push(
      () => client.disconnect(),
      () => link.close(),
    );
    await link.whenConnected(5000);
    const counts: Partial<Record<LookUp, number>> = {};
    const observer: FeatureObserver = {
      ...nobody,
      looked: (_store, outcome, entities) => {
        counts[outcome] = (counts[outcome] ?? 0) + entities;
      },
    };
    const lines: string[] = [];
    let now = 0;
    const store = new RedisFeatureStore({
      name: 'live',
      definition: { kind: 'redis', key: '{entity}', asOf: undefined, fields: new Map(), ...part },
      wanted: [wantedOf('income', 'number'), wantedOf('plan', 'text')],
      link,
      log: createLogger(
        { level: 'warn', format: 'json' } as never,
        { write: (line: string) => lines.push(line) } as never,
      ),
      observer,
      nowMs: () => now,
    });
    const pass = (ms: number): void => {
      now += ms;
    };
    return { server, client, store, counts, pass, logged: () => lines.map((line) => JSON.parse(line)) };
  }

  test('lie under the very keys and fields that were said', async () => {
    const { client, store } = await opened({ key: 'c:{entity}:{entity}', fields: new Map([['income', 'inc']]) });
    await client.hset('c:$&:$&', { inc: '3', income: '4', plan: 'basic' });
    const record = await store.get('$&', 1000);
    expect(Object.fromEntries(record?.values ?? [])).toEqual({ income: 3, plan: 'basic' });
  });

  test('hold since they are read where nothing says since when', async () => {
    const { client, store } = await opened();
    await client.hset('anna', { income: '3' });
    const before = Date.now();
    const record = await store.get('anna', 1000);
    expect(record?.asOfMs).toBeGreaterThanOrEqual(before);
    expect(record?.asOfMs).toBeLessThanOrEqual(Date.now());
  });

  test('that are asked for in one turn are asked for together, each entity once', async () => {
    const { client, store } = await opened();
    await client.hset('anna', { income: '3' });
    const before = await commandsOf(client);
    const records = await Promise.all(['anna', 'bert', 'anna'].map((entity) => store.get(entity, 1000)));
    expect(records.map((record) => record?.values.get('income'))).toEqual([3, undefined, 3]);
    expect((await commandsOf(client)) - before).toBe(2);
  });

  test('are asked for once an entity in many', async () => {
    const { client, store, counts } = await opened();
    await client.hset('anna', { income: '3' });
    const before = await commandsOf(client);
    await store.getMany(['anna', 'anna', '', 'bert'], ['income'], 1000);
    expect((await commandsOf(client)) - before).toBe(2);
    expect(counts).toEqual({ hit: 1, miss: 1 });
  });

  test('in a key of another type are a record that can not be read', async () => {
    const { client, store, counts } = await opened();
    await client.set('anna', 'a text');
    await client.hset('bert', { income: '3' });
    const [anna, bert] = await Promise.all([store.get('anna', 1000), store.get('bert', 1000)]);
    expect(anna).toBeUndefined();
    expect(bert?.values.get('income')).toBe(3);
    expect(counts).toEqual({ corrupt: 1, hit: 1 });
  });

  test('that can not be read are logged once a minute', async () => {
    const { client, store, pass, logged } = await opened();
    await client.hset('anna', { income: 'much' });
    for (const ms of [0, 30_000, 29_999, 1]) {
      pass(ms);
      await store.get('anna', 1000);
    }
    expect(logged()).toMatchObject([
      { store: 'live', records: 1, entity: 'anna', problem: 'income: expected a number, found text "much"' },
      { store: 'live', records: 3 },
    ]);
  });

  test('of a Redis that does not answer are unavailable when the caller has waited, each caller by itself', async () => {
    const { server, store, counts } = await opened();
    server.pause();
    const order: string[] = [];
    const outcomes = [300, 30].map((withinMs) =>
      store.get('anna', withinMs).catch((error: unknown) => {
        order.push(`${withinMs}`);
        return error;
      }),
    );
    for (const error of await Promise.all(outcomes)) {
      expect(error).toMatchObject({ kind: 'unavailable', reason: 'FEATURES_UNAVAILABLE' });
    }
    expect(order).toEqual(['30', '300']);
    await expect(store.getMany(['anna', 'bert'], ['income'], 30)).rejects.toMatchObject({
      reason: 'FEATURES_UNAVAILABLE',
    });
    expect(counts).toEqual({ unavailable: 4 });
    server.resume();
  });

  test('of a Redis that refuses to tell are unavailable, and no bad record', async () => {
    const { client, store, counts } = await opened();
    await client.hset('anna', { income: '3' });
    await client.call('acl', 'setuser', 'default', '-hmget');
    await expect(store.get('anna', 1000)).rejects.toMatchObject({ reason: 'FEATURES_UNAVAILABLE' });
    await expect(store.getMany(['anna'], ['income'], 1000)).rejects.toMatchObject({ reason: 'FEATURES_UNAVAILABLE' });
    expect(counts).toEqual({ unavailable: 2 });
  });

  test('of a Redis that is gone are unavailable at once, and there again when it is', async () => {
    const { server, store } = await opened();
    await server.kill();
    await expect(store.get('anna', 1000)).rejects.toMatchObject({ reason: 'FEATURES_UNAVAILABLE' });
    await eventually(() => store.problem() !== undefined);
    const again = await RedisServer.start({ port: server.port });
    const client = new Redis(again.url);
    await client.hset('anna', { income: '3' });
    client.disconnect();
    await eventually(() => store.problem() === undefined);
    expect((await store.get('anna', 1000))?.values.get('income')).toBe(3);
  });
});

async function commandsOf(client: Redis): Promise<number> {
  const [, calls = '0'] = /cmdstat_hmget:calls=(\d+)/.exec(await client.info('commandstats')) ?? [];
  return Number(calls);
}
