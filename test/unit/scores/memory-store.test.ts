import { afterEach, describe, expect, it, vi } from 'vitest';
import { MemoryStore, type MemoryStoreOptions } from '../../../src/scores/memory-store.ts';
import type { ScoreScope, StoredScore } from '../../../src/scores/score-store.ts';
import type { Tensor } from '../../../src/tensor.ts';
import { aScope, aScore } from '../../support/stored-scores.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const scope = aScope();
const second = aScope({ version: 2, digest: 'd2' });

const stores: MemoryStore[] = [];
let nowMs = 1_000_000_000;

function makeStore(options: Partial<MemoryStoreOptions> = {}): MemoryStore {
  nowMs = 1_000_000_000;
  const store = new MemoryStore({ maxEntries: 100_000, maxBytes: 100 * MIB, now: () => nowMs, ...options });
  stores.push(store);
  return store;
}

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

/** Computed now from features of now, kept for an hour. */
function score(fields: Partial<StoredScore> = {}): StoredScore {
  return aScore({ scoredAtMs: nowMs, featuresAsOfMs: nowMs, keptUntilMs: nowMs + HOUR_MS, ...fields });
}

const put = (store: MemoryStore, of: ScoreScope, entity: string, fields: Partial<StoredScore> = {}) =>
  store.putOne(of, { entity, stored: score(fields) });

const has = (store: MemoryStore, of: ScoreScope, ...entities: string[]) =>
  entities.map((entity) => store.peek(of, entity) !== undefined);

function fill(store: MemoryStore, of: ScoreScope, count: number, fields: Partial<StoredScore> = {}): void {
  for (let number = 0; number < count; number++) put(store, of, `customer-${number}`, fields);
}

const countOf = (store: MemoryStore, of: ScoreScope, count: number) =>
  Array.from({ length: count }, (_, number) => store.peek(of, `customer-${number}`)).filter(Boolean).length;

const evictionsOf = async (store: MemoryStore, of: ScoreScope) =>
  (await store.stats()).find((stats) => stats.scope.digest === of.digest)?.evictions;

const tensorOf = (data: Tensor['data']): ReadonlyMap<string, Tensor> =>
  new Map([['p', { type: 'float32', dims: [data.length], data }]]);

