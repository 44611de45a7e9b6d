// Stored scores in Redis, shared by all replicas. Redis decides what may be written; replicas need not know of each other.
import { GatheredGets, type Values } from '../redis/gathered-gets.ts';
import type { RedisLink, RedisScript } from '../redis/redis-link.ts';
import { packScore, unpackScore } from './packed-score.ts';
import { type Floors, floorsOf, packFloors, standsAbove, unpackFloors } from './redis-floors.ts';
import { RedisKeys, scopeMember, scopeOf } from './redis-keys.ts';
import { RedisSample } from './redis-sample.ts';
import { BURY, PUT, PUT_OUTCOMES, RAISE, REMOVE } from './redis-scripts.ts';
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

/**
 * Entries of one script, which nothing else of Redis runs beside, and scripts of one call that are under way at once: what a
 * look-up has to wait for. So many take 0.3 ms; with 200 and 4, puts were a third faster, and look-ups beside them took 3 ms.
 */
const ENTRIES_A_SCRIPT = 50;
const SCRIPTS_AT_ONCE = 2;

/** Entries of one MGET, which nothing else runs beside either. */
const ENTRIES_A_LOOK_UP = 500;

/** Milliseconds after its last entry expired in which a scope is still looked into: clocks differ. */
const SCOPE_SLACK_MS = 3_600_000;

const WEEK_MS = 7 * 86_400_000;

export type RedisStoreOptions = {
  /** Milliseconds that one step of a put or an invalidation may take. */
  readonly writeWithinMs?: number;
  /**
   * Milliseconds for which scores from features read before an invalidation of their entity are refused: as long as a job may
   * take between reading features and putting scores, interruptions included; a week, if nothing else is said.
   */
  readonly tombstonesForMs?: number;
  /** Milliseconds that figures are good for. */
  readonly statsForMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
};

/**
 * Entries, their packed scores and tombstones expire by themselves; floors and the list of scopes don't, and nothing is right
 * without them. So a Redis with a memory limit needs a policy that leaves those alone: noeviction, where puts fail once it
 * is full, or one of volatile-*, where entries give way (and tombstones, which late scores of old features may slip past then).
 */
export class RedisStore implements ScoreStore {
  readonly kind = 'redis';
  readonly keys: RedisKeys;
  readonly #link: RedisLink;
  readonly #gets: GatheredGets;
  readonly #sample: RedisSample;
  readonly #writeWithinMs: number;
  readonly #tombstonesForMs: number;
  readonly #now: () => number;

  /** The store closes the link when it is closed. */
  constructor(
    link: RedisLink,
    { writeWithinMs = 2000, tombstonesForMs = WEEK_MS, statsForMs = 30_000, now = Date.now }: RedisStoreOptions = {},
  ) {
    this.keys = new RedisKeys(link.prefix);
    this.#link = link;
    this.#gets = new GatheredGets(link);
    this.#writeWithinMs = writeWithinMs;
    this.#tombstonesForMs = tombstonesForMs;
    this.#now = now;
    const read = (scope: ScoreScope, entities: readonly string[]) => this.fetch(scope, entities, writeWithinMs);
    this.#sample = new RedisSample(link, this.keys, read, () => this.#scopes(), statsForMs, now);
  }

  peek(): typeof ELSEWHERE {
    return ELSEWHERE;
  }

  async fetch(
    scope: ScoreScope,
    entities: readonly string[],
    withinMs: number,
  ): Promise<readonly (StoredScore | undefined)[]> {
    if (entities.length <= ENTRIES_A_LOOK_UP) return this.#fetchSome(scope, entities, withinMs);
    const parts = await Promise.all(
      slices(entities, ENTRIES_A_LOOK_UP).map((some) => this.#fetchSome(scope, some, withinMs)),
    );
    return parts.flat();
  }

  async put(scope: ScoreScope, puts: readonly ScorePut[]): Promise<PutCounts> {
    const counts = { stored: 0, outdated: 0, invalidated: 0 };
    for (const outcome of await this.putEach(scope, puts)) counts[outcome]++;
    return counts;
  }

  /** As `put`, with what became of each. */
  async putEach(scope: ScoreScope, puts: readonly ScorePut[]): Promise<(keyof PutCounts)[]> {
    const nowMs = this.#now();
    const outcomes = new Array<keyof PutCounts>(puts.length).fill('outdated');
    const live = [...puts.keys()].filter((i) => (puts[i] as ScorePut).stored.keptUntilMs > nowMs);
    await inSteps(live, ENTRIES_A_SCRIPT, async (some) => {
      const answer = await this.#putSome(
        scope,
        some.map((i) => puts[i] as ScorePut),
        nowMs,
      );
      for (const [at, i] of some.entries()) outcomes[i] = PUT_OUTCOMES[answer[at] as keyof typeof PUT_OUTCOMES];
    });
    return outcomes;
  }

  async invalidate(invalidation: Invalidation): Promise<number | undefined> {
    if (invalidation.kind === 'entities') return this.#removeEntities(invalidation);
    // What lies below the floors is never answered again, on no replica, and expires as it would have.
    await this.#script(RAISE, [this.keys.floors(invalidation.model)], [packFloors(floorsOf(invalidation))]);
    this.#sample.forget();
    return undefined;
  }

