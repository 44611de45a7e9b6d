// Any number of entries by entity, in shards that grow and split one at a time, so that no put waits for all the others.
import { LRUCache } from 'lru-cache';
import { ownText } from './entity-text.ts';
import { type EntrySlots, NO_SLOT } from './entry-slots.ts';
import type { StoredScore } from './score-store.ts';

/**
 * A shard holds so many at most. Remaking one takes a millisecond; and its tables are small enough for V8 to keep
 * them among other objects.
 */
const MOST_IN_SHARD = 4096;
const LEAST_IN_SHARD = 16;
/**
 * A full shard is made anew with so many times its capacity: what stands empty then costs less than the garbage of smaller steps,
 * as most of an entry lies elsewhere.
 */
const GROWTH = 4;
/** Beyond, hashes that agree are no accident, and a full shard's entries give way. */
const MOST_DEPTH = 18;

/** lru-cache makes an object a call where it is given none. */
const NO_OPTIONS = {};

/** What the entries of all tables take that have limits in common. */
export type Totals = { entries: number; bytes: number };

export type TableOptions = {
  totals: Totals;
  slots: EntrySlots;
  /** Of an entity, 32 bits; for `find` and the others to be called with. */
  hash: (entity: string) => number;
};

/** Whether the entry in a slot counts as absent. */
export type IsGone = (slot: number) => boolean;

type Shard = {
  slots: LRUCache<string, number>;
  /** All its entries agree in so many low bits of their hash. */
  depth: number;
  /** No entry is gone before, by its own time. */
  endsMs: number;
};

/**
 * Extendible hashing: a directory of shards by the low bits of an entity's hash, each an LRU from entity to slot. A full shard is
 * made anew, larger; one that is as large as shards get splits by the next bit of the hash. What entries say stays where it is.
 */
export class EntityTable {
  readonly slots: EntrySlots;
  readonly #totals: Totals;
  readonly #hash: (entity: string) => number;
  /** Its length is a power of two; a shard is in every place whose low bits, as many as its depth, are those of its entries. */
  #directory: Shard[] = [newShard(LEAST_IN_SHARD, 0)];
  #entries = 0;
  #bytes = 0;
  /** Entries that gave way. */
  evictions = 0;

  constructor({ totals, slots, hash }: TableOptions) {
    this.#totals = totals;
    this.slots = slots;
    this.#hash = hash;
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The slot of an entity, which is now the last to give way; NO_SLOT where it has none. */
  find(entity: string, hash: number): number {
    return this.#shard(hash).slots.get(entity, NO_OPTIONS) ?? NO_SLOT;
  }

  /** The same, and what gives way first stays as it is. */
  look(entity: string, hash: number): number {
    return this.#shard(hash).slots.peek(entity, NO_OPTIONS) ?? NO_SLOT;
  }

  /** Writes an entry over what is in the entity's slot, or into a new one where that is NO_SLOT. */
  write(
    entity: string,
    hash: number,
    slot: number,
    stored: StoredScore,
    job: number,
    bytes: number,
    trustedUntilMs: number,
  ): void {
    let at = slot;
    if (slot === NO_SLOT) {
      at = this.slots.take();
      this.#shardWithRoom(hash).slots.set(ownText(entity), at, NO_OPTIONS);
      this.#count(1, bytes);
    } else {
      this.#count(0, bytes - this.slots.size(slot));
    }
    this.slots.write(at, stored, job, bytes, trustedUntilMs);
    const shard = this.#shard(hash);
    shard.endsMs = Math.min(shard.endsMs, this.slots.endsMs(at));
  }

  remove(entity: string, hash: number, slot: number): void {
    this.#shard(hash).slots.delete(entity);
    this.#free(slot);
  }

  /**
   * Removes the entry that was not asked for the longest, of those in the shard that `hash` leads to: hashes being as even as
   * they are, about the oldest of all. There must be an entry.
   * @param givesWay is told of it before
   */
  evict(hash: number, givesWay: (slot: number) => void): void {
    const slot = this.#shardToEvictFrom(hash).slots.pop() as number;
    givesWay(slot);
    this.#free(slot);
  }

  /** Shards have places from 0 to here. */
  get places(): number {
    return this.#directory.length;
  }

  /** Goes through the shard that has its first place here; returns how many entries it has. They must not change meanwhile. */
  visit(place: number, visitor: (entity: string, slot: number) => void): number {
    const shard = this.#shardAt(place);
    if (shard === undefined) return 0;
    shard.slots.rforEach((slot, entity) => visitor(entity, slot));
    return shard.slots.size;
  }

  /** When the first entry of the shard at this place may be gone by its own time. */
  endsMs(place: number): number {
    return this.#shardAt(place)?.endsMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Removes entries that count as absent from the shard at this place, and makes it anew where it is far too large then.
   * @param most entries that are removed at once
   * @param goes is told of each before
   * @returns whether there may be more
   */
  clear(place: number, isGone: IsGone, most: number, goes?: (slot: number) => void): boolean {
    const shard = this.#shardAt(place);
    if (shard === undefined) return false;
    const gone: { entity: string; slot: number }[] = [];
    let endsMs = Number.POSITIVE_INFINITY;
    shard.slots.rforEach((slot, entity) => {
      if (gone.length < most && isGone(slot)) gone.push({ entity, slot });
      else endsMs = Math.min(endsMs, this.slots.endsMs(slot));
    });
    shard.endsMs = endsMs;
    for (const { entity, slot } of gone) {
      goes?.(slot);
      this.remove(entity, place, slot);
    }
    if (gone.length === most) return true;
    const { size, max } = shard.slots;
    if (this.#entries === 0 && this.#directory.length > 1) this.#directory = [newShard(LEAST_IN_SHARD, 0)];
    else if (max > LEAST_IN_SHARD && size < max / 4) this.#replace(place, remade(shard, capacityFor(size)));
    return false;
  }

  /** The shard that has its first place here; undefined for other places. */
  #shardAt(place: number): Shard | undefined {
    const shard = this.#directory[place];
    return shard !== undefined && place < 2 ** shard.depth ? shard : undefined;
  }

  #shard(hash: number): Shard {
    return this.#directory[hash & (this.#directory.length - 1)] as Shard;
  }

  #free(slot: number): void {
    this.#count(-1, -this.slots.size(slot));
    this.slots.free(slot);
  }

