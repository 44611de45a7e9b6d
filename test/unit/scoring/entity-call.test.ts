// Calls that the store may answer, on a fake worker: hits, misses, shared misses, what stands in, what is written back.
import { describe, expect, it, vi } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { FeatureRecord, FeatureStore } from '../../../src/features/feature-store.ts';
import type { ModelSpec, RowLayout } from '../../../src/models/model.ts';
import { MemoryStore } from '../../../src/scores/memory-store.ts';
import { ELSEWHERE, type ScoreStore, type StoredScore } from '../../../src/scores/score-store.ts';
import { ModelRegistry } from '../../../src/scoring/model-registry.ts';
import type { ScoreAnswer, ScoreCall } from '../../../src/scoring/score-call.ts';
import { Scorer } from '../../../src/scoring/scorer.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';
import { scoringParts } from '../../support/scoring-parts.ts';
import { aScore } from '../../support/stored-scores.ts';

const HOUR = 3_600_000;

/** One feature called `x`, which comes from the store. */
const LAYOUT: RowLayout = {
  kind: 'features',
  features: [{ name: 'x', type: 'number', dataType: 'float32', input: 0, column: 0, allowNan: false, source: 'store' }],
  inputs: [{ name: 'x', type: 'float32', rowDims: [1], width: 1 }],
  dense: true,
  named: true,
};

class Features implements FeatureStore {
  readonly name = 'customers';
  readonly records = new Map<string, FeatureRecord>();
  error: ScorewireError | undefined;

  /** What the next look-up gives, later. */
  next: Promise<never> | undefined;

  get(entity: string): FeatureRecord | undefined | Promise<never> {
    const { next } = this;
    this.next = undefined;
    if (next !== undefined) return next;
    if (this.error !== undefined) throw this.error;
    return this.records.get(entity);
  }

  async getMany(): Promise<never> {
    throw new Error('not here');
  }

  problem(): undefined {}

  async close(): Promise<void> {}
}

type Told = { answer: ScoreAnswer | undefined; error: ScorewireError | undefined; times: number };

function setUp(change: Partial<ModelSpec> = {}, store: ScoreStore = memory()) {
  const s = new FakeScheduling();
  s.addModel();
  const features = new Features();
  features.records.set('ann', { values: new Map([['x', 0.25]]), asOfMs: Date.now() - 1000 });
  const models = new ModelRegistry();
  const view = { store: 'customers', timeZone: 'UTC' };
  const model = fakeModel({ rows: LAYOUT, featureView: view, ...change }, 1, features);
  models.add(model);
  const parts = scoringParts(s.scheduler, store);
  const scorer = new Scorer(models, parts);
  const score = (call: Partial<ScoreCall> = {}): Told => {
    const told: Told = { answer: undefined, error: undefined, times: 0 };
    try {
      scorer.score(
        {
          model: 'churn',
          version: undefined,
          entityId: 'ann',
          row: undefined,
          outputNames: [],
          receivedMs: performance.now(),
          deadlineMs: Number.POSITIVE_INFINITY,
          abandoned: () => false,
          ...call,
        },
        (error, answer) => Object.assign(told, { error, answer, times: told.times + 1 }),
      );
    } catch (error) {
      Object.assign(told, { error, times: told.times + 1 });
    }
    return told;
  };
  /** Ends the run under way with this score for its one row. */
  const reply = async (value: number): Promise<void> => {
    await s.endTurn();
    s.run().finish(100, [{ type: 'float32', dims: [1, 1], data: Float32Array.of(value) }]);
    await s.endTurn();
  };
  const stored = (): Promise<readonly (StoredScore | undefined)[]> => store.fetch(model.scope, ['ann'], 1000);
  const put = (fields: Partial<StoredScore>) =>
    store.put(model.scope, [{ entity: 'ann', stored: aScore({ scoredAtMs: Date.now(), ...fields }) }]);
  return { s, model, features, score, reply, stored, put, cells: parts.cells, store };
}

