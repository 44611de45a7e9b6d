// What every score store does, whatever keeps the scores: one suite for all of them.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AGE_BUCKETS_SECONDS,
  ELSEWHERE,
  type Invalidation,
  type PutCounts,
  type ScopeStats,
  type ScoreScope,
  type ScoreStore,
  type StoredScore,
} from '../../src/scores/score-store.ts';
import type { Tensor } from '../../src/tensor.ts';
import { aScope, aScore } from '../support/stored-scores.ts';

export type StoreUnderTest = {
  store: ScoreStore;
  /** Milliseconds since 1970, as the store knows them. */
  now(): number;
  /** Resolves when the store's clock shows `ms` milliseconds more, or a little later. */
  pass(ms: number): Promise<void>;
  /** Closes the store and all that was started for it. */
  close(): Promise<void>;
};

export type ContractOptions = {
  /** Random histories to go through. */
  histories?: number;
};

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WITHIN_MS = 5000;
/** How long what is to expire is kept; a store with a real clock has to wait for it. */
const SHORT_MS = 250;

/** Asks for the tests of a store; they share one that `make` makes, each with a model of its own. */
export function scoreStoreContract(
  name: string,
  make: () => Promise<StoreUnderTest>,
  { histories = 100 }: ContractOptions = {},
): void {
  describe(`${name}, as every score store,`, () => {
    let under: StoreUnderTest;
    let store: ScoreStore;
    let models = 0;

    beforeAll(async () => {
      under = await make();
      store = under.store;
    });
    afterAll(() => under.close());

    /** A scope of a model that no other test has. */
    const newScope = (fields: Partial<ScoreScope> = {}) => aScope({ model: `model-${++models}`, ...fields });

    /** A score from features read `agoMs` ago, computed then, kept for an hour. */
    const scoreFrom = (agoMs: number, fields: Partial<StoredScore> = {}) => {
      const now = under.now();
      return aScore({ scoredAtMs: now - agoMs, featuresAsOfMs: now - agoMs, keptUntilMs: now + HOUR, ...fields });
    };

    const putOne = (scope: ScoreScope, entity: string, stored: StoredScore) => store.put(scope, [{ entity, stored }]);

    /** What the store has; what `peek` says at once is the same. */
    const read = async (scope: ScoreScope, ...entities: string[]) => {
      const found = await store.fetch(scope, entities, WITHIN_MS);
      for (const [number, entity] of entities.entries()) {
        const peeked = store.peek(scope, entity);
        if (peeked !== ELSEWHERE) expect(peeked).toEqual(found[number]);
      }
      return found;
    };

    const readScores = async (scope: ScoreScope, ...entities: string[]) =>
      (await read(scope, ...entities)).map((stored) => stored?.score);

    const statsOf = async (scope: ScoreScope): Promise<ScopeStats | undefined> => {
      const all = await store.stats();
      return all.find(({ scope: { model, digest, view } }) => {
        return model === scope.model && digest === scope.digest && view === scope.view;
      });
    };

    /** Invalidates; the number of entries that are gone is right, where the store tells it. */
    const invalidate = async (invalidation: Invalidation, gone: number) => {
      expect([gone, undefined]).toContain(await store.invalidate(invalidation));
    };

    describe('look-ups', () => {
      it('has nothing that was never put', async () => {
        const scope = newScope();
        expect(await read(scope, 'a', 'b')).toEqual([undefined, undefined]);
        expect(await store.fetch(scope, [], WITHIN_MS)).toEqual([]);
      });

      it('gives back what was put, field by field', async () => {
        const scope = newScope();
        const outputs = new Map<string, Tensor>([
          ['probabilities', { type: 'float32', dims: [3], data: Float32Array.of(0.125, -0, 3.5e38) }],
          ['counts', { type: 'int64', dims: [2, 1], data: BigInt64Array.of(-(2n ** 63n), 7n) }],
          ['names', { type: 'string', dims: [2], data: ['', 'ä€😀'] }],
          ['flags', { type: 'bool', dims: [2], data: Uint8Array.of(0, 1) }],
          ['nothing', { type: 'float64', dims: [0], data: new Float64Array(0) }],
        ]);
        const now = under.now();
        const entries = {
          whole: aScore({
            score: Math.fround(0.1),
            label: 2,
            outputs,
            scoredAtMs: now - 5,
            featuresAsOfMs: now - HOUR - 7,
            keptUntilMs: now + HOUR + 9,
            job: 'nightly churn ä',
          }),
          bare: aScore({ score: 1, label: -1, scoredAtMs: now, featuresAsOfMs: now, keptUntilMs: now + HOUR }),
          extreme: scoreFrom(0, { score: Math.fround(-1e-42), label: 2_147_483_647 }),
          unscored: scoreFrom(0, { score: Number.POSITIVE_INFINITY }),
        };
        const puts = Object.entries(entries).map(([entity, stored]) => ({ entity, stored }));
        expect(await store.put(scope, puts)).toEqual({ stored: 4, outdated: 0, invalidated: 0 });
        expect(await read(scope, ...Object.keys(entries))).toEqual(Object.values(entries));
      });

      it('answers in the order of the question, as often as asked', async () => {
        const scope = newScope();
        await store.put(scope, [
          { entity: 'a', stored: scoreFrom(0, { score: 1 }) },
          { entity: 'b', stored: scoreFrom(0, { score: 2 }) },
        ]);
        expect(await readScores(scope, 'b', 'missing', 'a', 'b')).toEqual([2, undefined, 1, 2]);
      });

      it('tells entities apart by every character', async () => {
        const scope = newScope();
        const entities = ['a', 'A', ' a', 'a:b', 'a:', 'ä', 'a\u0308', '😀', '\n', '\0', '{a}', '__proto__', '0', '00'];
        entities.push('x'.repeat(2000), `${'x'.repeat(1999)}y`, `${'ä'.repeat(999)}a`);
        const puts = entities.map((entity, number) => ({ entity, stored: scoreFrom(0, { score: number }) }));
        expect((await store.put(scope, puts)).stored).toBe(entities.length);
        expect(await readScores(scope, ...entities)).toEqual(entities.map((_, number) => number));
      });

      it('keeps thousands', async () => {
        const scope = newScope();
        const entities = Array.from({ length: 5000 }, (_, number) => `customer-${number}`);
        const puts = entities.map((entity, number) => ({ entity, stored: scoreFrom(0, { score: number }) }));
        expect(await store.put(scope, puts)).toEqual({ stored: 5000, outdated: 0, invalidated: 0 });
        expect(await store.put(scope, [])).toEqual({ stored: 0, outdated: 0, invalidated: 0 });
        expect(await readScores(scope, ...entities)).toEqual(entities.map((_, number) => number));
      });
    });

    describe('scopes', () => {
      it('share nothing', async () => {
        const scope = newScope();
        await putOne(scope, 'a', scoreFrom(0));
        for (const other of [{ model: `${scope.model}x` }, { digest: 'd2' }, { view: 'v2' }]) {
          expect(await read({ ...scope, ...other }, 'a')).toEqual([undefined]);
        }
      });

      it('are told by their fields', async () => {
        const scope = newScope();
        await putOne({ ...scope }, 'a', scoreFrom(0, { score: 3 }));
        expect(await readScores({ ...scope }, 'a')).toEqual([3]);
      });
    });

    describe('a put', () => {
      /** Times of features and of the score before the present, of what is there and of what comes. */
      const cases: [
        string,
        { features: number; scored: number },
        { features: number; scored: number },
        keyof PutCounts,
      ][] = [
        ['of later features', { features: 20, scored: 20 }, { features: 10, scored: 10 }, 'stored'],
        ['of later features, scored earlier', { features: 20, scored: 5 }, { features: 10, scored: 10 }, 'stored'],
        ['of earlier features', { features: 10, scored: 10 }, { features: 20, scored: 20 }, 'outdated'],
        ['of earlier features, scored later', { features: 10, scored: 10 }, { features: 20, scored: 5 }, 'outdated'],
        ['of the same features, scored later', { features: 10, scored: 10 }, { features: 10, scored: 5 }, 'stored'],
        ['of the same features, scored earlier', { features: 10, scored: 5 }, { features: 10, scored: 9 }, 'outdated'],
        ['of the same times', { features: 10, scored: 10 }, { features: 10, scored: 10 }, 'stored'],
      ];
      it.each(cases)('%s', async (_, there, coming, outcome) => {
        const scope = newScope();
        const now = under.now();
        const at = ({ features, scored }: { features: number; scored: number }, score: number) =>
          scoreFrom(0, { score, featuresAsOfMs: now - features * 1000, scoredAtMs: now - scored * 1000 });
        await putOne(scope, 'a', at(there, 1));
        const counts = { stored: 0, outdated: 0, invalidated: 0, [outcome]: 1 };
        expect(await putOne(scope, 'a', at(coming, 2))).toEqual(counts);
        expect(await readScores(scope, 'a')).toEqual([outcome === 'stored' ? 2 : 1]);
        // In one call as in two.
        const both = [at(there, 1), at(coming, 2)].map((stored) => ({ entity: 'b', stored }));
        expect(await store.put(scope, both)).toEqual({ ...counts, stored: counts.stored + 1 });
        expect(await readScores(scope, 'b')).toEqual([outcome === 'stored' ? 2 : 1]);
      });

      it('replaces the whole entry', async () => {
        const scope = newScope();
        const outputs = new Map<string, Tensor>([['p', { type: 'float32', dims: [1], data: Float32Array.of(1) }]]);
        await putOne(scope, 'a', scoreFrom(2000, { label: 4, outputs, job: 'nightly' }));
        const second = scoreFrom(1000, { score: 9, label: -1 });
        await putOne(scope, 'a', second);
        expect(await read(scope, 'a')).toEqual([second]);
      });
    });

    describe('what expired', () => {
      it('is gone, and is in nobody’s way', async () => {
        const scope = newScope();
        await putOne(scope, 'a', scoreFrom(0, { score: 1, keptUntilMs: under.now() + SHORT_MS }));
        await putOne(scope, 'b', scoreFrom(0, { score: 2 }));
        await under.pass(SHORT_MS);
        expect(await readScores(scope, 'a', 'b')).toEqual([undefined, 2]);
        expect((await statsOf(scope))?.entries).toBe(1);
        expect(await putOne(scope, 'a', scoreFrom(HOUR, { score: 3 }))).toMatchObject({ stored: 1 });
        expect(await readScores(scope, 'a')).toEqual([3]);
      });

      it('before it came is not stored, and leaves what is there', async () => {
        const scope = newScope();
        const late = scoreFrom(0, { keptUntilMs: under.now() - 1 });
        expect(await putOne(scope, 'a', late)).toEqual({ stored: 0, outdated: 1, invalidated: 0 });
        await putOne(scope, 'b', scoreFrom(1000, { score: 5 }));
        expect(await putOne(scope, 'b', late)).toEqual({ stored: 0, outdated: 1, invalidated: 0 });
        expect(await readScores(scope, 'a', 'b')).toEqual([undefined, 5]);
      });
    });

    describe('invalidation', () => {
      it('of entities takes what was computed from features read until then', async () => {
        const scope = newScope();
        const other = newScope();
        const atMs = under.now() - 2000;
        for (const [entity, offset] of Object.entries({ before: -1, at: 0, after: 1, spared: -1 })) {
          const featuresAsOfMs = atMs + offset;
          await putOne(scope, entity, scoreFrom(0, { score: 1, featuresAsOfMs }));
          await putOne(other, entity, scoreFrom(0, { score: 1, featuresAsOfMs }));
        }
        const entities = ['before', 'at', 'after', 'never there'];
        await invalidate({ kind: 'entities', model: scope.model, entities, atMs }, 2);
        expect(await readScores(scope, 'before', 'at', 'after', 'spared')).toEqual([undefined, undefined, 1, 1]);
        expect(await readScores(other, 'before', 'at', 'after', 'spared')).toEqual([1, 1, 1, 1]);
      });

      it('of entities takes them from every scope of the model', async () => {
        const scope = newScope();
        const second = { ...scope, version: 2, digest: 'd2' };
        await putOne(scope, 'a', scoreFrom(1000));
        await putOne(second, 'a', scoreFrom(1000));
        await invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: under.now() }, 2);
        expect(await read(scope, 'a')).toEqual([undefined]);
        expect(await read(second, 'a')).toEqual([undefined]);
      });

      it('of entities refuses what was computed from features read until then, in scopes that come later too', async () => {
        const scope = newScope();
        const atMs = under.now() - 2000;
        await store.invalidate({ kind: 'entities', model: scope.model, entities: ['a', 'b'], atMs });
        // One from before doesn't undo it.
        await store.invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: atMs - 1000 });
        for (const each of [scope, { ...scope, view: 'v2' }, { ...scope, digest: 'd2' }]) {
          const puts = ['a', 'b', 'c'].map((entity) => ({ entity, stored: scoreFrom(0, { featuresAsOfMs: atMs }) }));
          expect(await store.put(each, puts)).toEqual({ stored: 1, outdated: 0, invalidated: 2 });
          expect((await read(each, 'a', 'b', 'c')).map((stored) => stored !== undefined)).toEqual([false, false, true]);
          const later = scoreFrom(0, { score: 7, featuresAsOfMs: atMs + 1 });
          expect(await putOne(each, 'a', later)).toEqual({ stored: 1, outdated: 0, invalidated: 0 });
          expect(await readScores(each, 'a')).toEqual([7]);
        }
      });

      it('of entities takes what was put after the last one', async () => {
        const scope = newScope();
        await store.invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: under.now() - 2000 });
        await putOne(scope, 'a', scoreFrom(1000));
        await invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: under.now() }, 1);
        expect(await read(scope, 'a')).toEqual([undefined]);
      });

      it('of a model takes and refuses all from features read until then', async () => {
        const scope = newScope();
        const second = { ...scope, view: 'v2' };
        const other = newScope();
        const atMs = under.now() - 2000;
        const at = (offset: number) => scoreFrom(0, { score: 1, featuresAsOfMs: atMs + offset });
        for (const each of [scope, second, other]) {
          await store.put(each, [
            { entity: 'before', stored: at(-1) },
            { entity: 'at', stored: at(0) },
            { entity: 'after', stored: at(1) },
          ]);
        }
        await invalidate({ kind: 'model', model: scope.model, atMs }, 4);
        await invalidate({ kind: 'model', model: scope.model, atMs: atMs - 10_000 }, 0);
        for (const each of [scope, second]) {
          expect(await readScores(each, 'before', 'at', 'after')).toEqual([undefined, undefined, 1]);
        }
        expect(await readScores(other, 'before', 'at', 'after')).toEqual([1, 1, 1]);
        for (const each of [scope, { ...scope, digest: 'd3' }]) {
          const puts = [-1, 0, 1].map((offset) => ({ entity: `new${offset}`, stored: at(offset) }));
          expect(await store.put(each, puts)).toEqual({ stored: 1, outdated: 0, invalidated: 2 });
          expect(await readScores(each, 'new-1', 'new0', 'new1')).toEqual([undefined, undefined, 1]);
        }
      });

      it('by age takes and refuses all that were computed before', async () => {
        const scope = newScope();
        const other = newScope();
        const scoredBeforeMs = under.now() - 2000;
        const at = (offset: number) => scoreFrom(0, { score: 1, scoredAtMs: scoredBeforeMs + offset });
        for (const each of [scope, other]) {
          await store.put(each, [
            { entity: 'before', stored: at(-1) },
            { entity: 'at', stored: at(0) },
          ]);
        }
        await invalidate({ kind: 'age', model: scope.model, scoredBeforeMs }, 1);
        await invalidate({ kind: 'age', model: scope.model, scoredBeforeMs: scoredBeforeMs - 10_000 }, 0);
        expect(await readScores(scope, 'before', 'at')).toEqual([undefined, 1]);
        expect(await readScores(other, 'before', 'at')).toEqual([1, 1]);
        const puts = [-1, 0].map((offset) => ({ entity: `new${offset}`, stored: at(offset) }));
        expect(await store.put({ ...scope, view: 'v2' }, puts)).toEqual({ stored: 1, outdated: 0, invalidated: 1 });
      });

      it('of what is not there is no fault', async () => {
        const { model } = newScope();
        await invalidate({ kind: 'entities', model, entities: [], atMs: under.now() }, 0);
        await invalidate({ kind: 'entities', model, entities: ['a'], atMs: under.now() }, 0);
        await invalidate({ kind: 'model', model, atMs: under.now() }, 0);
        await invalidate({ kind: 'age', model, scoredBeforeMs: under.now() }, 0);
      });
    });

    describe('figures', () => {
      it('are of every scope with entries, by age', async () => {
        const scope = newScope();
        const second = { ...scope, view: 'v2' };
        // In the middle of each bucket, and one more in the last.
        const agesSeconds = [0, ...AGE_BUCKETS_SECONDS].map((seconds) => seconds + 15);
        const ages = [...agesSeconds, 10 * 86_400];
        await store.put(
          scope,
          ages.map((seconds, number) => ({ entity: `${number}`, stored: scoreFrom(seconds * 1000) })),
        );
        await putOne(second, 'a', scoreFrom(0));
        const stats = await statsOf(scope);
        expect(stats).toMatchObject({ entries: ages.length, evictions: 0, estimated: false });
        expect(stats?.ages).toEqual([1, 1, 1, 1, 1, 1, 1, 2]);
        expect(stats?.bytes).toBeGreaterThan(ages.length * 30);
        expect(await statsOf(second)).toMatchObject({ entries: 1, ages: [1, 0, 0, 0, 0, 0, 0, 0] });
        expect(await statsOf({ ...scope, view: 'v3' })).toBeUndefined();
      });

      it('leave out what was invalidated', async () => {
        const scope = newScope();
        const puts = ['a', 'b', 'c'].map((entity) => ({ entity, stored: scoreFrom(2000) }));
        await store.put(scope, [...puts, { entity: 'd', stored: scoreFrom(0) }]);
        await store.invalidate({ kind: 'entities', model: scope.model, entities: ['a'], atMs: under.now() - 1000 });
        expect((await statsOf(scope))?.entries).toBe(3);
        await store.invalidate({ kind: 'model', model: scope.model, atMs: under.now() - 1000 });
        expect(await statsOf(scope)).toMatchObject({ entries: 1, ages: [1, 0, 0, 0, 0, 0, 0, 0] });
      });

      it('say how much of one scope another covers', async () => {
        const old = newScope();
        const next = { ...old, version: 2, digest: 'd2' };
        const puts = (entities: readonly string[]) => entities.map((entity) => ({ entity, stored: scoreFrom(2000) }));
        await store.put(old, puts(['a', 'b', 'c', 'd']));
        await store.put(next, puts(['b', 'c', 'e']));
        expect(await store.coverage(old, next)).toEqual({ entities: 4, covered: 2 });
        expect(await store.coverage(next, old)).toEqual({ entities: 3, covered: 2 });
        expect(await store.coverage(old, old)).toEqual({ entities: 4, covered: 4 });
        expect(await store.coverage(newScope(), old)).toEqual({ entities: 0, covered: 0 });
        expect(await store.coverage(old, newScope())).toEqual({ entities: 4, covered: 0 });
        await store.invalidate({ kind: 'entities', model: old.model, entities: ['a', 'b'], atMs: under.now() - 1000 });
        expect(await store.coverage(old, next)).toEqual({ entities: 2, covered: 1 });
      });

      it('has no problem to tell of', () => {
        expect(store.problem()).toBeUndefined();
      });
    });

    it('does, over any history of puts and invalidations, what the rules say', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 30 }), async (history) => {
          const first = newScope();
          const scopes = [first, { ...first, digest: 'd2' }, newScope()];
          const rules = new Rules();
          const base = under.now() - HOUR;
          for (const step of history) {
            const scope = scopes[step.scope] as ScoreScope;
            if (step.kind === 'put') {
              const puts = step.puts.map(({ entity, features, scored }, number) => ({
                entity,
                stored: aScore({
                  score: number,
                  featuresAsOfMs: base + features,
                  scoredAtMs: base + scored,
                  keptUntilMs: base + 2 * HOUR,
                }),
              }));
              const expected = { stored: 0, outdated: 0, invalidated: 0 };
              for (const { entity, stored } of puts) expected[rules.put(scope, entity, stored)]++;
              expect(await store.put(scope, puts)).toEqual(expected);
            } else {
              const { model } = scope;
              const atMs = base + step.at;
              const invalidation: Invalidation =
                step.kind === 'entities'
                  ? { kind: 'entities', model, entities: step.entities, atMs }
                  : step.kind === 'model'
                    ? { kind: 'model', model, atMs }
                    : { kind: 'age', model, scoredBeforeMs: atMs };
              await invalidate(invalidation, rules.invalidate(invalidation));
            }
          }
          for (const scope of scopes) {
            expect(await read(scope, ...ENTITIES)).toEqual(ENTITIES.map((entity) => rules.get(scope, entity)));
          }
        }),
        { numRuns: histories },
      );
    });
  });
}

