// Takes out of the memory what is gone: nobody asks for most of it again.
import type { EntityTable, IsGone } from './entity-table.ts';
import { type Invalidations, lapsedAt } from './model-invalidations.ts';
import { goneAt, type ScoreTable, type ScoreTables } from './score-tables.ts';
import { Slices } from './slices.ts';

/** Between slices of a pass: the background has time. */
const PAUSE_MS = 2;
/** Entries that are removed before the time is looked at: some 0.3 ms. */
const REMOVED_AT_ONCE = 1000;

export class Sweeper {
  readonly #tables: ScoreTables;
  readonly #invalidations: Invalidations;
  readonly #now: () => number;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Calls of `clear` under way. */
  #clearing = 0;

  /** Passes over all that is due by its own time, `everyMs` after the pass before. */
  constructor(tables: ScoreTables, invalidations: Invalidations, now: () => number, everyMs: number) {
    this.#tables = tables;
    this.#invalidations = invalidations;
    this.#now = now;
    this.#everyMs = everyMs;
    this.#later();
  }

  /**
   * Removes what is gone of these tables, for whatever reason; resolves when they were all looked at.
   * @param goes is told of each
   */
  async clear(tables: readonly ScoreTable[], goes: (from: ScoreTable, slot: number) => void): Promise<void> {
    const slices = new Slices();
    this.#clearing++;
    for (const each of tables) {
      const isGone = () => goneAt(each, this.#now());
      for (let place = 0; place < each.table.places && !this.#closed; place++) {
        await clearShard(each.table, place, isGone, slices, 0, (slot) => goes(each, slot));
      }
    }
    this.#clearing--;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#pass().then(() => this.#later()), this.#everyMs).unref();
  }

  async #pass(): Promise<void> {
    const slices = new Slices();
    for (const each of this.#tables.all) {
      await this.#clearDue(each.table, () => goneAt(each, this.#now()), slices);
    }
    for (const each of [...this.#invalidations.members]) {
      await this.#clearDue(each.table, () => lapsedAt(each, this.#now()), slices);
    }
    if (this.#closed || this.#clearing > 0) return;
    // Nothing is there any more that their floors cover: `clear` is over.
    for (const invalid of this.#invalidations.members) invalid.lapse(this.#now());
    this.#tables.forgetEmpty();
    for (const invalid of [...this.#invalidations.members]) {
      if (!invalid.isEmpty(this.#now()) || this.#tables.ofModel(invalid.model).length > 0) continue;
      this.#invalidations.forget(invalid);
    }
  }

  async #clearDue(table: EntityTable, isGone: () => IsGone, slices: Slices): Promise<void> {
    for (let place = 0; place < table.places && !this.#closed; place++) {
      if (table.endsMs(place) <= this.#now()) await clearShard(table, place, isGone, slices, PAUSE_MS);
    }
  }
}

/** Shards that come meanwhile have places after those that they came from. */
async function clearShard(
  table: EntityTable,
  place: number,
  isGone: () => IsGone,
  slices: Slices,
  pauseMs: number,
  goes?: (slot: number) => void,
): Promise<void> {
  while (table.clear(place, isGone(), REMOVED_AT_ONCE, goes)) await slices.next(pauseMs);
  if (slices.over) await slices.next(pauseMs);
}