  #shardWithRoom(hash: number): Shard {
    for (;;) {
      const shard = this.#shard(hash);
      const { size, max } = shard.slots;
      if (size < max) return shard;
      if (max < MOST_IN_SHARD) this.#replace(hash, remade(shard, max * GROWTH));
      else if (shard.depth < MOST_DEPTH) this.#split(hash, shard);
      else this.evict(hash, () => this.evictions++);
    }
  }

  /** The one that `hash` leads to, unless it has one entry only, which may have come just now. */
  #shardToEvictFrom(hash: number): Shard {
    const places = this.#directory.length;
    for (let looked = 0; looked < places; looked++) {
      const shard = this.#shard(hash + looked);
      if (shard.slots.size > 1) return shard;
    }
    const own = this.#shard(hash);
    return this.#directory.find((shard) => shard !== own && shard.slots.size > 0) ?? own;
  }

  #split(hash: number, shard: Shard): void {
    const bit = 1 << shard.depth;
    const halves = [0, bit].map((bits) => ({ bits, entries: [] as { entity: string; slot: number }[] }));
    shard.slots.rforEach((slot, entity) => {
      halves[(this.#hash(entity) & bit) === 0 ? 0 : 1]?.entries.push({ entity, slot });
    });
    if (bit === this.#directory.length) this.#directory = [...this.#directory, ...this.#directory];
    for (const { bits, entries } of halves) {
      const half = newShard(capacityFor(entries.length), shard.depth + 1);
      half.endsMs = shard.endsMs;
      for (const { entity, slot } of entries) half.slots.set(entity, slot, NO_OPTIONS);
      this.#replace((hash & (bit - 1)) | bits, half);
    }
  }

  /** Puts a shard in all its places: those that agree with `hash` in as many bits as its depth. */
  #replace(hash: number, shard: Shard): void {
    const step = 2 ** shard.depth;
    for (let place = hash & (step - 1); place < this.#directory.length; place += step) this.#directory[place] = shard;
  }

  #count(entries: number, bytes: number): void {
    this.#entries += entries;
    this.#bytes += bytes;
    this.#totals.entries += entries;
    this.#totals.bytes += bytes;
  }
}

function newShard(capacity: number, depth: number): Shard {
  return { slots: new LRUCache({ max: capacity }), depth, endsMs: Number.POSITIVE_INFINITY };
}

function remade(shard: Shard, capacity: number): Shard {
  const { slots, depth, endsMs } = shard;
  const larger = new LRUCache<string, number>({ max: capacity });
  slots.rforEach((slot, entity) => {
    larger.set(entity, slot, NO_OPTIONS);
  });
  return { slots: larger, depth, endsMs };
}

/** The least capacity with some room above so many entries, but for a full shard. */
function capacityFor(entries: number): number {
  let capacity = LEAST_IN_SHARD;
  while (capacity < entries * 1.1 && capacity < MOST_IN_SHARD) capacity *= GROWTH;
  return capacity;
}
