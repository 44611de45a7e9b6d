// Stored scores in Redis, with those asked for lately in the memory of this process for a short time.
import type { RedisLink } from '../redis/redis-link.ts';
import { InvalidationChannel } from './invalidation-channel.ts';
import type { MemoryStore } from './memory-store.ts';
import type { RedisStore } from './redis-store.ts';
import {
  ELSEWHERE,
  type Invalidation,
  type PutCounts,
  type ScopeStats,
  type ScorePut,
  type ScoreScope,
  type ScoreStore,
  type StoredScore,
} from './score-store.ts';

export type TieredStoreOptions = {
  /** Made with `trustForMs`: how long it answers before Redis is asked again. */
  readonly memory: MemoryStore;
  readonly redis: RedisStore;
  /** The same that `redis` has. */
  readonly link: RedisLink;
};

/**
 * Redis has the last word. Memory answers for the time that it trusts an entry, and every replica tells the others what was
 * invalidated. Whatever comes into memory comes as a conditional put, and memory remembers invalidations: so one that
 * arrives while a score is on its way from Redis, or to it, wins.
 *
 * While invalidations may be missed, because the channel is interrupted, memory isn't asked, and what it had by then is never
 * answered after that. Only where Redis doesn't answer at all memory does, within its time: then nobody who needs this
 * Redis can invalidate anything, and whoever is cut off alone lags behind by that time at most.
 */
export class TieredStore implements ScoreStore {
  readonly kind = 'tiered';
  readonly #memory: MemoryStore;
  readonly #redis: RedisStore;
  readonly #channel: InvalidationChannel;
  /** What scopes are called in memory since the channel began; what is kept under older names is not found again. */
  #scopes = new WeakMap<ScoreScope, ScoreScope>();
  #epoch = 0;

  /** The store closes both floors when it is closed. */
  constructor({ memory, redis, link }: TieredStoreOptions) {
    this.#memory = memory;
    this.#redis = redis;
    this.#channel = new InvalidationChannel(link, redis.keys.invalidations, {
      invalidated: (invalidation) => memory.invalidate(invalidation),
      missed: () => this.#forgetAll(),
    });
  }

  peek(scope: ScoreScope, entity: string): StoredScore | typeof ELSEWHERE {
    if (!this.#memoryCounts()) return ELSEWHERE;
    return this.#memory.peek(this.#inMemory(scope), entity) ?? ELSEWHERE;
  }

  async fetch(
    scope: ScoreScope,
    entities: readonly string[],
    withinMs: number,
  ): Promise<readonly (StoredScore | undefined)[]> {
    // Under the name that it has now: what happens to memory while Redis is asked must not be undone.
    const inMemory = this.#inMemory(scope);
    const found = this.#memoryCounts()
      ? entities.map((entity) => this.#memory.peek(inMemory, entity))
      : new Array<StoredScore | undefined>(entities.length).fill(undefined);
    const missing = entities.filter((_, i) => found[i] === undefined);
    if (missing.length === 0) return found;
    const fetched = (await this.#redis.fetch(scope, missing, withinMs)).values();
    return found.map((stored, i) => stored ?? this.#keep(inMemory, entities[i] as string, fetched.next().value));
  }

  async put(scope: ScoreScope, puts: readonly ScorePut[]): Promise<PutCounts> {
    const inMemory = this.#inMemory(scope);
    const counts = { stored: 0, outdated: 0, invalidated: 0 };
    try {
      const outcomes = await this.#redis.putEach(scope, puts);
      for (const [i, outcome] of outcomes.entries()) {
        counts[outcome]++;
        if (outcome === 'stored') this.#putInMemory(inMemory, puts[i] as ScorePut);
      }
    } catch (error) {
      // What a call had computed serves the next one all the same.
      for (const put of puts) {
        if (isWrittenBack(put)) this.#memory.putOne(inMemory, put);
      }
      throw error;
    }
    return counts;
  }

  async invalidate(invalidation: Invalidation): Promise<number | undefined> {
    const [gone] = await Promise.all([this.#redis.invalidate(invalidation), this.#memory.invalidate(invalidation)]);
    await this.#channel.tell(invalidation);
    return gone;
  }

  stats(): Promise<readonly ScopeStats[]> {
    return this.#redis.stats();
  }

  coverage(of: ScoreScope, by: ScoreScope): Promise<{ entities: number; covered: number }> {
    return this.#redis.coverage(of, by);
  }

  problem(): string | undefined {
    return this.#redis.problem();
  }

  async close(): Promise<void> {
    this.#channel.close();
    await Promise.all([this.#redis.close(), this.#memory.close()]);
  }

  #memoryCounts(): boolean {
    return this.#channel.active || this.#redis.problem() !== undefined;
  }

  /** Puts what Redis had into memory, and returns what counts of the two. */
  #keep(inMemory: ScoreScope, entity: string, stored: StoredScore | undefined): StoredScore | undefined {
    if (stored === undefined) return undefined;
    const outcome = this.#memory.putOne(inMemory, { entity, stored });
    if (outcome === 'invalidated') return undefined;
    return outcome === 'outdated' ? (this.#memory.peek(inMemory, entity) ?? stored) : stored;
  }

  /** A job's scores are a whole night's: only those that are in use replace what is there. */
  #putInMemory(inMemory: ScoreScope, put: ScorePut): void {
    if (isWrittenBack(put)) this.#memory.putOne(inMemory, put);
    else this.#memory.replaceOne(inMemory, put);
  }

  #inMemory(scope: ScoreScope): ScoreScope {
    const known = this.#scopes.get(scope);
    if (known !== undefined) return known;
    const named = { ...scope, view: `${scope.view} ${this.#epoch}` };
    this.#scopes.set(scope, named);
    return named;
  }

  #forgetAll(): void {
    this.#epoch++;
    this.#scopes = new WeakMap();
  }
}

function isWrittenBack({ stored }: ScorePut): boolean {
  return stored.job === '';
}
