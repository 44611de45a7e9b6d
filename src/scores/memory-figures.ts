// Figures of stored scores in memory, taken in slices.
import { AGE_BUCKETS, ageBucket } from './age-buckets.ts';
import type { ScopeStats } from './score-store.ts';
import { goneAt, type ScoreTable } from './score-tables.ts';
import { Slices } from './slices.ts';

/** Entities that `coverage` looks at before it projects. */
const COVERAGE_SAMPLE = 100_000;

/** Of the entries that are not gone; exact, but for those that come and go meanwhile. */
export async function scopeStats(of: ScoreTable, now: () => number, slices: Slices): Promise<ScopeStats> {
  const { scope, table } = of;
  const ages = new Array<number>(AGE_BUCKETS).fill(0);
  let entries = 0;
  let bytes = 0;
  for (let place = 0; place < table.places; place++) {
    const nowMs = now();
    const isGone = goneAt(of, nowMs);
    table.visit(place, (_, slot) => {
      if (isGone(slot)) return;
      const bucket = ageBucket(nowMs - table.slots.scoredAtMs(slot));
      ages[bucket] = (ages[bucket] as number) + 1;
      entries++;
      bytes += table.slots.size(slot);
    });
    if (slices.over) await slices.next();
  }
  return { scope, entries, bytes, evictions: table.evictions, ages, estimated: false };
}

/**
 * How many entities of a table are not gone, and how many of these `has` knows. Of a large table some shards are looked at,
 * until they are a hundred thousand entities; that a shard has these entities and not others is chance.
 */
export async function coverage(
  of: ScoreTable,
  has: (entity: string) => boolean,
  now: () => number,
): Promise<{ entities: number; covered: number }> {
  const { table } = of;
  const slices = new Slices();
  let looked = 0;
  let entities = 0;
  let covered = 0;
  let place = 0;
  for (; place < table.places && looked < COVERAGE_SAMPLE; place++) {
    const isGone = goneAt(of, now());
    const kept: string[] = [];
    looked += table.visit(place, (entity, slot) => {
      if (!isGone(slot)) kept.push(entity);
    });
    for (const entity of kept) {
      if (slices.over) await slices.next();
      entities++;
      if (has(entity)) covered++;
    }
  }
  const share = place === table.places ? 1 : table.entries / looked;
  return { entities: Math.round(entities * share), covered: Math.round(covered * share) };
}
