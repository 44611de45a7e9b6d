// Stored scores in the memory of this process.
import { randomInt } from 'node:crypto';
import { hashText, textBytes } from './entity-text.ts';
import { type EntrySlots, NO_SLOT } from './entry-slots.ts';
import { JobNames } from './job-names.ts';
import { coverage, scopeStats } from './memory-figures.ts';
import { Invalidations, type ModelInvalidations } from './model-invalidations.ts';
import { outputsBytes, ownOutputs } from './own-outputs.ts';
import type {
  Invalidation,
  PutCounts,
  ScopeStats,
  ScorePut,
  ScoreScope,
  ScoreStore,
  StoredScore,
} from './score-store.ts';
import { isGone, ScoreTables } from './score-tables.ts';
import { Slices } from './slices.ts';
import { Sweeper } from './sweeper.ts';

/** What an entry takes of resident memory beside the text of its entity and its outputs, as `npm run bench:scores` says. */
const ENTRY_BYTES = 160;
/** A larger share no entry gets: thousands of others would have to give way at once, and everybody to wait for it. */
const LARGEST_SHARE = 1 / 256;
const LARGEST_AT_LEAST_BYTES = 4096;

const MAX_TOMBSTONES = 1_000_000;
const TOMBSTONES_SHARE = 1 / 4;
const WEEK_MS = 7 * 86_400_000;

const SWEEP_EVERY_MS = 10_000;

export type MemoryStoreOptions = {
  /** Entries of all scopes together. */
  maxEntries: number;
  /** Of all scopes together, keys included. */
  maxBytes: number;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** How long after it was put an entry counts as there, milliseconds; absent: for as long as it is kept. */
  trustForMs?: number;
  /**
   * How long an invalidation is remembered for puts that come after it, milliseconds. It has to outlast every score that is
   * on its way, and scores are on their way for as long as a job that was interrupted may be resumed: a week, if nothing
   * else is said. But not for ever: where features carry their own time, an entity whose features don't change is not stored
   * until then.
   */
  tombstonesForMs?: number;
  /** Invalidated entities that are remembered one by one. */
  maxTombstones?: number;
  /** Milliseconds between two passes over all entries, in which those that are gone are removed. */
  sweepEveryMs?: number;
};

/** What became of one put. */
export type PutOutcome = keyof PutCounts;

/**
 * Entries of all scopes in one process, those not asked for the longest giving way (about: among some thousand others).
 * Everything is answered at once, so `peek` says all there is to say, and `putOne` is `put` for one score without a promise.
 *
 * As the upper floor of a tiered store it is made with `trustForMs`: an entry that was put that long ago is absent, for `peek`
 * and for puts, until the store below was asked and its answer is put again; `keptUntilMs` stays what it was. `replaceOne`
 * puts only over an entry that is there, for puts that needn't take room up here, and `forget` takes one out that the store
 * below turned out not to have. Invalidations are told to both floors: what was fetched from below before is refused here.
 */
export class MemoryStore implements ScoreStore {
  readonly kind = 'memory';
  readonly #now: () => number;
  readonly #hash: (entity: string) => number;
  readonly #trustForMs: number;
  readonly #largestBytes: number;
  readonly #tables: ScoreTables;
  readonly #invalidations: Invalidations;
  readonly #jobs = new JobNames();
  readonly #jobName = (number: number) => this.#jobs.nameOf(number);
  readonly #sweeper: Sweeper;
  #figures: Promise<readonly ScopeStats[]> | undefined;

