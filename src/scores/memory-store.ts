// Stored scores in the memory of this process.
import {
  AGE_BUCKETS_SECONDS,
  type Invalidation,
  type PutCounts,
  type ScopeStats,
  type ScorePut,
  type ScoreScope,
  type ScoreStore,
  type StoredScore,
} from './score-store.ts';

export type MemoryStoreOptions = {
  /** Entries of all scopes together. */
  maxEntries: number;
  /** Of all scopes together, keys included. */
  maxBytes: number;
  /** Milliseconds since 1970. */
  now?: () => number;
};

/** What became of one put. */
export type PutOutcome = keyof PutCounts;

type Table = { scope: ScoreScope; entries: Map<string, StoredScore> };

/** Plain so far: no limits yet. */
export class MemoryStore implements ScoreStore {
  readonly kind = 'memory';
  readonly #now: () => number;
  readonly #tables = new Map<string, Table>();
  readonly #invalidations: Invalidation[] = [];

  constructor({ now = Date.now }: MemoryStoreOptions) {
    this.#now = now;
  }

  peek(scope: ScoreScope, entity: string): StoredScore | undefined {
    const stored = this.#tables.get(keyOf(scope))?.entries.get(entity);
    return stored !== undefined && stored.keptUntilMs > this.#now() ? stored : undefined;
  }

  async fetch(scope: ScoreScope, entities: readonly string[]): Promise<readonly (StoredScore | undefined)[]> {
    return entities.map((entity) => this.peek(scope, entity));
  }

  async put(scope: ScoreScope, puts: readonly ScorePut[]): Promise<PutCounts> {
    const counts = { stored: 0, outdated: 0, invalidated: 0 };
    for (const put of puts) counts[this.putOne(scope, put)]++;
    return counts;
  }

  putOne(scope: ScoreScope, { entity, stored }: ScorePut): PutOutcome {
    if (stored.keptUntilMs <= this.#now()) return 'outdated';
    if (this.#invalidations.some((each) => hits(each, scope, entity, stored))) return 'invalidated';
    const there = this.peek(scope, entity);
    if (there !== undefined) {
      if (stored.featuresAsOfMs < there.featuresAsOfMs) return 'outdated';
      if (stored.featuresAsOfMs === there.featuresAsOfMs && stored.scoredAtMs < there.scoredAtMs) return 'outdated';
    }
    let table = this.#tables.get(keyOf(scope));
    if (table === undefined) {
      table = { scope, entries: new Map() };
      this.#tables.set(keyOf(scope), table);
    }
    table.entries.set(entity, stored);
    return 'stored';
  }

  async invalidate(invalidation: Invalidation): Promise<number> {
    this.#invalidations.push(invalidation);
    let gone = 0;
    for (const { scope, entries } of this.#tables.values()) {
      for (const [entity, stored] of entries) {
        if (hits(invalidation, scope, entity, stored)) gone += Number(entries.delete(entity));
      }
    }
    return gone;
  }

  async stats(): Promise<readonly ScopeStats[]> {
    const now = this.#now();
    return [...this.#tables.values()].map(({ scope, entries }) => {
      const ages = new Array<number>(AGE_BUCKETS_SECONDS.length + 1).fill(0);
      let live = 0;
      for (const { scoredAtMs, keptUntilMs } of entries.values()) {
        if (keptUntilMs <= now) continue;
        const bucket = AGE_BUCKETS_SECONDS.findIndex((seconds) => now - scoredAtMs <= seconds * 1000);
        const at = bucket === -1 ? AGE_BUCKETS_SECONDS.length : bucket;
        ages[at] = (ages[at] ?? 0) + 1;
        live++;
      }
      return { scope, entries: live, bytes: live * 128, evictions: 0, ages, estimated: false };
    });
  }

  async coverage(of: ScoreScope, by: ScoreScope): Promise<{ entities: number; covered: number }> {
    const entities = [...(this.#tables.get(keyOf(of))?.entries.keys() ?? [])].filter((entity) => this.peek(of, entity));
    return { entities: entities.length, covered: entities.filter((entity) => this.peek(by, entity)).length };
  }

  problem(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}

function keyOf({ model, version, digest, view }: ScoreScope): string {
  return JSON.stringify([model, version, digest, view]);
}

function hits(invalidation: Invalidation, scope: ScoreScope, entity: string, stored: StoredScore): boolean {
  if (invalidation.model !== scope.model) return false;
  if (invalidation.kind === 'age') return stored.scoredAtMs < invalidation.scoredBeforeMs;
  if (invalidation.kind === 'entities' && !invalidation.entities.includes(entity)) return false;
  return stored.featuresAsOfMs <= invalidation.atMs;
}