describe('limits', () => {
  it('what was not asked for the longest gives way', async () => {
    const store = makeStore({ maxEntries: 3 });
    for (const entity of ['a', 'b', 'c']) put(store, scope, entity);
    store.peek(scope, 'a');
    put(store, scope, 'b', { score: 2 });
    put(store, scope, 'd');
    expect(has(store, scope, 'a', 'b', 'c', 'd')).toEqual([true, true, false, true]);
    expect(await evictionsOf(store, scope)).toBe(1);
  });

  it('counting and comparing scopes is no use of entries', async () => {
    const store = makeStore({ maxEntries: 3 });
    for (const entity of ['a', 'b', 'c']) put(store, scope, entity);
    put(store, second, 'a');
    expect(has(store, scope, 'a', 'b', 'c')).toEqual([false, true, true]);
    await store.coverage(second, scope);
    await store.coverage(scope, second);
    await store.stats();
    put(store, scope, 'd');
    expect(has(store, scope, 'b', 'c', 'd')).toEqual([false, true, true]);
  });

  it('entries of all scopes together are as many as they may be, and no more', () => {
    const store = makeStore({ maxEntries: 30_000 });
    fill(store, scope, 40_000);
    expect(store.held.entries).toBe(30_000);
    expect(countOf(store, scope, 40_000)).toBe(30_000);
    // About the oldest went: of the older half of what remains most are there, of the newest all.
    const newest = Array.from({ length: 5000 }, (_, number) => `customer-${39_999 - number}`);
    expect(has(store, scope, ...newest)).not.toContain(false);
    expect(countOf(store, scope, 5000)).toBeLessThan(50);
  });

  it('a small scope keeps what it has beside one that is refilled', async () => {
    const store = makeStore({ maxEntries: 10_000 });
    fill(store, second, 100);
    fill(store, scope, 30_000);
    expect(countOf(store, second, 100)).toBe(100);
    expect(await evictionsOf(store, second)).toBe(0);
    expect(await evictionsOf(store, scope)).toBe(20_100);
  });

  it('a new scope gets its half beside a full one', () => {
    const store = makeStore({ maxEntries: 10_000 });
    fill(store, scope, 10_000);
    fill(store, second, 5000);
    expect(countOf(store, second, 5000)).toBe(5000);
    expect(countOf(store, scope, 10_000)).toBe(5000);
  });

  it('bytes are kept as entries are; the scope that takes most of them gives way', () => {
    const store = makeStore({ maxBytes: MIB });
    fill(store, second, 10, { outputs: tensorOf(new Float32Array(200)) });
    fill(store, scope, 100_000);
    expect(store.held.bytes).toBeLessThanOrEqual(MIB);
    expect(store.held.bytes).toBeGreaterThan(MIB * 0.99);
    expect(countOf(store, second, 10)).toBe(10);
    // Few entries with large outputs are what gives way beside many small ones.
    const large = tensorOf(new Float32Array(900));
    const store2 = makeStore({ maxBytes: MIB });
    fill(store2, scope, 1000);
    fill(store2, second, 1000, { outputs: large });
    expect(store2.held.bytes).toBeLessThanOrEqual(MIB);
    expect(countOf(store2, scope, 1000)).toBe(1000);
  });

  it('long entities count by their length', async () => {
    const store = makeStore();
    put(store, scope, 'x'.repeat(1000));
    const ascii = store.held.bytes;
    put(store, scope, 'ж'.repeat(1000));
    expect(ascii).toBeGreaterThan(1000);
    expect(store.held.bytes - ascii).toBe(ascii + 1000);
    const [stats] = await store.stats();
    expect(stats?.bytes).toBe(store.held.bytes);
  });

  it('bytes of what was replaced are free', () => {
    const store = makeStore();
    put(store, scope, 'a');
    const { bytes } = store.held;
    put(store, scope, 'a', { outputs: tensorOf(new Float32Array(100)) });
    expect(store.held.bytes).toBeGreaterThan(bytes + 400);
    put(store, scope, 'a');
    expect(store.held.bytes).toBe(bytes);
  });

  it('one entry can’t drive out all the others', async () => {
    const store = makeStore({ maxBytes: MIB });
    fill(store, scope, 1000);
    put(store, scope, 'customer-7');
    const whole = { outputs: tensorOf(new Float32Array(MIB / 8)) };
    nowMs++;
    expect(put(store, scope, 'large', whole)).toBe('stored');
    expect(put(store, scope, 'customer-7', whole)).toBe('stored');
    // What was there is replaced, if by nothing.
    expect(has(store, scope, 'large', 'customer-7', 'customer-8')).toEqual([false, false, true]);
    expect(countOf(store, scope, 1000)).toBe(999);
    expect(await evictionsOf(store, scope)).toBe(2);
  });

  it('what was gone already is not counted as evicted', async () => {
    const store = makeStore({ maxEntries: 100 });
    fill(store, scope, 100, { keptUntilMs: nowMs + 1000 });
    nowMs += 1000;
    for (let number = 0; number < 100; number++) put(store, scope, `new-${number}`);
    expect(store.held.entries).toBe(100);
    expect(await evictionsOf(store, scope)).toBe(0);
  });
});

describe('what is kept', () => {
  it('is a copy of outputs that are a part of something larger', () => {
    const store = makeStore();
    const batch = new Float32Array(64).fill(3);
    put(store, scope, 'a', { outputs: tensorOf(batch.subarray(2, 4)) });
    batch.fill(0);
    const kept = store.peek(scope, 'a')?.outputs?.get('p')?.data as Float32Array;
    expect([...kept]).toEqual([3, 3]);
    expect(kept.buffer.byteLength).toBe(8);
  });

  it('has the names of jobs, of so many at least', () => {
    const store = makeStore();
    for (let number = 0; number < 66_000; number++) put(store, scope, `${number}`, { job: `job-${number}` });
    expect(store.peek(scope, '0')?.job).toBe('job-0');
    expect(store.peek(scope, '64999')?.job).toBe('job-64999');
    expect(store.peek(scope, '65999')?.job).toBe('');
    put(store, scope, 'again', { job: 'job-5' });
    expect(store.peek(scope, 'again')?.job).toBe('job-5');
  });
});