function memory(): MemoryStore {
  return new MemoryStore({ maxEntries: 100, maxBytes: 1 << 20 });
}

const ago = (ms: number): number => Date.now() - ms;

describe('a fresh score', () => {
  it('is the answer, and no model runs', async () => {
    const { s, score, put, cells } = setUp();
    await put({ score: 0.75, scoredAtMs: ago(HOUR) });
    const { answer } = score();
    expect(answer).toMatchObject({ origin: 'precomputed', score: 0.75, label: 1, entityId: 'ann', batchRows: 0 });
    expect(s.worker.current).toBeUndefined();
    expect(cells.hit.value).toBe(1);
  });

  it('is no answer for a caller who wants a younger one', async () => {
    const { score, put, reply, cells } = setUp();
    await put({ score: 0.75, scoredAtMs: ago(13 * HOUR) });
    const told = score({ maxStalenessMs: 12 * HOUR });
    await reply(0.5);
    expect(told.answer).toMatchObject({ origin: 'real_time', score: 0.5 });
    expect([cells.hit.value, cells.miss.value]).toEqual([0, 1]);
  });

  it('is no answer to a row of the caller, and is not replaced by what that gives', async () => {
    const { score, put, reply, stored } = setUp();
    await put({ score: 0.75 });
    const told = score({ row: { form: 'dense', values: [9] } });
    await reply(0.125);
    expect(told.answer).toMatchObject({ origin: 'real_time', score: 0.125 });
    expect((await stored())[0]?.score).toBe(0.75);
  });

  it('is the answer to a row whose caller asks for it', async () => {
    const { score, put } = setUp();
    await put({ score: 0.75 });
    const row = { form: 'dense', values: [9] } as const;
    expect(score({ row, policy: 'precomputed_first' }).answer).toMatchObject({ origin: 'precomputed', score: 0.75 });
  });

  it('lacks tensors that a caller asks for, so that the model gives them', async () => {
    const { score, put, reply } = setUp();
    await put({ score: 0.75 });
    const told = score({ outputNames: ['score'] });
    await reply(0.5);
    expect(told.answer).toMatchObject({ origin: 'real_time', score: 0.5 });
    expect(score({ outputNames: ['score'] }).answer?.outputs?.get('score')?.data).toEqual(Float32Array.of(0.5));
  });
});

