// Which rows of a ScoreBatch are sent: those above a score, or the k best, without keeping the others.
import type { ScoredChunk } from '../scoring/scored-chunk.ts';
import type { Sliced } from './slices.ts';

/** The rows of a chunk that are sent. */
export type PickedRows = {
  firstRow: number;
  /** Offsets from firstRow; empty where all rows are there, in order. */
  rows: Uint32Array;
  scores: Float32Array;
  /** -1 where there is none. */
  labels: Int32Array;
  /** Index, -1 where there is none. */
  segments: Int32Array;
  /** ORIGIN_CODES, 0 where there is none. */
  origins: Uint8Array;
  errors: ScoredChunk['errors'];
};

/** The rows with a score above `above`; all, with their errors' NaN, where that is -Infinity. */
export function chunkOf(chunk: ScoredChunk, above: number): PickedRows {
  const { firstRow, scores, labels, segments, origins, errors } = chunk;
  if (above === Number.NEGATIVE_INFINITY) {
    return { firstRow, rows: NO_ROWS, scores, labels, segments, origins, errors };
  }
  const rows = new Uint32Array(scores.length);
  let count = 0;
  // A row with an error has NaN, which is above nothing.
  for (let place = 0; place < scores.length; place++) if ((scores[place] as number) > above) rows[count++] = place;
  const picked = rows.subarray(0, count);
  return {
    firstRow,
    rows: picked,
    scores: Float32Array.from(picked, (place) => scores[place] as number),
    labels: Int32Array.from(picked, (place) => labels[place] as number),
    segments: Int32Array.from(picked, (place) => segments[place] as number),
    origins: Uint8Array.from(picked, (place) => origins[place] as number),
    errors,
  };
}

const NO_ROWS = new Uint32Array(0);

/** Errors that come with the k best at most; the summary has their number. */
const MAX_ERRORS = 10_000;

/** A heap whose root is the worst of the best. */
export class TopRows {
  readonly #limit: number;
  #size = 0;
  // Of the same place of the heap. They grow: k is what the caller says.
  #rows = new Uint32Array(16);
  #scores = new Float32Array(16);
  #labels = new Int32Array(16);
  #segments = new Int32Array(16);
  #origins = new Uint8Array(16);
  readonly #errors: ScoredChunk['errors'] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes the rows with a score above `above`. */
  take({ firstRow, scores, labels, segments, origins, errors }: ScoredChunk, above: number): void {
    for (const error of errors) if (this.#errors.length < MAX_ERRORS) this.#errors.push(error);
    for (let place = 0; place < scores.length; place++) {
      const score = scores[place] as number;
      if (!(score > above)) continue;
      const row = firstRow + place;
      let at: number;
      if (this.#size < this.#limit) at = this.#up(row, score);
      else if (worse(this.#scores[0] as number, this.#rows[0] as number, score, row)) at = this.#down(row, score);
      else continue;
      this.#rows[at] = row;
      this.#scores[at] = score;
      this.#labels[at] = labels[place] as number;
      this.#segments[at] = segments[place] as number;
      this.#origins[at] = origins[place] as number;
    }
  }

  /** The best first; of equals the one that came first. */
  *chunk(): Sliced<PickedRows> {
    const order = yield* sorted(this.#scores.subarray(0, this.#size), this.#rows);
    const rows = Uint32Array.from(order, (place) => this.#rows[place] as number);
    yield;
    const scores = Float32Array.from(order, (place) => this.#scores[place] as number);
    yield;
    const labels = Int32Array.from(order, (place) => this.#labels[place] as number);
    yield;
    const segments = Int32Array.from(order, (place) => this.#segments[place] as number);
    yield;
    const origins = Uint8Array.from(order, (place) => this.#origins[place] as number);
    const errors = this.#errors.sort((a, b) => a.row - b.row);
    return { firstRow: 0, rows, scores, labels, segments, origins, errors };
  }

  /** Makes a place for one more, and returns it. */
  #up(row: number, score: number): number {
    if (this.#size === this.#rows.length) this.#grow();
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!worse(score, row, this.#scores[parent] as number, this.#rows[parent] as number)) break;
      this.#move(parent, at);
      at = parent;
    }
    return at;
  }

  /** Drops the root, and returns the place for what takes its part. */
  #down(row: number, score: number): number {
    const rows = this.#rows;
    const scores = this.#scores;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      const next = child + 1;
      if (
        next < this.#size &&
        worse(scores[next] as number, rows[next] as number, scores[child] as number, rows[child] as number)
      ) {
        child = next;
      }
      if (!worse(scores[child] as number, rows[child] as number, score, row)) break;
      this.#move(child, at);
      at = child;
    }
    return at;
  }

  #move(from: number, to: number): void {
    this.#rows[to] = this.#rows[from] as number;
    this.#scores[to] = this.#scores[from] as number;
    this.#labels[to] = this.#labels[from] as number;
    this.#segments[to] = this.#segments[from] as number;
    this.#origins[to] = this.#origins[from] as number;
  }

  #grow(): void {
    const length = Math.min(this.#limit, 2 * this.#rows.length);
    const rows = new Uint32Array(length);
    const scores = new Float32Array(length);
    const labels = new Int32Array(length);
    const segments = new Int32Array(length);
    const origins = new Uint8Array(length);
    rows.set(this.#rows);
    scores.set(this.#scores);
    labels.set(this.#labels);
    segments.set(this.#segments);
    origins.set(this.#origins);
    this.#rows = rows;
    this.#scores = scores;
    this.#labels = labels;
    this.#segments = segments;
    this.#origins = origins;
  }
}

function worse(score: number, row: number, otherScore: number, otherRow: number): boolean {
  return score < otherScore || (score === otherScore && row > otherRow);
}

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
const PASSES = 3;

/** Places, by falling score, and by rising row where scores are equal. By digits: a hundred thousand comparisons take long. */
function* sorted(scores: Float32Array, rows: Uint32Array): Sliced<Uint32Array> {
  const { length } = scores;
  const keys = new Uint32Array(length);
  // Adding 0 makes 0 of -0, which is not less.
  const floats = Float32Array.from(scores, (score) => score + 0);
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < length; i++) {
    const pattern = bits[i] as number;
    // Rising patterns are rising numbers from 0 up, and falling ones below: turned so that small keys are large numbers.
    keys[i] = pattern >>> 31 === 0 ? ~pattern & 0x7fffffff : pattern;
  }
  yield;
  let order = Uint32Array.from({ length }, (_, place) => place);
  // A sort by digits leaves equals as they were: first by what counts least.
  for (const key of [rows, keys]) {
    for (let pass = 0; pass < PASSES; pass++) {
      yield;
      order = sortedByDigit(order, key, pass * DIGIT_BITS);
    }
  }
  return order;
}

function sortedByDigit(order: Uint32Array, keys: Uint32Array, shift: number): Uint32Array<ArrayBuffer> {
  const starts = new Uint32Array(DIGITS + 1);
  for (const place of order) {
    const next = 1 + (((keys[place] as number) >>> shift) & (DIGITS - 1));
    starts[next] = (starts[next] as number) + 1;
  }
  for (let digit = 0; digit < DIGITS; digit++)
    starts[digit + 1] = (starts[digit + 1] as number) + (starts[digit] as number);
  const result = new Uint32Array(order.length);
  for (const place of order) {
    const digit = ((keys[place] as number) >>> shift) & (DIGITS - 1);
    const at = starts[digit] as number;
    starts[digit] = at + 1;
    result[at] = place;
  }
  return result;
}
