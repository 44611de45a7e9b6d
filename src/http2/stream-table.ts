// The open streams of a connection by their ids.

/**
 * A table in place: a Map that streams come to and leave by the thousand rehashes all the time, and the tables that it outgrows
 * keep what was in them alive once V8 has taken them for old.
 */
export class StreamTable<Stream extends { readonly id: number }> {
  readonly #mask: number;
  readonly #slots: (Stream | undefined)[];
  /** Those that have stayed so long that a newer one has their slot. */
  readonly #longLived = new Map<number, Stream>();
  #size = 0;

  /** @param most how many there are at once */
  constructor(most: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * Math.min(most, 32_768)));
    this.#mask = slots - 1;
    this.#slots = Array(slots).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  get(id: number): Stream | undefined {
    const stream = this.#slots[(id >>> 1) & this.#mask];
    if (stream !== undefined && stream.id === id) return stream;
    return this.#longLived.size === 0 ? undefined : this.#longLived.get(id);
  }

  /** Adds one whose id is not there. */
  add(stream: Stream): void {
    const slot = (stream.id >>> 1) & this.#mask;
    const older = this.#slots[slot];
    if (older !== undefined) this.#longLived.set(older.id, older);
    this.#slots[slot] = stream;
    this.#size++;
  }

  delete(stream: Stream): void {
    const slot = (stream.id >>> 1) & this.#mask;
    if (this.#slots[slot] === stream) this.#slots[slot] = undefined;
    else if (!this.#longLived.delete(stream.id)) return;
    this.#size--;
  }

  /** As they are now, whatever happens to them on the way. */
  all(): Stream[] {
    return [...this.#longLived.values(), ...this.#slots.filter((stream) => stream !== undefined)];
  }
}
