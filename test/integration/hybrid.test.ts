// Stored scores over the wire: one answer for an entity, wherever it comes from.
import { ChannelCredentials, status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import {
  type PutScoresRequest,
  type PutScoresResponse,
  type ScoreEntry,
  ScoreStoreServiceClient,
} from '../../src/gen/scorewire/v1/score_store.ts';
import { Origin, ScorePolicy, type ScoreResponse } from '../../src/gen/scorewire/v1/scoring.ts';
import { type Customers, customers } from '../support/customers.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let from: Customers;
let server: TestServer;
let store: ScoreStoreServiceClient;

beforeAll(async () => {
  from = await customers('stored_scores: { fresh_for_seconds: 43200 }\n');
  server = await TestServer.start(from.models, from.set);
  store = new ScoreStoreServiceClient(server.address, ChannelCredentials.createInsecure());
});

afterAll(async () => {
  store?.close();
  await server?.stop();
});

const HOUR_MS = 3_600_000;
const at = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1000)), nanos: 0 });

function entry(entity: string | bigint, score: number | undefined, more: Partial<ScoreEntry> = {}): ScoreEntry {
  const $entity =
    typeof entity === 'string'
      ? ({ $case: 'entityId', value: entity } as const)
      : ({ $case: 'entityNumber', value: entity } as const);
  return { entity: $entity, score, outputs: new Map(), ...more };
}

function put(entries: ScoreEntry[], more: Partial<PutScoresRequest> = {}): Promise<PutScoresResponse> {
  return new Promise((resolve, reject) => {
    const call = store.putScores((error, response) => (error === null ? resolve(response) : reject(error)));
    call.on('error', () => {});
    const first = { model: 'churn', digest: '', job: 'nightly', entries: [], ...more };
    call.write(first);
    for (const one of entries) call.write({ model: '', digest: '', job: '', entries: [one] });
    call.end();
  });
}

const ask = (entity: string, more: object = {}): Promise<ScoreResponse> =>
  server.client.score('churn', undefined, { entity: { $case: 'entityId', value: entity }, ...more });

const stats = async () =>
  (
    await promised<{ models: { hits: bigint; misses: bigint; hitRate: number; entries: bigint }[] }>((done) =>
      store.getScoreStoreStats({ model: 'churn' }, done),
    )
  ).models[0];

describe('an entity alone', () => {
  it('is scored by its features, then answered from the store', async () => {
    expect(await stats()).toMatchObject({ hits: 0n, misses: 0n, hitRate: 0, entries: 0n });
    const first = await ask('c0');
    expect(first).toMatchObject({ entityId: 'c0', origin: Origin.ORIGIN_REAL_TIME, age: { seconds: 0n, nanos: 0 } });
    expect(first.score).toBeCloseTo(from.scores[0] as number, 5);
    const second = await ask('c0');
    expect(second).toMatchObject({
      origin: Origin.ORIGIN_PRECOMPUTED,
      score: first.score,
      label: first.label,
      segment: first.segment,
    });
    expect(second.scoredAt).toEqual(first.scoredAt);
    expect(second.timing).toMatchObject({ inferenceUs: 0, batchRows: 0 });
    expect(await stats()).toMatchObject({ hits: 1n, misses: 1n, hitRate: 0.5, entries: 1n });
    expect(await server.metric('scorewire_store_lookups_total', { model: 'churn', result: 'hit' })).toBe(1);
  });

  it('that nobody knows is served by what has defaults, or names what is missing', async () => {
    const error = await failureOf(ask('nobody'));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'MISSING_FEATURES' });
    expect(error.violations.map(({ field }) => field)).toContain('features["tenure_months"]');
  });

  it('is one entity by number and by text', async () => {
    await put([entry(42n, 0.75)]);
    expect(await ask('42')).toMatchObject({ origin: Origin.ORIGIN_PRECOMPUTED, score: 0.75, segment: 'High' });
    const byNumber = await server.client.score('churn', undefined, { entity: { $case: 'entityNumber', value: 42n } });
    expect(byNumber).toMatchObject({ entityId: '42', score: 0.75 });
  });

  it('rides in a stream as in a call', async () => {
    await put([entry('s1', 0.5)]);
    const call = server.client.scoring.scoreStream();
    call.write({
      items: [
        { id: 7n, request: { model: 'churn', entity: { $case: 'entityId', value: 's1' }, policy: 0, outputNames: [] } },
      ],
      inOrder: false,
    });
    call.end();
    const results = [];
    for await (const response of call) results.push(...response.results);
    expect(results).toMatchObject([
      { id: 7n, outcome: { $case: 'response', value: { origin: Origin.ORIGIN_PRECOMPUTED, score: 0.5 } } },
    ]);
  });
});

