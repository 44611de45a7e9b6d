// What a run of n rows costs: measured at warm-up, corrected by every run that is served.

/** Batch sizes at which the curve is held; in between it is a straight line. */
const MAX_SIZES = 11;

/** A larger batch must save at least this share of a row's cost to be worth its wait. */
const WORTHWHILE = 0.05;

/** How far one observation moves the whole curve, and how far the size where it was made against the others. */
const SCALE_WEIGHT = 0.1;
const SHAPE_WEIGHT = 0.02;

/** How fast the errors that all sizes have in common are followed. */
const TREND_WEIGHT = 0.5;

/** One observation counts at most as this many times the prediction, or its inverse: a pause is no trend. */
const OUTLIER = 2;

/** Of so many runs one is the next size's beyond the knee, or below it, in turn: nothing else would show what they cost. */
const PROBE_EVERY = 128;

/** A larger batch is tried only if it shouldn't take longer than this: other models wait for it. Microseconds. */
const PROBE_MOST_US = 5000;

/** A run of nothing still takes so long; from 0 a curve could not find back. Microseconds. */
const LEAST_US = 0.1;

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
 * Correction keeps scale and shape apart. How fast the machine is changes all the time, and for all sizes alike: every
 * run moves the whole curve, so that sizes that are not run now stay in proportion. The shape belongs to the model: only
 * what a run's error has beyond that of the runs before it moves the two points beside it (normalised least mean
 * squares, Widrow and Hoff). All steps are on the logarithm, where noise upwards and downwards weighs the same: factors
 * that do so on a linear scale multiply up, and sizes that are not run would drift away.
 */
export class CostCurve {
  readonly sizes: readonly number[];
  readonly #us: Float64Array;
  #overheadUs: number;
  readonly #leastOverheadUs: number;
  /** Index of the knee in `sizes`, and of the size that is the limit now: the knee, or a neighbour to be probed. */
  #knee: number;
  #limit: number;
  /** What the errors of the last runs have in common, as a logarithm. */
  #trend = 0;
  #observations = 0;

  /**
   * @param sizes rising, the first 1
   * @param runUs microseconds of a run at each size
   * @param overheadUs microseconds of a hand-over and back, on a quiet machine
   */
  constructor(sizes: readonly number[], runUs: readonly number[], overheadUs: number) {
    this.sizes = sizes;
    this.#us = Float64Array.from(runUs);
    this.#keepRising();
    this.#overheadUs = overheadUs;
    this.#leastOverheadUs = overheadUs;
    this.#knee = this.#findKnee();
    this.#limit = this.#knee;
  }

  /** Milliseconds from hand-over to answer of a batch of `rows`. */
  predictMs(rows: number): number {
    return (this.#runUs(rows) + this.#overheadUs) / 1000;
  }

  /**
   * As `predictMs`, with the hand-over as it is on a quiet machine. A hand-over that takes long waits for the I/O thread,
   * and refusing a row costs that thread as much as answering it: what is refused should be judged by the workers' part.
   */
  workMs(rows: number): number {
    return (this.#runUs(rows) + this.#leastOverheadUs) / 1000;
  }

  /** Microseconds of the run itself. */
  runUs(rows: number): number {
    return this.#runUs(rows);
  }

  /**
   * The smallest batch whose cost a row is within a few per cent of the best: beyond it rows only wait longer. For one
   * run in many it is a neighbour instead, so that a curve gone wrong at sizes that would never be run finds back.
   */
  get kneeRows(): number {
    return this.sizes[this.#limit] as number;
  }

  /** Takes a run of `rows` into account: `runUs` in the worker, `totalUs` from hand-over to answer. */
  observe(rows: number, runUs: number, totalUs: number): void {
    const error = Math.log(Math.min(OUTLIER, Math.max(1 / OUTLIER, runUs / this.#runUs(rows))));
    const own = error - this.#trend;
    this.#trend += TREND_WEIGHT * own;
    const scale = Math.exp(SCALE_WEIGHT * error);
    for (let i = 0; i < this.#us.length; i++) this.#us[i] = this.#at(i) * scale;
    const upper = this.#upper(rows);
    const share = this.#share(rows, upper);
    const step = (SHAPE_WEIGHT * own) / ((1 - share) ** 2 + share ** 2);
    if (upper > 0) this.#us[upper - 1] = this.#at(upper - 1) * Math.exp(step * (1 - share));
    this.#us[upper] = this.#at(upper) * Math.exp(step * share);
    this.#keepRising();
    const overhead = Math.min(Math.max(0, totalUs - runUs), this.#overheadUs * OUTLIER + 1);
    this.#overheadUs += SCALE_WEIGHT * (overhead - this.#overheadUs);
    this.#knee = this.#findKnee();
    this.#observations += 1;
    this.#limit = this.#observations % PROBE_EVERY === 0 ? this.#probe() : this.#knee;
  }

  /** Index of the size before the knee or of the one after it, in turn. */
  #probe(): number {
    if (this.#observations % (2 * PROBE_EVERY) === 0) return Math.max(0, this.#knee - 1);
    const next = Math.min(this.sizes.length - 1, this.#knee + 1);
    // By the knee, since what the curve says about the next size is in question.
    const us = (this.#at(this.#knee) * (this.sizes[next] as number)) / (this.sizes[this.#knee] as number);
    return us <= PROBE_MOST_US ? next : this.#knee;
  }

  /** A larger batch never costs less as a whole: what says so is noise. */
  #keepRising(): void {
    let least = LEAST_US;
    for (let i = 0; i < this.#us.length; i++) {
      least = Math.max(least, this.#at(i));
      this.#us[i] = least;
    }
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
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.sizes.length; i++) best = Math.min(best, this.#rowUs(i));
    let knee = 0;
    while (this.#rowUs(knee) > best * (1 + WORTHWHILE)) knee++;
    return knee;
  }

  /** What a row costs in a batch of the size at `index`, hand-over included. */
  #rowUs(index: number): number {
    return (this.#at(index) + this.#leastOverheadUs) / (this.sizes[index] as number);
  }
}