  constructor(options: MemoryStoreOptions) {
    const { maxEntries, maxBytes, now = Date.now, trustForMs, maxTombstones = MAX_TOMBSTONES } = options;
    this.#now = now;
    this.#trustForMs = trustForMs ?? Number.POSITIVE_INFINITY;
    // So that nobody can choose entities that come to lie in one shard.
    const seed = randomInt(2 ** 32);
    this.#hash = (entity) => hashText(entity, seed);
    this.#largestBytes = Math.min(maxBytes, Math.max(LARGEST_AT_LEAST_BYTES, maxBytes * LARGEST_SHARE));
    this.#tables = new ScoreTables({ maxEntries, maxBytes, hash: this.#hash, trusted: trustForMs !== undefined });
    this.#invalidations = new Invalidations({
      maxTombstones,
      maxBytes: maxBytes * TOMBSTONES_SHARE,
      forMs: options.tombstonesForMs ?? WEEK_MS,
      hash: this.#hash,
    });
    this.#sweeper = new Sweeper(this.#tables, this.#invalidations, now, options.sweepEveryMs ?? SWEEP_EVERY_MS);
  }

  /** What limits are kept of: entries that are gone count until they are removed. */
  get held(): { readonly entries: number; readonly bytes: number } {
    return this.#tables.group.totals;
  }

  peek(scope: ScoreScope, entity: string): StoredScore | undefined {
    const found = this.#tables.find(scope);
    if (found === undefined) return undefined;
    const { table, invalid } = found;
    const slot = table.find(entity, this.#hash(entity));
    if (slot === NO_SLOT || isGone(invalid, table.slots, slot, this.#now())) return undefined;
    return table.slots.read(slot, this.#jobName);
  }

  async fetch(scope: ScoreScope, entities: readonly string[]): Promise<readonly (StoredScore | undefined)[]> {
    const slices = new Slices();
    const found: (StoredScore | undefined)[] = [];
    for (const entity of entities) {
      if (slices.over) await slices.next();
      found.push(this.peek(scope, entity));
    }
    return found;
  }

  async put(scope: ScoreScope, puts: readonly ScorePut[]): Promise<PutCounts> {
    const slices = new Slices();
    const counts = { stored: 0, outdated: 0, invalidated: 0 };
    for (const put of puts) {
      if (slices.over) await slices.next();
      counts[this.putOne(scope, put)]++;
    }
    return counts;
  }

  putOne(scope: ScoreScope, put: ScorePut): PutOutcome {
    return this.#put(scope, put, false) as PutOutcome;
  }

  /** Puts a score only where its entity has one; 'absent' where it hasn't. */
  replaceOne(scope: ScoreScope, put: ScorePut): PutOutcome | 'absent' {
    return this.#put(scope, put, true);
  }

  #put(scope: ScoreScope, { entity, stored }: ScorePut, onlyOver: boolean): PutOutcome | 'absent' {
    const nowMs = this.#now();
    if (stored.keptUntilMs <= nowMs) return 'outdated';
    const hash = this.#hash(entity);
    const known = this.#tables.find(scope);
    const invalid = known?.invalid ?? this.#invalidations.of(scope.model);
    if (invalid.refuses(entity, hash, stored, nowMs)) return 'invalidated';
    if (known === undefined && onlyOver) return 'absent';
    const { table } = known ?? this.#tables.add(scope, invalid);
    const { slots } = table;
    const slot = table.find(entity, hash);
    const there = slot !== NO_SLOT && !isGone(invalid, slots, slot, nowMs);
    if (onlyOver && !there) return 'absent';
    if (there && isOutdated(stored, slots, slot)) return 'outdated';
    const outputs = ownOutputs(stored.outputs);
    const own = outputs === stored.outputs ? stored : { ...stored, outputs };
    const bytes = ENTRY_BYTES + textBytes(entity) + outputsBytes(outputs);
    if (bytes > this.#largestBytes) {
      // It gives way to all the others.
      if (slot !== NO_SLOT) table.remove(entity, hash, slot);
      table.evictions++;
      return 'stored';
    }
    table.write(entity, hash, slot, own, this.#jobs.numberOf(stored.job), bytes, nowMs + this.#trustForMs);
    this.#tables.group.makeRoom(hash, (from, evicted) => {
      if (!isGone(from.invalid, slots, evicted, nowMs)) from.table.evictions++;
    });
    return 'stored';
  }

  /** Removes an entry; others for the entity may be put at any time. */
  forget(scope: ScoreScope, entity: string): void {
    const table = this.#tables.find(scope)?.table;
    const hash = this.#hash(entity);
    const slot = table?.look(entity, hash) ?? NO_SLOT;
    if (slot !== NO_SLOT) table?.remove(entity, hash, slot);
  }

  async invalidate(invalidation: Invalidation): Promise<number> {
    const { kind, model } = invalidation;
    const invalid = this.#invalidations.of(model);
    if (kind === 'entities') return this.#invalidateEntities(invalid, invalidation.entities, invalidation.atMs);
    const nowMs = this.#now();
    const { featuresFloorMs, scoredFloorMs } = invalid;
    if (kind === 'model') this.#invalidations.features(invalid, invalidation.atMs, nowMs);
    else this.#invalidations.age(invalid, invalidation.scoredBeforeMs, nowMs);
    let gone = 0;
    await this.#sweeper.clear(this.#tables.ofModel(model), ({ table }, slot) => {
      if (!isGone({ featuresFloorMs, scoredFloorMs }, table.slots, slot, nowMs)) gone++;
    });
    return gone;
  }

  async #invalidateEntities(invalid: ModelInvalidations, entities: readonly string[], atMs: number): Promise<number> {
    const slices = new Slices();
    let tables = this.#tables.ofModel(invalid.model);
    let gone = 0;
    for (const entity of entities) {
      if (slices.over) {
        await slices.next();
        tables = this.#tables.ofModel(invalid.model);
      }
      const hash = this.#hash(entity);
      this.#invalidations.entity(invalid, entity, hash, atMs, this.#now());
      for (const { table } of tables) {
        const slot = table.look(entity, hash);
        if (slot === NO_SLOT || table.slots.featuresAsOfMs(slot) > atMs) continue;
        if (!isGone(invalid, table.slots, slot, this.#now())) gone++;
        table.remove(entity, hash, slot);
      }
    }
    return gone;
  }

  /** Whoever asks while entries are looked through gets what comes of that: it takes a part of every turn meanwhile. */
  stats(): Promise<readonly ScopeStats[]> {
    this.#figures ??= this.#readStats().finally(() => {
      this.#figures = undefined;
    });
    return this.#figures;
  }

  async #readStats(): Promise<readonly ScopeStats[]> {
    const slices = new Slices();
    const all: ScopeStats[] = [];
    for (const table of this.#tables.all) all.push(await scopeStats(table, this.#now, slices));
    return all;
  }

  async coverage(of: ScoreScope, by: ScoreScope): Promise<{ entities: number; covered: number }> {
    const from = this.#tables.find(of);
    if (from === undefined) return { entities: 0, covered: 0 };
    return coverage(from, (entity) => this.#has(by, entity), this.#now);
  }

  #has(scope: ScoreScope, entity: string): boolean {
    const found = this.#tables.find(scope);
    if (found === undefined) return false;
    const { table, invalid } = found;
    const slot = table.look(entity, this.#hash(entity));
    return slot !== NO_SLOT && !isGone(invalid, table.slots, slot, this.#now());
  }

  problem(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#sweeper.close();
  }
}

/** Whether a score must not replace the one in the slot: its features are older, or the same and scored earlier. */
function isOutdated(coming: StoredScore, slots: EntrySlots, slot: number): boolean {
  const featuresAsOfMs = slots.featuresAsOfMs(slot);
  if (coming.featuresAsOfMs !== featuresAsOfMs) return coming.featuresAsOfMs < featuresAsOfMs;
  return coming.scoredAtMs < slots.scoredAtMs(slot);
}
