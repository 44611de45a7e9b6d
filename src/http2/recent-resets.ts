/** The streams that we ended last, before their clients did: what these sent before they knew is no fault of theirs. */
export class RecentResets {
  readonly #ids = new Int32Array(256);
  #count = 0;

  add(streamId: number): void {
    this.#ids[this.#count++ % this.#ids.length] = streamId;
  }

  has(streamId: number): boolean {
    return this.#ids.includes(streamId);
  }
}