describe('an invalidation', () => {
  it('of a model, or by age, is heeded before it resolves', async () => {
    const store = makeStore();
    fill(store, scope, 20_000);
    const done = store.invalidate({ kind: 'model', model: scope.model, atMs: nowMs });
    expect(countOf(store, scope, 20_000)).toBe(0);
    expect(await done).toBe(20_000);
    nowMs++;
    fill(store, scope, 20_000);
    const aged = store.invalidate({ kind: 'age', model: scope.model, scoredBeforeMs: nowMs + 1 });
    expect(countOf(store, scope, 20_000)).toBe(0);
    expect(await aged).toBe(20_000);
    expect(store.held).toEqual({ entries: 0, bytes: 0 });
  });

  it('counts what it took, and not what was gone before', async () => {
    const store = makeStore();
    put(store, scope, 'expired', { keptUntilMs: nowMs + 10 });
    put(store, scope, 'a', { featuresAsOfMs: nowMs - 10 });
    put(store, scope, 'b');
    nowMs += 10;
    const entities = ['expired', 'a', 'unknown'];
    expect(await store.invalidate({ kind: 'entities', model: scope.model, entities, atMs: nowMs })).toBe(1);
    put(store, scope, 'late', { keptUntilMs: nowMs + 10, featuresAsOfMs: nowMs - 5 });
    nowMs += 10;
    expect(await store.invalidate({ kind: 'model', model: scope.model, atMs: nowMs })).toBe(1);
  });

  it('that can’t be remembered for its entity is heeded for all of the model', async () => {
    const store = makeStore({ maxTombstones: 2, tombstonesForMs: HOUR_MS });
    const forget = (entity: string) =>
      store.invalidate({ kind: 'entities', model: scope.model, entities: [entity], atMs: nowMs });
    const atMs = nowMs;
    await forget('a');
    nowMs += 1000;
    await forget('b');
    expect(put(store, scope, 'other', { featuresAsOfMs: atMs })).toBe('stored');
    await forget('c');
    // 'a' is no longer known one by one.
    expect(put(store, scope, 'a', { featuresAsOfMs: atMs })).toBe('invalidated');
    expect(put(store, scope, 'another', { featuresAsOfMs: atMs })).toBe('invalidated');
    expect(put(store, scope, 'another', { featuresAsOfMs: atMs + 1 })).toBe('stored');
    expect(put(store, scope, 'b', { featuresAsOfMs: atMs + 1000 })).toBe('invalidated');
    expect(put(store, aScope({ model: 'other' }), 'a', { featuresAsOfMs: atMs })).toBe('stored');
    // Until it would have been forgotten in any case.
    nowMs = atMs + HOUR_MS;
    expect(put(store, scope, 'another one', { featuresAsOfMs: atMs })).toBe('stored');
  });

  it('of entities is forgotten when nothing from before can be on its way', async () => {
    const store = makeStore({ tombstonesForMs: HOUR_MS });
    const featuresAsOfMs = nowMs;
    await store.invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: nowMs });
    nowMs += HOUR_MS - 1;
    expect(put(store, scope, 'a', { featuresAsOfMs })).toBe('invalidated');
    nowMs += 1;
    expect(put(store, scope, 'a', { featuresAsOfMs })).toBe('stored');
    expect(has(store, scope, 'a')).toEqual([true]);
  });

  it.each(['model', 'age'] as const)('by %s as well', async (kind) => {
    const store = makeStore({ tombstonesForMs: HOUR_MS, sweepEveryMs: 1 });
    const before = { featuresAsOfMs: nowMs, scoredAtMs: nowMs };
    const { model } = scope;
    await store.invalidate(kind === 'age' ? { kind, model, scoredBeforeMs: nowMs + 1 } : { kind, model, atMs: nowMs });
    nowMs += HOUR_MS - 1;
    expect(put(store, scope, 'a', before)).toBe('invalidated');
    nowMs += 1;
    await vi.waitFor(() => expect(put(store, scope, 'a', before)).toBe('stored'));
    expect(has(store, scope, 'a')).toEqual([true]);
  });
});

describe('sweeps', () => {
  it('take out what expired', async () => {
    const store = makeStore({ sweepEveryMs: 1 });
    fill(store, scope, 20_000, { keptUntilMs: nowMs + 1000 });
    for (let number = 0; number < 10; number++) put(store, scope, `kept-${number}`);
    fill(store, second, 10, { keptUntilMs: nowMs + 1000 });
    nowMs += 999;
    expect(store.held.entries).toBe(20_020);
    nowMs += 1;
    await vi.waitFor(() => expect(store.held.entries).toBe(10));
    expect(has(store, scope, 'kept-0', 'kept-9', 'customer-3')).toEqual([true, true, false]);
    expect((await store.stats()).map(({ entries }) => entries)).toEqual([10, 0]);
    // The place is good for others.
    fill(store, scope, 20_000);
    expect(countOf(store, scope, 20_000)).toBe(20_000);
  });

  it('are read once for all who ask at the same time, so that many of them take no more of a turn than one', async () => {
    const store = makeStore();
    fill(store, scope, 10);
    const asked = [store.stats(), store.stats()];
    const [first, second] = await Promise.all(asked);
    expect(second).toBe(first);
    put(store, scope, 'later');
    expect((await store.stats())[0]?.entries).toBe(11);
  });

  it('forget scopes without entries where they are very many', async () => {
    const store = makeStore({ sweepEveryMs: 1 });
    const scopes = Array.from({ length: 1500 }, (_, number) => aScope({ digest: `${number}` }));
    for (const each of scopes) put(store, each, 'a', { keptUntilMs: nowMs + 1 });
    put(store, scope, 'a');
    expect(await store.stats()).toHaveLength(1501);
    nowMs += 1;
    await vi.waitFor(async () => expect(await store.stats()).toHaveLength(1001));
    expect(has(store, scope, 'a')).toEqual([true]);
    // A scope that was forgotten is as good as new.
    expect(put(store, scopes[0] as ScoreScope, 'b')).toBe('stored');
    expect(has(store, scopes[0] as ScoreScope, 'a', 'b')).toEqual([false, true]);
    expect(store.held.entries).toBe(2);
    expect((await store.stats()).reduce((sum, { entries }) => sum + entries, 0)).toBe(2);
  });
});

