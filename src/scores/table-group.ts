// Tables that have limits in common: where there is no room, the largest gives way.
import type { EntityTable, Totals } from './entity-table.ts';

export class TableGroup<Member extends { readonly table: EntityTable }> {
  /** For the tables to count into. */
  readonly totals: Totals = { entries: 0, bytes: 0 };
  readonly members = new Set<Member>();
  readonly #maxEntries: number;
  readonly #maxBytes: number;

  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  /**
   * Removes entries until the limits are kept: of the table that has most entries where they are too many, of the one that
   * takes most bytes where these are. A small table keeps what it has beside a large one.
   * @param hash of the entity that came last, which says where in the table to begin
   */
  makeRoom(hash: number, givesWay: (member: Member, slot: number) => void): void {
    while (this.totals.entries > this.#maxEntries) this.#evict('entries', hash, givesWay);
    while (this.totals.bytes > this.#maxBytes) this.#evict('bytes', hash, givesWay);
  }

  #evict(what: keyof Totals, hash: number, givesWay: (member: Member, slot: number) => void): void {
    let largest: Member | undefined;
    for (const member of this.members) {
      if (largest === undefined || member.table[what] > largest.table[what]) largest = member;
    }
    const member = largest as Member;
    member.table.evict(hash, (slot) => givesWay(member, slot));
  }
}
