// A Redis that stands still, dies, comes back empty, is full, or answers nonsense: whoever asks is told so in time, and all is
// well again once Redis is.

import { createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { BreakerState } from '../../src/redis/breaker.ts';
import { type LinkFailure, RedisLink } from '../../src/redis/redis-link.ts';
import { RedisStore } from '../../src/scores/redis-store.ts';
import type { ScorePut } from '../../src/scores/score-store.ts';
import { eventually } from '../support/concurrently.ts';
import { connectedLink, PATIENT_MS } from '../support/redis-link.ts';
import { describeWithRedis, RedisServer } from '../support/redis-server.ts';
import { aScope, aScore } from '../support/stored-scores.ts';

const HOUR = 3_600_000;
const UNAVAILABLE = { kind: 'unavailable', reason: 'STORE_UNAVAILABLE' };
const scope = aScope();

let open: RedisStore[] = [];
let failures: LinkFailure[] = [];
let states: BreakerState[] = [];

const observer = {
  failed: (failure: LinkFailure) => failures.push(failure),
  breaker: (state: BreakerState) => states.push(state),
};

afterEach(async () => {
  for (const store of open) await store.close();
  open = [];
  failures = [];
  states = [];
});

function keep(store: RedisStore): RedisStore {
  open.push(store);
  return store;
}

async function storeOn(server: RedisServer, silentMs = PATIENT_MS): Promise<RedisStore> {
  return keep(new RedisStore(await connectedLink(server.url, { observer, silentMs }), { statsForMs: 0 }));
}

function putsOf(count: number, score = 0.5): ScorePut[] {
  const nowMs = Date.now();
  const stored = aScore({ score, featuresAsOfMs: nowMs, scoredAtMs: nowMs, keptUntilMs: nowMs + HOUR });
  return Array.from({ length: count }, (_, i) => ({ entity: `customer-${i}`, stored }));
}

/** Look-ups one after the other on so many lanes until told to stop; anything but an answer and UNAVAILABLE fails. */
function traffic(store: RedisStore, lanes: number) {
  const tally = { hits: 0, misses: 0, unavailable: 0 };
  let stopped = false;
  const lane = async (_: unknown, number: number) => {
    while (!stopped) {
      try {
        const [stored] = await store.fetch(scope, [`customer-${number}`], 5);
        if (stored === undefined) tally.misses++;
        else tally.hits++;
      } catch (error) {
        expect(error).toMatchObject(UNAVAILABLE);
        tally.unavailable++;
        // As a request that the model answers then.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  };
  const done = Promise.all(Array.from({ length: lanes }, lane));
  return {
    tally,
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

describeWithRedis('a Redis that', () => {
  test('stands still in the midst of traffic: every look-up ends, most of them at once, and it is found again', async () => {
    const server = await RedisServer.start();
    const store = await storeOn(server, 500);
    await store.put(scope, putsOf(16));
    const { tally, stop } = traffic(store, 16);
    await eventually(() => tally.hits > 500);
    failures = [];
    states = [];
    server.pause();
    // Each look-up with an end of its own: none of them waits for Redis to go on.
    const unavailable = tally.unavailable;
    await eventually(() => tally.unavailable > unavailable + 1000);
    expect(states).toContain('open');
    expect(store.problem()).toBeDefined();
    const timeouts = failures.filter((failure) => failure === 'timeout').length;
    expect(failures.filter((failure) => failure === 'refused').length).toBeGreaterThan(timeouts);
    server.resume();
    const before = tally.hits;
    await eventually(() => tally.hits > before + 500);
    expect(store.problem()).toBeUndefined();
    await stop();
    expect(tally.misses).toBe(0);
  });

  test('stands still and goes on is found again though nobody calls', async () => {
    const server = await RedisServer.start();
    const store = await storeOn(server);
    server.pause();
    while (store.problem() === undefined) await expect(store.fetch(scope, ['a'], 5)).rejects.toMatchObject(UNAVAILABLE);
    server.resume();
    await eventually(() => store.problem() === undefined);
    expect(await store.fetch(scope, ['a'], PATIENT_MS)).toEqual([undefined]);
  });

  test('stands still: puts and invalidations end as well', async () => {
    const server = await RedisServer.start();
    const link = await connectedLink(server.url, { observer });
    const store = keep(new RedisStore(link, { writeWithinMs: 20 }));
    server.pause();
    await expect(store.put(scope, putsOf(1000))).rejects.toMatchObject(UNAVAILABLE);
    const invalidation = { kind: 'entities', model: scope.model, entities: ['a'], atMs: 0 } as const;
    await expect(store.invalidate(invalidation)).rejects.toMatchObject(UNAVAILABLE);
    await expect(store.stats()).rejects.toMatchObject(UNAVAILABLE);
    await expect(store.coverage(scope, scope)).rejects.toMatchObject(UNAVAILABLE);
    server.resume();
  });

  test('is not there when the store is made: the store fails at once, and works once Redis is there', async () => {
    const server = await RedisServer.start();
    await server.kill();
    const link = new RedisLink({ url: server.url, prefix: 'test', reason: 'STORE_UNAVAILABLE' });
    const store = keep(new RedisStore(link));
    await eventually(() => store.problem()?.includes('ECONNREFUSED') === true);
    await expect(store.fetch(scope, ['a'], PATIENT_MS)).rejects.toMatchObject(UNAVAILABLE);
    await expect(store.put(scope, putsOf(1))).rejects.toMatchObject(UNAVAILABLE);
    await RedisServer.start({ port: server.port });
    await eventually(() => store.problem() === undefined);
    expect(await store.put(scope, putsOf(1))).toEqual({ stored: 1, outdated: 0, invalidated: 0 });
  });

  test('dies under traffic and comes back empty: look-ups fail, then miss, and puts go on without its knowing our scripts', async () => {
    const server = await RedisServer.start();
    const store = await storeOn(server);
    await store.put(scope, putsOf(4));
    const { tally, stop } = traffic(store, 4);
    await eventually(() => tally.hits > 100);
    await server.kill();
    await eventually(() => tally.unavailable > 100);
    await RedisServer.start({ port: server.port });
    await eventually(() => tally.misses > 100);
    expect(await store.put(scope, putsOf(4, 0.75))).toEqual({ stored: 4, outdated: 0, invalidated: 0 });
    const before = tally.hits;
    await eventually(() => tally.hits > before + 100);
    await stop();
  });

  test('is full refuses puts by name, goes on answering, and takes invalidations', async () => {
    const server = await RedisServer.start({ maxmemory: '3mb' });
    const store = await storeOn(server);
    await store.put(scope, putsOf(1));
    const fill = async () => {
      for (let version = 0; ; version++) await store.put({ ...scope, digest: `d-${version}` }, putsOf(1000));
    };
    const full = fill();
    await expect(full).rejects.toMatchObject(UNAVAILABLE);
    await expect(full).rejects.toThrow("command not allowed when used memory > 'maxmemory'");
    // Not a byte of room any more, whatever buffers of connections have given back meanwhile.
    const client = server.client();
    await client.config('SET', 'maxmemory', '1');
    client.disconnect();
    const [stored] = await store.fetch(scope, ['customer-0'], PATIENT_MS);
    expect(stored?.score).toBe(0.5);
    // It is there, and says why: nobody is kept from asking.
    expect(store.problem()).toBeUndefined();
    await expect(store.put(scope, putsOf(1))).rejects.toThrow('maxmemory');
    const atMs = Date.now() + 1;
    const gone = await store.invalidate({ kind: 'entities', model: scope.model, entities: ['customer-0'], atMs });
    expect(gone).toBeGreaterThan(1);
    await store.invalidate({ kind: 'model', model: scope.model, atMs });
    expect(await store.fetch(scope, ['customer-0', 'customer-1'], PATIENT_MS)).toEqual([undefined, undefined]);
  });

  test('wants a password that it is not given: the store says so', async () => {
    const server = await RedisServer.start({ args: ['--requirepass', 'secret'] });
    const store = keep(new RedisStore(new RedisLink({ url: server.url, prefix: 'test', reason: 'STORE_UNAVAILABLE' })));
    await eventually(() => store.problem()?.includes('NOAUTH') === true);
    await expect(store.fetch(scope, ['a'], PATIENT_MS)).rejects.toMatchObject(UNAVAILABLE);
    const url = server.url.replace('//', '//:secret@');
    const admitted = keep(new RedisStore(await connectedLink(url)));
    expect(await admitted.fetch(scope, ['a'], PATIENT_MS)).toEqual([undefined]);
  });
});

test('what answers is no Redis: calls fail, and nothing else does', async () => {
  const server = await listen('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  const { port } = server.address() as { port: number };
  const store = keep(
    new RedisStore(new RedisLink({ url: `redis://127.0.0.1:${port}`, prefix: 'test', reason: 'STORE_UNAVAILABLE' })),
  );
  await eventually(() => store.problem()?.startsWith('not connected: ') === true);
  await expect(store.fetch(scope, ['a'], PATIENT_MS)).rejects.toMatchObject(UNAVAILABLE);
  await new Promise((resolve) => server.close(resolve));
});

function listen(answer: string): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(answer));
    });
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
