// What a run of n rows costs: measured at warm-up, corrected by every run that is served.

/** Batch sizes at which the curve is held; in between it is a straight line. */
const MAX_SIZES = 11;

/** A larger batch must save at least this share of a row's cost to be worth its wait. */
const WORTHWHILE = 0.05;

/** How far one observation moves the curve where it was made, and everywhere else. */
const LOCAL_WEIGHT = 0.1;
const GLOBAL_WEIGHT = 0.01;

/** One observation counts at most this many times the prediction, so that a pause is not taken for a trend. */
const OUTLIER = 4;

/** How many observations lie between two looks at where the knee is. */
const KNEE_EVERY = 64;

/** The sizes at which a curve up to `maxRows` is measured: 1, 2, 4 ... and `maxRows` itself. */
export function curveSizes(maxRows: number): number[] {
  const sizes: number[] = [];
  for (let rows = 1; rows < maxRows && sizes.length < MAX_SIZES; rows *= 2) sizes.push(rows);
  sizes.push(maxRows);
  return sizes;
}

/**
 * Run time over batch size, piecewise linear. Two parts are kept apart: the run in the worker, and the overhead of
 * handing a batch over and getting it back, which doesn't depend on the rows.
 *
 * Correction is a normalised least-mean-squares step on the two neighbouring points (Widrow and Hoff), with a small
 * step on all points, so that a curve gone wrong at sizes that are never tried finds back as well.
 */
export class CostCurve {
  readonly sizes: readonly number[];
  readonly #us: Float64Array;
  #overheadUs: number;
  readonly #leastOverheadUs: number;
  #knee: number;
  #observations = 0;

  /**
   * @param sizes rising, the first 1
   * @param runUs microseconds of a run at each size
   * @param overheadUs microseconds of a hand-over and back, on a quiet machine
   */
  constructor(sizes: readonly number[], runUs: readonly number[], overheadUs: number) {
    this.sizes = sizes;
    this.#us = Float64Array.from(runUs);
    // A larger batch never costs less as a whole: a measurement that says so is noise.
    for (let i = 1; i < sizes.length; i++) this.#us[i] = Math.max(this.#at(i), this.#at(i - 1));
    this.#overheadUs = overheadUs;
    this.#leastOverheadUs = overheadUs;
    this.#knee = this.#findKnee();
  }

  /** Milliseconds from hand-over to answer of a batch of `rows`. */
  predictMs(rows: number): number {
    return (this.#runUs(rows) + this.#overheadUs) / 1000;
  }

  /** Microseconds of the run itself. */
  runUs(rows: number): number {
    return this.#runUs(rows);
  }

  /** The smallest batch whose cost a row is within a few per cent of the best: beyond it rows only wait longer. */
  get kneeRows(): number {
    return this.#knee;
  }

  /** Takes a run of `rows` into account: `runUs` in the worker, `totalUs` from hand-over to answer. */
  observe(rows: number, runUs: number, totalUs: number): void {
    const predicted = this.#runUs(rows);
    const error = Math.min(runUs, predicted * OUTLIER) - predicted;
    const drift = 1 + (GLOBAL_WEIGHT * error) / Math.max(predicted, 1);
    for (let i = 0; i < this.#us.length; i++) this.#us[i] = this.#at(i) * drift;
    const upper = this.#upper(rows);
    const share = this.#share(rows, upper);
    const norm = (1 - share) ** 2 + share ** 2;
    if (upper > 0) this.#us[upper - 1] = Math.max(0, this.#at(upper - 1) + (LOCAL_WEIGHT * error * (1 - share)) / norm);
    this.#us[upper] = Math.max(0, this.#at(upper) + (LOCAL_WEIGHT * error * share) / norm);
    for (let i = 1; i < this.#us.length; i++) this.#us[i] = Math.max(this.#at(i), this.#at(i - 1));
    const overhead = Math.min(Math.max(0, totalUs - runUs), this.#overheadUs * OUTLIER + 1);
    this.#overheadUs += LOCAL_WEIGHT * (overhead - this.#overheadUs);
    this.#observations += 1;
    if (this.#observations % KNEE_EVERY === 0) this.#knee = this.#findKnee();
  }

  #at(index: number): number {
    return this.#us[index] as number;
  }

  /** Index of the first size that is at least `rows` (the last one beyond the end; never 0 unless `rows` is 1). */
  #upper(rows: number): number {
    let i = 0;
    while (i < this.sizes.length - 1 && (this.sizes[i] as number) < rows) i++;
    return i;
  }

  /** Where `rows` lies between the point before `upper` (0) and `upper` (1). */
  #share(rows: number, upper: number): number {
    if (upper === 0) return 1;
    const low = this.sizes[upper - 1] as number;
    return (rows - low) / ((this.sizes[upper] as number) - low);
  }

  #runUs(rows: number): number {
    const upper = this.#upper(rows);
    if (upper === 0) return this.#at(0) * Math.max(rows, 1);
    const low = this.#at(upper - 1);
    return low + (this.#at(upper) - low) * this.#share(rows, upper);
  }

  #findKnee(): number {
    const costs = this.sizes.map((rows, i) => (this.#at(i) + this.#leastOverheadUs) / rows);
    const best = Math.min(...costs);
    return this.sizes[costs.findIndex((cost) => cost <= best * (1 + WORTHWHILE))] as number;
  }
}