describe('a miss', () => {
  it('is computed from stored features, and written back for as long as the model says', async () => {
    const { score, reply, stored, features } = setUp();
    const told = score();
    await reply(0.5);
    expect(told.answer).toMatchObject({ origin: 'real_time', score: 0.5, batchRows: 1 });
    const [kept] = await stored();
    expect(kept).toMatchObject({ score: 0.5, job: '', featuresAsOfMs: features.records.get('ann')?.asOfMs });
    expect((kept?.keptUntilMs as number) - (kept?.scoredAtMs as number)).toBe(HOUR);
    expect(score().answer).toMatchObject({ origin: 'precomputed', score: 0.5 });
  });

  it('is computed once for all who ask meanwhile, each with its own times', async () => {
    const { s, score, reply } = setUp();
    const tolds = Array.from({ length: 10 }, (_, index) => score({ receivedMs: performance.now() - index }));
    await reply(0.5);
    expect(tolds.map(({ answer, times }) => [answer?.score, times])).toEqual(tolds.map(() => [0.5, 1]));
    expect(new Set(tolds.map(({ answer }) => answer?.receivedMs)).size).toBe(10);
    expect(s.done).toMatchObject([{ rows: 1 }]);
  });

  it.each([
    ['deadline_exceeded', 'DEADLINE_EXPIRED'],
    ['overloaded', 'OVERLOADED'],
    ['unavailable', 'FEATURES_UNAVAILABLE'],
  ] as const)('goes on once for all who have more time than the first: %s, %s', async (kind, reason) => {
    const { s, score, features, reply } = setUp();
    features.next = Promise.reject(new ScorewireError(kind, reason, 'late'));
    const short = score({ deadlineMs: performance.now() + 60_000 });
    const others = Array.from({ length: 5 }, (_, index) => score({ deadlineMs: performance.now() + 70_000 + index }));
    await vi.waitFor(() => expect(short.error?.reason).toBe(reason));
    expect(others.map(({ times }) => times)).toEqual([0, 0, 0, 0, 0]);
    await s.endTurn();
    await reply(0.5);
    expect(others.map(({ answer, times }) => [answer?.score, times])).toEqual(others.map(() => [0.5, 1]));
  });

  it('that the server gives up is not run again', async () => {
    const { s, score } = setUp();
    const tolds = Array.from({ length: 3 }, (_, index) => score({ deadlineMs: performance.now() + 60_000 + index }));
    await s.endTurn();
    s.scheduler.giveUp(() => new ScorewireError('unavailable', 'DRAINING', 'shutting down'));
    await s.endTurn();
    expect(tolds.map(({ error, times }) => [error?.kind, times])).toEqual(tolds.map(() => ['unavailable', 1]));
  });

  it('that fails again fails for all: whoever has the most time had it for them', async () => {
    const { score, features } = setUp();
    const away = () => Promise.reject(new ScorewireError('unavailable', 'FEATURES_UNAVAILABLE', 'away'));
    const get = vi.spyOn(features, 'get').mockImplementation(away);
    const tolds = Array.from({ length: 9 }, (_, index) => score({ deadlineMs: performance.now() + 60_000 + index }));
    await vi.waitFor(() => expect(tolds.map(({ times }) => times)).toEqual(tolds.map(() => 1)));
    expect(get).toHaveBeenCalledTimes(2);
  });

  it('that has failed for want of time is an error for those who have no more of it', async () => {
    const { score, features } = setUp();
    features.next = Promise.reject(new ScorewireError('unavailable', 'FEATURES_UNAVAILABLE', 'away'));
    const tolds = Array.from({ length: 3 }, () => score());
    await vi.waitFor(() => expect(tolds.map(({ times }) => times)).toEqual([1, 1, 1]));
    expect(tolds.map(({ error }) => error?.reason)).toEqual(tolds.map(() => 'FEATURES_UNAVAILABLE'));
  });

  it('is no answer for an entity whose id looks like that of another one with its outputs', async () => {
    const { s, score, features } = setUp();
    features.records.set('ann\nscore', { values: new Map([['x', 0.75]]), asOfMs: Date.now() });
    const ann = score({ outputNames: ['score'] });
    const other = score({ entityId: 'ann\nscore' });
    await s.endTurn();
    s.run().finish(100, [{ type: 'float32', dims: [2, 1], data: Float32Array.of(0.5, 0.25) }]);
    await s.endTurn();
    expect(ann.answer?.entityId).toBe('ann');
    expect(other.answer).toMatchObject({ entityId: 'ann\nscore', outputs: undefined });
    expect(new Set([ann.answer?.score, other.answer?.score])).toEqual(new Set([0.5, 0.25]));
  });

  it('that was half done when a call came took as much of its time as it waited', async () => {
    const { s, score, reply } = setUp();
    score();
    await s.endTurn();
    await new Promise((resolve) => setTimeout(resolve, 2));
    const late = score();
    await reply(0.5);
    const { receivedMs, lookedUpMs, queuedMs, startedMs, endedMs } = late.answer as ScoreAnswer;
    const marks = [receivedMs, lookedUpMs, queuedMs, startedMs, endedMs];
    expect(marks).toEqual([...marks].sort((a, b) => a - b));
  });

  it('of an entity that nobody knows names the features', () => {
    const { score } = setUp();
    const { error } = score({ entityId: 'bob' });
    expect(error).toMatchObject({ kind: 'invalid_argument', reason: 'MISSING_FEATURES' });
    expect(error?.details.violations?.[0]?.field).toContain('x');
  });

  it('is not kept where the model says so', async () => {
    const { model, score, reply, stored } = setUp();
    model.storedScores.writeBack = false;
    score();
    await reply(0.5);
    expect(await stored()).toEqual([undefined]);
  });

  it('that only stored scores may answer is an error', () => {
    const { s, score } = setUp();
    expect(score({ policy: 'precomputed_only' }).error).toMatchObject({ kind: 'not_found', reason: 'SCORE_NOT_FOUND' });
    expect(s.worker.current).toBeUndefined();
  });

  it('without an entity names the field', () => {
    const { score } = setUp();
    expect(score({ entityId: '' }).error?.details.violations?.[0]?.field).toBe('row');
    expect(score({ entityId: 'x'.repeat(257) }).error?.details.violations?.[0]?.field).toBe('entity_id');
  });
});

