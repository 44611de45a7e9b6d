import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MemoryStore } from '../../../src/scores/memory-store.ts';
import type { Invalidation, ScoreScope, StoredScore } from '../../../src/scores/score-store.ts';
import { aScope, aScore } from '../../support/stored-scores.ts';

const SCOPES = [aScope(), aScope({ digest: 'd2' }), aScope({ model: 'other' })];
const MAX_ENTRIES = 25;
const MAX_BYTES = 4000;

const scopeNumber = fc.integer({ min: 0, max: SCOPES.length - 1 });
const entity = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map((number) => `e${number}`),
  fc.integer({ min: 1, max: 1500 }).map((length) => 'long'.padEnd(length, 'x')),
);
const ms = fc.integer({ min: 0, max: 20 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      scope: scopeNumber,
      entities: fc.array(entity, { minLength: 1, maxLength: 12 }),
      featuresAgoMs: ms,
      scoredAgoMs: ms,
      keptMs: ms,
      large: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('entities' as const, 'model' as const, 'age' as const),
      scope: scopeNumber,
      entities: fc.array(entity, { maxLength: 5 }),
      agoMs: ms,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), scope: scopeNumber, entity }) },
);

type Known = { scope: ScoreScope; entity: string; stored: StoredScore };

it('limits are kept, and nothing is served but the last that was stored and holds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (history) => {
      let nowMs = 1000;
      let serial = 0;
      const store = new MemoryStore({
        maxEntries: MAX_ENTRIES,
        maxBytes: MAX_BYTES,
        maxTombstones: 4,
        now: () => nowMs,
      });
      const known = new Map<string, Known>();
      const keyOf = (scope: ScoreScope, of: string) => JSON.stringify([SCOPES.indexOf(scope), of]);
      for (const each of history) {
        if (each.kind === 'pass') nowMs += each.ms;
        else if (each.kind === 'put') {
          for (const of of each.entities) {
            const scope = SCOPES[each.scope] as ScoreScope;
            const stored = aScore({
              score: ++serial,
              featuresAsOfMs: nowMs - each.featuresAgoMs,
              scoredAtMs: nowMs - each.scoredAgoMs,
              keptUntilMs: nowMs + each.keptMs,
              outputs: each.large
                ? new Map([['p', { type: 'float64', dims: [20], data: new Float64Array(20) }]])
                : undefined,
            });
            const outcome = store.putOne(scope, { entity: of, stored });
            if (outcome === 'stored') known.set(keyOf(scope, of), { scope, entity: of, stored });
            expect(store.held.entries).toBeLessThanOrEqual(MAX_ENTRIES);
            expect(store.held.bytes).toBeLessThanOrEqual(MAX_BYTES);
          }
        } else if (each.kind === 'forget') {
          const scope = SCOPES[each.scope] as ScoreScope;
          store.forget(scope, each.entity);
          known.delete(keyOf(scope, each.entity));
        } else {
          const { model } = SCOPES[each.scope] as ScoreScope;
          const atMs = nowMs - each.agoMs;
          const { kind, entities } = each;
          const invalidation: Invalidation =
            kind === 'entities'
              ? { kind, model, entities, atMs }
              : kind === 'model'
                ? { kind, model, atMs }
                : { kind, model, scoredBeforeMs: atMs };
          await store.invalidate(invalidation);
          for (const [key, one] of known) if (isHit(one, invalidation)) known.delete(key);
        }
        let served = 0;
        for (const scope of SCOPES) {
          const entities = new Set([...known.values()].map((one) => one.entity));
          for (const of of entities) {
            const found = store.peek(scope, of);
            if (found === undefined) continue;
            served++;
            expect(found).toEqual(known.get(keyOf(scope, of))?.stored);
            expect(found.keptUntilMs).toBeGreaterThan(nowMs);
          }
        }
        // Every entry is one that is served, and its bytes are no more than what is held.
        const stats = await store.stats();
        expect(stats.reduce((sum, { entries }) => sum + entries, 0)).toBe(served);
        expect(served).toBeLessThanOrEqual(store.held.entries);
        expect(stats.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(store.held.bytes);
        if (served === store.held.entries) {
          expect(stats.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(store.held.bytes);
        }
      }
      await store.close();
    }),
    { numRuns: 150 },
  );
});

function isHit({ scope, entity, stored }: Known, invalidation: Invalidation): boolean {
  if (invalidation.model !== scope.model) return false;
  if (invalidation.kind === 'age') return stored.scoredAtMs < invalidation.scoredBeforeMs;
  if (invalidation.kind === 'entities' && !invalidation.entities.includes(entity)) return false;
  return stored.featuresAsOfMs <= invalidation.atMs;
}
