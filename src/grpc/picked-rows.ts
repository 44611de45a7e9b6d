// Which rows of a ScoreBatch are sent: those above a score, or the k best, without keeping the others.
import type { ScoredChunk } from '../scoring/scored-chunk.ts';

/** The rows of a chunk that are sent. */
export type PickedRows = {
  firstRow: number;
  /** Offsets from firstRow; empty where all rows are there, in order. */
  rows: number[];
  scores: number[];
  labels: number[];
  /** 1 + index, 0 where there is none. */
  segments: number[];
  errors: ScoredChunk['errors'];
};

/** The rows with a score above `above`; all, with their errors' NaN, where that is -Infinity. */
export function chunkOf({ firstRow, scores, labels, segments, errors }: ScoredChunk, above: number): PickedRows {
  const picked: PickedRows = { firstRow, rows: [], scores: [], labels: [], segments: [], errors };
  const all = above === Number.NEGATIVE_INFINITY;
  for (let place = 0; place < scores.length; place++) {
    const score = scores[place] as number;
    // A row with an error has NaN, which is above nothing: it stays only where all stay.
    if (!all && !(score > above)) continue;
    if (!all) picked.rows.push(place);
    picked.scores.push(score);
    picked.labels.push(labels[place] as number);
    picked.segments.push((segments[place] as number) + 1);
  }
  return picked;
}

/** Errors that come with the k best at most; the summary has their number. */
const MAX_ERRORS = 10_000;

type Best = { row: number; score: number; label: number; segment: number };

/** A heap whose root is the worst of the best. */
export class TopRows {
  readonly #limit: number;
  readonly #heap: Best[] = [];
  readonly #errors: ScoredChunk['errors'] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes the rows with a score above `above`. */
  take({ firstRow, scores, labels, segments, errors }: ScoredChunk, above: number): void {
    for (const error of errors) if (this.#errors.length < MAX_ERRORS) this.#errors.push(error);
    for (let place = 0; place < scores.length; place++) {
      const score = scores[place] as number;
      if (!(score > above)) continue;
      const best = { row: firstRow + place, score, label: labels[place] as number, segment: segments[place] as number };
      if (this.#heap.length < this.#limit) this.#push(best);
      else if (worse(this.#heap[0] as Best, best)) this.#replaceRoot(best);
    }
  }

  /** The best first; of equals the one that came first. */
  chunk(): PickedRows {
    const sorted = [...this.#heap].sort((a, b) => (worse(a, b) ? 1 : -1));
    return {
      firstRow: 0,
      rows: sorted.map(({ row }) => row),
      scores: sorted.map(({ score }) => score),
      labels: sorted.map(({ label }) => label),
      segments: sorted.map(({ segment }) => segment + 1),
      errors: this.#errors.sort((a, b) => a.row - b.row),
    };
  }

  #push(best: Best): void {
    const heap = this.#heap;
    let at = heap.push(best) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!worse(best, heap[parent] as Best)) break;
      heap[at] = heap[parent] as Best;
      at = parent;
    }
    heap[at] = best;
  }

  #replaceRoot(best: Best): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && worse(heap[child + 1] as Best, heap[child] as Best)) child++;
      if (!worse(heap[child] as Best, best)) break;
      heap[at] = heap[child] as Best;
      at = child;
    }
    heap[at] = best;
  }
}

function worse(a: Best, b: Best): boolean {
  return a.score < b.score || (a.score === b.score && a.row > b.row);
}