  stats(): Promise<readonly ScopeStats[]> {
    return this.#sample.stats();
  }

  coverage(of: ScoreScope, by: ScoreScope): Promise<{ entities: number; covered: number }> {
    return this.#sample.coverage(of, by);
  }

  problem(): string | undefined {
    return this.#link.problem();
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  async #fetchSome(
    scope: ScoreScope,
    entities: readonly string[],
    withinMs: number,
  ): Promise<readonly (StoredScore | undefined)[]> {
    if (entities.length === 0) return [];
    // The floors are of the same moment as the entries.
    const keys = [this.keys.floors(scope.model)];
    for (const entity of entities) keys.push(this.keys.entry(scope, entity));
    const values = await this.#gets.get(keys, withinMs);
    const floors = unpackFloors(values[0] as Buffer | null);
    if (floors === undefined) {
      this.#link.countGarbage();
      return entities.map(() => undefined);
    }
    return this.#read(values, floors);
  }

  /** The entries behind the floors. */
  #read(values: Values, floors: Floors): (StoredScore | undefined)[] {
    const nowMs = this.#now();
    const read = new Array<StoredScore | undefined>(values.length - 1).fill(undefined);
    for (let i = 1; i < values.length; i++) {
      const value = values[i] as Buffer | null;
      if (value === null) continue;
      const stored = unpackScore(value);
      if (stored === undefined) this.#link.countGarbage();
      else if (stored.keptUntilMs > nowMs && standsAbove(stored, floors)) read[i - 1] = stored;
    }
    return read;
  }

  async #putSome(scope: ScoreScope, puts: readonly ScorePut[], nowMs: number): Promise<string> {
    const keys = [this.keys.scopes, this.keys.floors(scope.model)];
    const values: (Buffer | number)[] = [];
    let lastMs = 0;
    for (const { entity, stored } of puts) {
      keys.push(this.keys.tombstone(scope.model, entity), this.keys.entry(scope, entity));
      values.push(packScore(stored), Math.ceil(stored.keptUntilMs - nowMs));
      lastMs = Math.max(lastMs, stored.keptUntilMs);
    }
    return String(await this.#script(PUT, keys, [scopeMember(scope), lastMs, nowMs, ...values]));
  }

  /**
   * Takes the entities' entries out of every scope of the model; none that the invalidation concerns survives it:
   * a put that Redis ran before an entity's tombstone was there has noted its scope in the same step, so that scope is among
   * those that are read after the tombstone, and the entry is found and deleted. A put that Redis ran after it met the tombstone.
   */
  async #removeEntities({
    model,
    entities,
    atMs,
  }: Extract<Invalidation, { kind: 'entities' }>): Promise<number | undefined> {
    const at = Buffer.allocUnsafe(8);
    at.writeDoubleLE(atMs);
    await inSteps(entities, ENTRIES_A_SCRIPT, (some) => {
      const tombstones = some.map((entity) => this.keys.tombstone(model, entity));
      return this.#script(BURY, tombstones, [at, this.#tombstonesForMs]);
    });
    const scopes = (await this.#scopes()).filter((scope) => scope.model === model);
    // Versions that are the same file share entries.
    const beginnings = [...new Set(scopes.map((scope) => this.keys.entries(scope)))];
    const entries = beginnings.flatMap((beginning) => entities.map((entity) => `${beginning}${entity}`));
    let gone = 0;
    await inSteps(entries, 2 * ENTRIES_A_SCRIPT, async (some) => {
      const count = await this.#script(REMOVE, [this.keys.floors(model), ...some], [at, this.#now()]);
      gone += count as number;
    });
    this.#sample.forget();
    return gone;
  }

  /** All scopes that can have entries, of all models. */
  async #scopes(): Promise<ScoreScope[]> {
    const gone = this.#now() - SCOPE_SLACK_MS;
    await this.#link.call(['zremrangebyscore', this.keys.scopes, '-inf', gone], this.#writeWithinMs);
    const members = await this.#link.call(['zrange', this.keys.scopes, 0, -1], this.#writeWithinMs);
    return (members as Buffer[]).map((member) => scopeOf(String(member))).filter((scope) => scope !== undefined);
  }

  #script(script: RedisScript, keys: readonly string[], args: readonly (string | Buffer | number)[]) {
    return this.#link.script(script, keys, args, this.#writeWithinMs);
  }
}

/** Runs `step` over slices of the items, some at once; begins no other once one has failed. */
async function inSteps<T>(items: readonly T[], size: number, step: (some: readonly T[]) => Promise<unknown>) {
  const waiting = slices(items, size).reverse();
  const lane = async () => {
    for (let some = waiting.pop(); some !== undefined; some = waiting.pop()) {
      try {
        await step(some);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: SCRIPTS_AT_ONCE }, lane));
}

function slices<T>(items: readonly T[], size: number): (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let from = 0; from < items.length; from += size) parts.push(items.slice(from, from + size));
  return parts;
}
