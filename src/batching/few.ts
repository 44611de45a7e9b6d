/**
 * A few things that come and go by the thousand, in no order. Not a Set: the tables that a Set outgrows point to those that
 * follow, and once V8 has taken one for old it keeps what was in the others, until a mark-compact stops everything.
 */
export class Few<Thing> {
  readonly #things: Thing[] = [];

  get size(): number {
    return this.#things.length;
  }

  add(thing: Thing): void {
    this.#things.push(thing);
  }

  /** Whether it was there. */
  delete(thing: Thing): boolean {
    const index = this.#things.indexOf(thing);
    if (index < 0) return false;
    const last = this.#things.pop() as Thing;
    if (index < this.#things.length) this.#things[index] = last;
    return true;
  }

  /** Takes all out. */
  drain(): Thing[] {
    return this.#things.splice(0);
  }
}