const ENTITIES = ['a', 'b', 'c'];
const time = fc.integer({ min: 0, max: 6 });
const scopeNumber = fc.integer({ min: 0, max: 2 });
const onePut = fc.record({ entity: fc.constantFrom(...ENTITIES), features: time, scored: time });
const steps = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      scope: scopeNumber,
      puts: fc.array(onePut, { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('entities' as const),
      scope: scopeNumber,
      entities: fc.uniqueArray(fc.constantFrom(...ENTITIES), { minLength: 1 }),
      at: time,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('model' as const, 'age' as const), scope: scopeNumber, at: time }),
  },
);

/** The rules in the plainest words: all that was ever said is kept, and asked anew each time. */
class Rules {
  readonly #entries = new Map<string, { scope: ScoreScope; entity: string; stored: StoredScore }>();
  readonly #invalidations: Invalidation[] = [];

  put(scope: ScoreScope, entity: string, stored: StoredScore): keyof PutCounts {
    if (this.#invalidations.some((invalidation) => hits(invalidation, scope, entity, stored))) return 'invalidated';
    const there = this.get(scope, entity);
    if (there !== undefined && !supersedes(stored, there)) return 'outdated';
    this.#entries.set(keyOf(scope, entity), { scope, entity, stored });
    return 'stored';
  }

  /** How many are gone by it. */
  invalidate(invalidation: Invalidation): number {
    this.#invalidations.push(invalidation);
    let gone = 0;
    for (const [key, { scope, entity, stored }] of this.#entries) {
      if (!hits(invalidation, scope, entity, stored)) continue;
      this.#entries.delete(key);
      gone++;
    }
    return gone;
  }

  get(scope: ScoreScope, entity: string): StoredScore | undefined {
    return this.#entries.get(keyOf(scope, entity))?.stored;
  }
}

function keyOf({ model, digest, view }: ScoreScope, entity: string): string {
  return JSON.stringify([model, digest, view, entity]);
}

function supersedes(coming: StoredScore, there: StoredScore): boolean {
  if (coming.featuresAsOfMs !== there.featuresAsOfMs) return coming.featuresAsOfMs > there.featuresAsOfMs;
  return coming.scoredAtMs >= there.scoredAtMs;
}

function hits(invalidation: Invalidation, scope: ScoreScope, entity: string, stored: StoredScore): boolean {
  if (invalidation.model !== scope.model) return false;
  if (invalidation.kind === 'age') return stored.scoredAtMs < invalidation.scoredBeforeMs;
  if (invalidation.kind === 'entities' && !invalidation.entities.includes(entity)) return false;
  return stored.featuresAsOfMs <= invalidation.atMs;
}
