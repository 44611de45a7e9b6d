// Chunks that are done, handed on as they are or in the order of their rows.
import type { ScoredChunk } from './scored-chunk.ts';

export class ChunkOrder {
  readonly #inOrder: boolean;
  readonly #hand: (chunk: ScoredChunk) => void;
  /** Done, and behind one that isn't, where the order counts. */
  readonly #held: ScoredChunk[] = [];
  /** First row of the chunk that is due, where the order counts. */
  #dueRow = 0;

  constructor(inOrder: boolean, hand: (chunk: ScoredChunk) => void) {
    this.#inOrder = inOrder;
    this.#hand = hand;
  }

  /** So many more rows of the chunk have a score or an error. */
  settle(chunk: ScoredChunk, rows: number): void {
    chunk.left -= rows;
    if (chunk.left > 0) return;
    chunk.errors.sort((a, b) => a.row - b.row);
    if (!this.#inOrder) {
      this.#hand(chunk);
      return;
    }
    this.#held.push(chunk);
    for (;;) {
      const due = this.#held.findIndex(({ firstRow }) => firstRow === this.#dueRow);
      if (due < 0) return;
      const [next] = this.#held.splice(due, 1) as [ScoredChunk];
      this.#dueRow += next.rows;
      this.#hand(next);
    }
  }
}
