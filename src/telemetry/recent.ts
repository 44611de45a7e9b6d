// How many, and how slow, since one looked last: for the status page, which has no history of its own.

import type { HistogramCell } from './instruments.ts';

export type RecentFigures = {
  perSecond: number;
  /** Upper bounds of the buckets that hold the median and the 99th percentile, in seconds; absent without readings. */
  p50Seconds: number | undefined;
  p99Seconds: number | undefined;
};

/** Readings closer together than this see the same figures, so that two lookers don't take each other's. */
const WINDOW_MS = 1000;

export class Recent {
  readonly #cells: () => Iterable<HistogramCell>;
  readonly #clock: () => number;
  #takenMs: number;
  #counts: Float64Array = new Float64Array();
  #figures: RecentFigures = { perSecond: 0, p50Seconds: undefined, p99Seconds: undefined };

  /** `cells` are of one family, such as all statuses of a model's calls; `clock` is in milliseconds. */
  constructor(cells: () => Iterable<HistogramCell>, clock: () => number = () => performance.now()) {
    this.#cells = cells;
    this.#clock = clock;
    this.#takenMs = clock();
  }

  /** Figures since the reading before, or the start. */
  read(): RecentFigures {
    const elapsedMs = this.#clock() - this.#takenMs;
    if (elapsedMs < WINDOW_MS) return this.#figures;
    let bounds: readonly number[] = [];
    let total = new Float64Array();
    for (const { buckets, counts } of this.#cells()) {
      bounds = buckets.bounds;
      if (total.length === 0) total = new Float64Array(counts.length);
      counts.forEach((count, i) => {
        total[i] = (total[i] as number) + count;
      });
    }
    // A cell that was removed since would take its past away from the present.
    const fresh = total.map((count, i) => Math.max(0, count - (this.#counts[i] ?? 0)));
    const sum = fresh.reduce((all, count) => all + count, 0);
    this.#takenMs += elapsedMs;
    this.#counts = total;
    this.#figures = {
      perSecond: (sum * 1000) / elapsedMs,
      p50Seconds: quantile(fresh, bounds, 0.5 * sum),
      p99Seconds: quantile(fresh, bounds, 0.99 * sum),
    };
    return this.#figures;
  }
}

function quantile(counts: Float64Array, bounds: readonly number[], rank: number): number | undefined {
  let seen = 0;
  for (const [i, count] of counts.entries()) {
    seen += count;
    if (count > 0 && seen >= rank) return bounds[i] ?? Infinity;
  }
  return undefined;
}
