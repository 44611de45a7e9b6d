// What no longer holds of a model's scores, remembered for those that are still on their way.
import { EntityTable, type IsGone } from './entity-table.ts';
import { textBytes } from './entity-text.ts';
import { EntrySlots, NO_SLOT } from './entry-slots.ts';
import type { StoredScore } from './score-store.ts';
import { TableGroup } from './table-group.ts';

/** What one invalidated entity takes, beside its text: as much as a score. */
const TOMBSTONE_BYTES = 160;

/** What a tombstone is kept as: a score whose features are those that no longer hold. */
const TOMBSTONE = { score: 0, label: 0, outputs: undefined, scoredAtMs: 0, job: '' };

/** What is gone, and refused. */
export type Floors = {
  /** Scores from features of then or before. */
  featuresFloorMs: number;
  /** Scores computed before. */
  scoredFloorMs: number;
};

/** One model's. Times are milliseconds since 1970. */
export class ModelInvalidations implements Floors {
  readonly model: string;
  /** Entities by when their features are too old; empty for most models. */
  readonly table: EntityTable;
  featuresFloorMs = Number.NEGATIVE_INFINITY;
  scoredFloorMs = Number.NEGATIVE_INFINITY;
  /** When the two may lapse. */
  floorsUntilMs = Number.NEGATIVE_INFINITY;
  /** Scores from features of then or before are refused: what can't be told apart any more from invalidated entities. */
  putFloorMs = Number.NEGATIVE_INFINITY;
  putFloorUntilMs = Number.NEGATIVE_INFINITY;

  constructor(model: string, table: EntityTable) {
    this.model = model;
    this.table = table;
  }

  refuses(entity: string, hash: number, stored: StoredScore, nowMs: number): boolean {
    if (stored.featuresAsOfMs <= this.featuresFloorMs || stored.scoredAtMs < this.scoredFloorMs) return true;
    if (stored.featuresAsOfMs <= this.putFloorMs && nowMs < this.putFloorUntilMs) return true;
    if (this.table.entries === 0) return false;
    const { slots } = this.table;
    const slot = this.table.look(entity, hash);
    if (slot === NO_SLOT || slots.endsMs(slot) <= nowMs) return false;
    return stored.featuresAsOfMs <= slots.featuresAsOfMs(slot);
  }

  /** Whether nothing is remembered of it. */
  isEmpty(nowMs: number): boolean {
    const { featuresFloorMs, scoredFloorMs, putFloorUntilMs } = this;
    return (
      this.table.entries === 0 && Math.max(featuresFloorMs, scoredFloorMs) === -Infinity && putFloorUntilMs <= nowMs
    );
  }

  /** Lets floors lapse whose time was over at `passBeganMs`; call it only when all that they cover was removed since. */
  lapse(passBeganMs: number): void {
    if (this.floorsUntilMs > passBeganMs) return;
    this.featuresFloorMs = Number.NEGATIVE_INFINITY;
    this.scoredFloorMs = Number.NEGATIVE_INFINITY;
  }
}

export type InvalidationsOptions = {
  maxTombstones: number;
  maxBytes: number;
  /** How long what was invalidated is remembered, milliseconds. */
  forMs: number;
  hash: (entity: string) => number;
};

/** All models'. Memory has limits: beyond, the oldest entity's model refuses more than it must. */
export class Invalidations {
  readonly #byModel = new Map<string, ModelInvalidations>();
  readonly #group: TableGroup<ModelInvalidations>;
  readonly #slots = new EntrySlots(false);
  readonly #forMs: number;
  readonly #hash: (entity: string) => number;

  constructor({ maxTombstones, maxBytes, forMs, hash }: InvalidationsOptions) {
    this.#group = new TableGroup(maxTombstones, maxBytes);
    this.#forMs = forMs;
    this.#hash = hash;
  }

  get members(): Iterable<ModelInvalidations> {
    return this.#group.members;
  }

  of(model: string): ModelInvalidations {
    const known = this.#byModel.get(model);
    if (known !== undefined) return known;
    const table = new EntityTable({ totals: this.#group.totals, slots: this.#slots, hash: this.#hash });
    const made = new ModelInvalidations(model, table);
    this.#byModel.set(model, made);
    this.#group.members.add(made);
    return made;
  }

  /** An earlier invalidation than one that is remembered changes nothing. */
  entity(of: ModelInvalidations, entity: string, hash: number, atMs: number, nowMs: number): void {
    const slot = of.table.find(entity, hash);
    const known = slot === NO_SLOT ? Number.NEGATIVE_INFINITY : this.#slots.featuresAsOfMs(slot);
    const stored = { ...TOMBSTONE, featuresAsOfMs: Math.max(atMs, known), keptUntilMs: nowMs + this.#forMs };
    of.table.write(entity, hash, slot, stored, 0, TOMBSTONE_BYTES + textBytes(entity), 0);
    this.#group.makeRoom(hash, (member, forgotten) => {
      const untilMs = this.#slots.endsMs(forgotten);
      if (untilMs <= nowMs) return;
      const lapsed = member.putFloorUntilMs <= nowMs;
      const floorMs = this.#slots.featuresAsOfMs(forgotten);
      member.putFloorMs = lapsed ? floorMs : Math.max(member.putFloorMs, floorMs);
      member.putFloorUntilMs = Math.max(member.putFloorUntilMs, untilMs);
    });
  }

  features(of: ModelInvalidations, atMs: number, nowMs: number): void {
    of.featuresFloorMs = Math.max(of.featuresFloorMs, atMs);
    of.floorsUntilMs = nowMs + this.#forMs;
  }

  age(of: ModelInvalidations, scoredBeforeMs: number, nowMs: number): void {
    of.scoredFloorMs = Math.max(of.scoredFloorMs, scoredBeforeMs);
    of.floorsUntilMs = nowMs + this.#forMs;
  }

  /** Forgets a model of which nothing is remembered. Nobody may hold it. */
  forget(model: ModelInvalidations): void {
    this.#byModel.delete(model.model);
    this.#group.members.delete(model);
  }
}

/** Entities whose time is over. */
export function lapsedAt({ table }: ModelInvalidations, nowMs: number): IsGone {
  return (slot) => table.slots.endsMs(slot) <= nowMs;
}