describe('limits', () => {
  it('13 h old, limit 12 h: the model answers', async () => {
    await put([entry('c1', 0.9, { scoredAt: at(Date.now() - 13 * HOUR_MS) })]);
    const answer = await ask('c1');
    expect(answer.origin).toBe(Origin.ORIGIN_REAL_TIME);
    expect(answer.score).toBeCloseTo(from.scores[1] as number, 5);
  });

  it('a score may be told to the nanosecond', async () => {
    const scoredAt = { seconds: BigInt(Math.floor(Date.now() / 1000) - 60), nanos: 123_456_789 };
    await put([entry('fine', 0.9, { scoredAt })]);
    const answer = await ask('fine');
    expect(answer).toMatchObject({ origin: Origin.ORIGIN_PRECOMPUTED, score: Math.fround(0.9) });
    expect(answer.scoredAt?.seconds).toBe(scoredAt.seconds);
    expect(Math.abs((answer.scoredAt?.nanos as number) - scoredAt.nanos)).toBeLessThan(1000);
  });

  it("a call's own limit wins, and the age is told", async () => {
    await put([entry('c2', 0.9, { scoredAt: at(Date.now() - 2 * HOUR_MS) })]);
    const old = await ask('c2', { maxStaleness: { seconds: 10_800n, nanos: 0 } });
    expect(old.origin).toBe(Origin.ORIGIN_PRECOMPUTED);
    expect(Number(old.age?.seconds)).toBeGreaterThanOrEqual(7200);
    expect((await ask('c2', { maxStaleness: { seconds: 3600n, nanos: 0 } })).origin).toBe(Origin.ORIGIN_REAL_TIME);
    const wrong = await failureOf(ask('c2', { maxStaleness: { seconds: -1n, nanos: 0 } }));
    expect(wrong.violations[0]?.field).toBe('max_staleness');
  });

  it('only stored scores, and there is none', async () => {
    const only = { policy: ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY };
    expect(await failureOf(ask('c9', only))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'SCORE_NOT_FOUND',
    });
    await put([entry('old', 0.9, { scoredAt: at(Date.now() - 13 * HOUR_MS) })]);
    expect(await ask('old', { ...only, allowStale: true })).toMatchObject({ origin: Origin.ORIGIN_STALE });
  });

  it("what one caller sends never becomes another's answer", async () => {
    const { customer_id: _, ...row } = from.rows[5] as Record<string, number | string>;
    const named = Object.fromEntries(
      Object.entries({ ...row, tenure_months: 1 }).map(([name, value]) => [
        name,
        Number.isInteger(value) ? BigInt(value) : value,
      ]),
    );
    const own = await server.client.score('churn', named, { entity: { $case: 'entityId', value: 'c5' } });
    const stored = await ask('c5');
    expect(stored.origin).toBe(Origin.ORIGIN_REAL_TIME);
    expect(stored.score).toBeCloseTo(from.scores[5] as number, 5);
    expect(own.score).not.toBe(stored.score);
  });
});

describe('puts and invalidations', () => {
  it('an older score never replaces a newer one', async () => {
    const nowMs = Date.now();
    expect(
      await put([
        entry('p', 0.5, { featuresAsOf: at(nowMs - 1000) }),
        entry('p', 0.25, { featuresAsOf: at(nowMs - 9000) }),
      ]),
    ).toEqual({ received: 2n, stored: 1n, outdated: 1n, invalidated: 0n });
    expect((await ask('p')).score).toBe(0.5);
  });

  it('an invalidated entity is computed anew, and a job that read its features before does not bring it back', async () => {
    await put([entry('c7', 0.9)]);
    const request = {
      model: 'churn',
      target: { $case: 'entities' as const, value: { entityIds: ['c7'] } },
      refresh: false,
    };
    const { invalidated } = await promised<{ invalidated?: bigint }>((done) => store.invalidateScores(request, done));
    expect(invalidated).toBe(1n);
    expect((await put([entry('c7', 0.9, { featuresAsOf: at(Date.now() - 60_000) })])).invalidated).toBe(1n);
    expect((await ask('c7')).origin).toBe(Origin.ORIGIN_REAL_TIME);
  });

  it('one message may have more entries than are read at once, and says which one is wrong', async () => {
    const entries = Array.from({ length: 3000 }, (_, index) => entry(`many-${index}`, index / 3000));
    expect(await put([], { entries })).toEqual({ received: 3000n, stored: 3000n, outdated: 0n, invalidated: 0n });
    expect((await ask('many-2999')).score).toBe(Math.fround(2999 / 3000));
    entries[2500] = entry('many-2500', undefined);
    expect((await failureOf(put([], { entries }))).violations[0]?.field).toBe('entries[2500].score');
  });

  it.each([
    ['a score that is none', entry('x', undefined), {}, 'entries[0].score'],
    ['NaN', entry('x', Number.NaN), {}, 'entries[0].score'],
    ['nobody', { score: 1, outputs: new Map() }, {}, 'entries[0].entity'],
    ['the future', entry('x', 1, { scoredAt: at(Date.now() + HOUR_MS) }), {}, 'entries[0].scored_at'],
  ])('%s names the field', async (_, one, more, field) => {
    expect(await failureOf(put([one], more))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      violations: [{ field }],
    });
  });

  it('scores of another model file are refused', async () => {
    expect(await failureOf(put([], { digest: 'ff' }))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'OTHER_MODEL_FILE',
    });
    expect((await failureOf(put([], { model: 'nix' }))).code).toBe('NOT_FOUND');
  });
});

