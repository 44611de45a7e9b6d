// The items of a connection's streams that have no result yet. What is known of one lies in typed arrays, at the slot that
// its id gives; nothing is allocated an item.

import { FIRST_ID } from './prepared-items.ts';

/** More than can be in flight (MAX_IN_FLIGHT) with a message's items beside it. */
const SLOT_BITS = 16;
const SLOTS = 2 ** SLOT_BITS;
/** Ids of one slot in turn, so that a late or second result is found out. */
const TURNS = FIRST_ID / SLOTS;

export class OpenItems {
  readonly intendedUs = new Float64Array(SLOTS);
  readonly call = new Int32Array(SLOTS);
  /** Which of the connection's streams has it. */
  readonly stream = new Uint16Array(SLOTS);
  /** Slots whose answer is to be kept. */
  readonly sampled = new Uint8Array(SLOTS);
  count = 0;

  readonly #isOpen = new Uint8Array(SLOTS);
  readonly #turn = new Uint16Array(SLOTS);
  /** Freed slots, the last one on top: what was used just now is in the cache. */
  readonly #free = new Uint16Array(SLOTS);
  #freed = 0;
  /** Slots from here on have never been used. */
  #unused = 0;

  /** There is room for so many more. */
  takes(items: number): boolean {
    return this.count + items <= SLOTS;
  }

  /** The slot of a new item; `takes` has been asked. */
  open(): number {
    const slot = this.#freed > 0 ? (this.#free[--this.#freed] as number) : this.#unused++;
    const turn = (this.#turn[slot] as number) + 1;
    this.#turn[slot] = turn === TURNS ? 0 : turn;
    this.#isOpen[slot] = 1;
    this.count++;
    return slot;
  }

  /** The id of the item in this slot. */
  idOf(slot: number): number {
    return FIRST_ID + (this.#turn[slot] as number) * SLOTS + slot;
  }

  /** The slot of an open item with this id, or -1. */
  slotOf(id: number): number {
    const slot = id % SLOTS;
    return this.#isOpen[slot] === 1 && this.idOf(slot) === id ? slot : -1;
  }

  close(slot: number): void {
    this.#isOpen[slot] = 0;
    this.#free[this.#freed++] = slot;
    this.count--;
  }

  /** Every open item's slot; each may be closed as it comes. */
  each(take: (slot: number) => void): void {
    for (let slot = 0; slot < this.#unused; slot++) if (this.#isOpen[slot] === 1) take(slot);
  }
}
