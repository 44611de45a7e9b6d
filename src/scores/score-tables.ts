// The tables of stored scores, one a scope.
import { EntityTable, type IsGone } from './entity-table.ts';
import { EntrySlots } from './entry-slots.ts';
import type { Floors, ModelInvalidations } from './model-invalidations.ts';
import type { ScoreScope } from './score-store.ts';
import { TableGroup } from './table-group.ts';

/** Scopes without an entry that are remembered, for their figures. */
const MOST_EMPTY_SCOPES = 1000;

export type ScoreTable = {
  readonly scope: ScoreScope;
  readonly table: EntityTable;
  /** Of its model. */
  readonly invalid: ModelInvalidations;
};

export type ScoreTablesOptions = {
  maxEntries: number;
  maxBytes: number;
  hash: (entity: string) => number;
  /** Whether entries have a time until which they are trusted. */
  trusted: boolean;
};

export class ScoreTables {
  readonly group: TableGroup<ScoreTable>;
  readonly #byKey = new Map<string, ScoreTable>();
  /** Scopes as callers have them, so that a key need not be made for each look-up. */
  #byScope = new WeakMap<ScoreScope, ScoreTable>();
  readonly #hash: (entity: string) => number;
  readonly #slots: EntrySlots;

  constructor({ maxEntries, maxBytes, hash, trusted }: ScoreTablesOptions) {
    this.group = new TableGroup(maxEntries, maxBytes);
    this.#hash = hash;
    this.#slots = new EntrySlots(trusted);
  }

  find(scope: ScoreScope): ScoreTable | undefined {
    const known = this.#byScope.get(scope);
    if (known !== undefined) return known;
    const found = this.#byKey.get(keyOf(scope));
    if (found !== undefined) this.#byScope.set(scope, found);
    return found;
  }

  add(scope: ScoreScope, invalid: ModelInvalidations): ScoreTable {
    const table = new EntityTable({ totals: this.group.totals, slots: this.#slots, hash: this.#hash });
    const made = { scope, table, invalid };
    this.#byKey.set(keyOf(scope), made);
    this.#byScope.set(scope, made);
    this.group.members.add(made);
    return made;
  }

  get all(): readonly ScoreTable[] {
    return [...this.group.members];
  }

  ofModel(model: string): readonly ScoreTable[] {
    return this.all.filter(({ scope }) => scope.model === model);
  }

  /** Forgets scopes that have no entry, the oldest, where they are too many. */
  forgetEmpty(): void {
    const empty = this.all.filter(({ table }) => table.entries === 0);
    const forgotten = empty.slice(0, Math.max(0, empty.length - MOST_EMPTY_SCOPES));
    if (forgotten.length === 0) return;
    for (const table of forgotten) {
      this.#byKey.delete(keyOf(table.scope));
      this.group.members.delete(table);
    }
    this.#byScope = new WeakMap();
  }
}

function keyOf({ model, version, digest, view }: ScoreScope): string {
  return JSON.stringify([model, version, digest, view]);
}

/** Whether an entry is expired, invalidated or no longer trusted. */
export function isGone(floors: Floors, slots: EntrySlots, slot: number, nowMs: number): boolean {
  return (
    slots.endsMs(slot) <= nowMs ||
    slots.featuresAsOfMs(slot) <= floors.featuresFloorMs ||
    slots.scoredAtMs(slot) < floors.scoredFloorMs
  );
}

export function goneAt({ invalid, table }: ScoreTable, nowMs: number): IsGone {
  return (slot) => isGone(invalid, table.slots, slot, nowMs);
}
