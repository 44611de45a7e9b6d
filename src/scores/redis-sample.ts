// Figures about what lies in Redis, from as many of its entries as a bounded time allows.
import type { RedisLink } from '../redis/redis-link.ts';
import { AGE_BUCKETS, ageBucket } from './age-buckets.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { ScopeStats, ScoreScope, StoredScore } from './score-store.ts';

/** Keys that Redis looks at for one answer; so many take it a tenth of a millisecond. */
const KEYS_A_PAGE = 500;

/** Milliseconds and entries after which a sample is large enough. */
const SAMPLE_MS = 500;
const SAMPLE_ENTRIES = 10_000;

/** Milliseconds that one page may take. */
const PAGE_MS = 1000;

/** What Redis takes for an entry beside its key and value: two places in tables, headers. */
const BYTES_AN_ENTRY = 136;

/** What a packed score without outputs takes. */
const BYTES_A_SCORE = 41;

type Fetch = (scope: ScoreScope, entities: readonly string[]) => Promise<readonly (StoredScore | undefined)[]>;

type Sample = {
  /** Names of entries. */
  keys: readonly string[];
  /** By how many the sample has to be multiplied. */
  scale: number;
  /** Whether it has all. */
  whole: boolean;
};

export class RedisSample {
  readonly #link: RedisLink;
  readonly #keys: RedisKeys;
  readonly #fetch: Fetch;
  readonly #scopes: () => Promise<readonly ScoreScope[]>;
  readonly #goodForMs: number;
  readonly #now: () => number;
  #last: { stats: Promise<readonly ScopeStats[]>; untilMs: number } | undefined;

  constructor(
    link: RedisLink,
    keys: RedisKeys,
    fetch: Fetch,
    scopes: () => Promise<readonly ScoreScope[]>,
    goodForMs: number,
    now: () => number,
  ) {
    this.#link = link;
    this.#keys = keys;
    this.#fetch = fetch;
    this.#scopes = scopes;
    this.#goodForMs = goodForMs;
    this.#now = now;
  }

  /** Whoever asks within the time that figures are good for gets the same. */
  stats(): Promise<readonly ScopeStats[]> {
    const nowMs = this.#now();
    if (this.#last !== undefined && nowMs < this.#last.untilMs) return this.#last.stats;
    const last = { stats: this.#measure(), untilMs: nowMs + this.#goodForMs };
    this.#last = last;
    last.stats.catch(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return last.stats;
  }

  /** The figures are no longer good. */
  forget(): void {
    this.#last = undefined;
  }

  async coverage(of: ScoreScope, by: ScoreScope): Promise<{ entities: number; covered: number }> {
    const { keys } = await this.#take(this.#keys.entries(of));
    const entities = keys.map((key) => this.#keys.entityIn(key));
    const [there, covering] = await Promise.all([this.#fetch(of, entities), this.#fetch(by, entities)]);
    let counted = 0;
    let covered = 0;
    for (let i = 0; i < entities.length; i++) {
      if (there[i] === undefined) continue;
      counted++;
      if (covering[i] !== undefined) covered++;
    }
    return { entities: counted, covered };
  }

  async #measure(): Promise<readonly ScopeStats[]> {
    const scopes = await this.#scopes();
    const { keys, scale, whole } = await this.#take(this.#keys.entries());
    const entities = Map.groupBy(keys, (key) => this.#keys.hashIn(key));
    // Versions that are the same file share entries: these are the last one's.
    const byHash = new Map(scopes.map((scope) => [this.#keys.hash(scope), scope]));
    const figures: Promise<ScopeStats>[] = [];
    for (const [hash, scope] of byHash) {
      const own = (entities.get(hash) ?? []).map((key) => this.#keys.entityIn(key));
      figures.push(this.#measureScope(scope, own, scale, !whole));
    }
    return Promise.all(figures);
  }

  async #measureScope(
    scope: ScoreScope,
    entities: readonly string[],
    scale: number,
    estimated: boolean,
  ): Promise<ScopeStats> {
    const stored = await this.#fetch(scope, entities);
    const nowMs = this.#now();
    const ages = new Array<number>(AGE_BUCKETS).fill(0);
    let entries = 0;
    let bytes = 0;
    for (const [number, each] of stored.entries()) {
      if (each === undefined) continue;
      const bucket = ageBucket(nowMs - each.scoredAtMs);
      ages[bucket] = (ages[bucket] as number) + 1;
      entries++;
      bytes += this.#keys.entry(scope, entities[number] as string).length + bytesOf(each);
    }
    const scaled = (count: number) => Math.round(count * scale);
    // Redis counts what gave way for the whole server only, whoever it belonged to.
    return { scope, entries: scaled(entries), bytes: scaled(bytes), evictions: 0, ages: ages.map(scaled), estimated };
  }

  /** Names of entries that begin so: all, or those that are found in time; Redis goes over its keys in no order. */
  async #take(beginning: string): Promise<Sample> {
    const found = new Set<string>();
    const endMs = performance.now() + SAMPLE_MS;
    let cursor = '0';
    let seen = 0;
    do {
      const command = ['scan', cursor, 'MATCH', `${beginning}*`, 'COUNT', KEYS_A_PAGE] as const;
      const [next, page] = (await this.#link.call(command, PAGE_MS)) as unknown as [Buffer, Buffer[]];
      cursor = String(next);
      seen += KEYS_A_PAGE;
      for (const key of page) found.add(String(key));
    } while (cursor !== '0' && found.size < SAMPLE_ENTRIES && performance.now() < endMs);
    const keys = [...found];
    if (cursor === '0') return { keys, scale: 1, whole: true };
    const all = (await this.#link.call(['dbsize'], PAGE_MS)) as number;
    return { keys, scale: Math.max(1, all / seen), whole: false };
  }
}

function bytesOf({ outputs, job }: StoredScore): number {
  let bytes = BYTES_AN_ENTRY + BYTES_A_SCORE + job.length;
  for (const [name, { dims, data }] of outputs ?? []) {
    const values = Array.isArray(data) ? data.reduce((sum, text) => sum + text.length, 0) : data.byteLength;
    bytes += name.length + 4 * dims.length + values;
  }
  return bytes;
}