describe('many entities alone', () => {
  it('by our own client', async () => {
    await put([entry('b1', 0.5), entry('b2', 0.25)]);
    const client = connect(server.address);
    try {
      const batch = client.scoreBatch({ model: 'churn', entityIds: ['b1', 'c0', 'b2'], inOrder: true });
      const origins: string[] = [];
      for await (const chunk of batch) origins.push(...chunk.origins);
      expect(origins).toEqual(['PRECOMPUTED', expect.any(String), 'PRECOMPUTED']);
      expect((await batch.summary).origins).toMatchObject({ STALE: 0, DEFAULT: 0 });
      const one = await client.score({ model: 'churn', entityId: 'b1', maxStalenessMs: 3_600_000 });
      expect(one).toMatchObject({ origin: 'PRECOMPUTED', score: 0.5, timing: { batchRows: 0 } });
      const { featureStore, features } = await client.getModel('churn');
      expect([featureStore, features[0]?.source]).toEqual(['customers', 'store']);
    } finally {
      await client.close();
    }
  });

  it('are looked up, the others scored, and each row says where it comes from', async () => {
    const ids = from.rows.map(({ customer_id: id }) => id as string);
    await promised((done) =>
      store.invalidateScores({ model: 'churn', target: { $case: 'all', value: true }, refresh: false }, done),
    );
    await put(ids.slice(10, 20).map((id) => entry(id, 0.5, { featuresAsOf: at(Date.now() + 1000) })));
    const precomputedBefore = await server.metric('scorewire_answers_total', { model: 'churn', origin: 'precomputed' });
    const call = server.client.scoring.scoreBatch({
      model: 'churn',
      entityIds: [...ids, 'nobody', ''],
      shared: new Map(),
      policy: 0,
      chunkRows: 7,
      inOrder: true,
      topK: 0,
    });
    const scores: number[] = [];
    const origins: number[] = [];
    const errors: { row: bigint; code: number; field: string }[] = [];
    let summary: { scored: bigint; failed: bigint; precomputed: bigint; realTime: bigint } | undefined;
    for await (const { part } of call) {
      if (part?.$case === 'summary') summary = part.value;
      if (part?.$case !== 'chunk') continue;
      scores.push(...part.value.scores);
      origins.push(...part.value.origins);
      errors.push(...part.value.errors);
    }
    expect(origins.slice(0, ids.length)).toEqual(
      ids.map((_, row) => (row >= 10 && row < 20 ? Origin.ORIGIN_PRECOMPUTED : Origin.ORIGIN_REAL_TIME)),
    );
    for (const [row, score] of scores.slice(0, ids.length).entries()) {
      expect(score).toBeCloseTo(row >= 10 && row < 20 ? 0.5 : (from.scores[row] as number), 5);
    }
    expect(errors).toMatchObject([
      { row: BigInt(ids.length), code: Status.INVALID_ARGUMENT, field: 'features["tenure_months"]' },
      { row: BigInt(ids.length + 1), code: Status.INVALID_ARGUMENT, field: 'entity_ids' },
    ]);
    const counted = { model: 'churn', origin: 'precomputed' };
    expect(await server.metric('scorewire_answers_total', counted)).toBe(precomputedBefore + 10);
    expect(summary).toMatchObject({
      scored: BigInt(ids.length),
      failed: 2n,
      precomputed: 10n,
      realTime: BigInt(ids.length - 10),
    });
  });
});