describe('where the model can not answer', () => {
  const away = () => new ScorewireError('unavailable', 'FEATURES_UNAVAILABLE', 'the feature store is away');

  it('an older score does, where that is allowed', async () => {
    const { features, score, put } = setUp();
    await put({ score: 0.75, scoredAtMs: ago(48 * HOUR) });
    features.error = away();
    expect(score().error?.reason).toBe('FEATURES_UNAVAILABLE');
    expect(score({ allowStale: true }).answer).toMatchObject({ origin: 'stale', score: 0.75 });
  });

  it('the default does, where nothing else is there', () => {
    const { features, score } = setUp({ defaultScore: 0.1 });
    features.error = away();
    expect(score().answer).toMatchObject({ origin: 'default', score: Math.fround(0.1), label: 0 });
    expect(score({ entityId: 'bob' }).answer?.origin).toBe('default');
    expect(score({ row: { form: 'dense', values: [] } }).error?.reason).toBe('INVALID_ROW');
  });

  it('in time, an older score is answered when the budget is spent, and the late one is kept', async () => {
    const { score, put, reply, stored } = setUp();
    await put({ score: 0.75, scoredAtMs: ago(48 * HOUR) });
    const told = score({ allowStale: true });
    await vi.waitFor(() => expect(told.times).toBe(1));
    expect(told.answer).toMatchObject({ origin: 'stale', score: 0.75 });
    await reply(0.5);
    expect(told.times).toBe(1);
    expect((await stored())[0]?.score).toBe(0.5);
  });
});

describe('a store that is elsewhere', () => {
  const remote = (answer: () => Promise<readonly (StoredScore | undefined)[]>): ScoreStore => {
    const store = memory();
    return Object.assign(store, { peek: () => ELSEWHERE, fetch: answer }) as unknown as ScoreStore;
  };

  it('answers as one in memory does', async () => {
    const { score } = setUp(
      {},
      remote(async () => [aScore({ score: 0.75, scoredAtMs: Date.now() })]),
    );
    const told = score();
    await vi.waitFor(() => expect(told.times).toBe(1));
    expect(told.answer).toMatchObject({ origin: 'precomputed', score: 0.75 });
  });

  it('and away leaves the model, and is counted', async () => {
    const gone = new ScorewireError('unavailable', 'STORE_UNAVAILABLE', 'away');
    const { s, score, reply, cells } = setUp(
      {},
      remote(() => Promise.reject(gone)),
    );
    const told = score();
    const only = score({ policy: 'precomputed_only' });
    await vi.waitFor(() => expect(cells.unavailable.value).toBe(2));
    expect(only.error?.reason).toBe('STORE_UNAVAILABLE');
    // Nobody knows whether it has a score.
    const unknown = score({ entityId: 'bob' });
    await vi.waitFor(() => expect(unknown.error?.reason).toBe('STORE_UNAVAILABLE'));
    await s.endTurn();
    await reply(0.5);
    expect(told.answer).toMatchObject({ origin: 'real_time', score: 0.5 });
  });
});