describe('as the upper floor of a tiered store', () => {
  it('has an entry for so long after it was put, and gives it back as it came', () => {
    const store = makeStore({ trustForMs: 1000 });
    const stored = score({ score: 7 });
    store.putOne(scope, { entity: 'a', stored });
    nowMs += 999;
    expect(store.peek(scope, 'a')).toEqual(stored);
    nowMs += 1;
    expect(store.peek(scope, 'a')).toBeUndefined();
    // What the floor below has now is newer, whatever it says.
    expect(put(store, scope, 'a', { featuresAsOfMs: nowMs - 5000, score: 3 })).toBe('stored');
    expect(store.peek(scope, 'a')?.score).toBe(3);
  });

  it('has it longer when it is put again', () => {
    const store = makeStore({ trustForMs: 1000 });
    const stored = score();
    store.putOne(scope, { entity: 'a', stored });
    nowMs += 999;
    expect(store.putOne(scope, { entity: 'a', stored })).toBe('stored');
    nowMs += 999;
    expect(store.peek(scope, 'a')).toEqual(stored);
  });

  it('no longer than it is kept', () => {
    const store = makeStore({ trustForMs: HOUR_MS });
    put(store, scope, 'a', { keptUntilMs: nowMs + 10 });
    nowMs += 10;
    expect(has(store, scope, 'a')).toEqual([false]);
  });

  it('replaces what is there, and only that', async () => {
    const store = makeStore({ trustForMs: 1000 });
    expect(store.replaceOne(scope, { entity: 'a', stored: score() })).toBe('absent');
    expect(await store.stats()).toEqual([]);
    put(store, scope, 'a', { score: 1 });
    nowMs++;
    expect(store.replaceOne(scope, { entity: 'a', stored: score({ score: 2 }) })).toBe('stored');
    expect(store.replaceOne(scope, { entity: 'a', stored: score({ featuresAsOfMs: 0 }) })).toBe('outdated');
    expect(store.replaceOne(scope, { entity: 'b', stored: score() })).toBe('absent');
    expect(store.peek(scope, 'a')?.score).toBe(2);
    nowMs += 1000;
    expect(store.replaceOne(scope, { entity: 'a', stored: score() })).toBe('absent');
  });

  it('forgets one entry, and takes it again', () => {
    const store = makeStore();
    put(store, scope, 'a');
    put(store, scope, 'b');
    store.forget(scope, 'a');
    store.forget(scope, 'unknown');
    store.forget(second, 'b');
    expect(has(store, scope, 'a', 'b')).toEqual([false, true]);
    expect(put(store, scope, 'a', { featuresAsOfMs: 0 })).toBe('stored');
  });
});

describe('coverage', () => {
  it('is exact for a hundred thousand entities', async () => {
    const store = makeStore({ maxEntries: 200_000 });
    fill(store, scope, 99_999);
    for (let number = 0; number < 99_999; number += 3) put(store, second, `customer-${number}`);
    expect(await store.coverage(scope, second)).toEqual({ entities: 99_999, covered: 33_333 });
  });

  it('is projected from a sample beyond', async () => {
    const store = makeStore({ maxEntries: 400_000 });
    fill(store, scope, 200_000);
    for (let number = 0; number < 200_000; number += 4) put(store, second, `customer-${number}`);
    const { entities, covered } = await store.coverage(scope, second);
    expect(entities).toBe(200_000);
    expect(covered / entities).toBeGreaterThan(0.23);
    expect(covered / entities).toBeLessThan(0.27);
  });
});

it('many puts in one call leave the event loop to others', async () => {
  const store = makeStore({ maxEntries: 200_000 });
  const puts = Array.from({ length: 50_000 }, (_, number) => ({ entity: `customer-${number}`, stored: score() }));
  let turns = 0;
  let done = false;
  const count = () => {
    turns++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  expect(await store.put(scope, puts)).toEqual({ stored: 50_000, outdated: 0, invalidated: 0 });
  done = true;
  expect(turns).toBeGreaterThan(10);
});
