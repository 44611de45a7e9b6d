// First in, first out, bounded; expired and abandoned rows leave it without ever reaching a worker.
import { answerDead, isDead, type QueuedRows } from './queued-rows.ts';

/** Milliseconds between two sweeps for each row that the first one looked at: keeps sweeping at a few per cent. */
const SWEEP_REST_MS = 0.001;

export class RowQueue {
  readonly #limit: number;
  /** Taken slots before the head are emptied at once, so that nothing answered is kept alive. */
  #rows: (QueuedRows | undefined)[] = [];
  #head = 0;
  /** Rows of all of them together. */
  #count = 0;
  #nextSweepMs = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Rows that wait. */
  get length(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count >= this.#limit;
  }

  push(row: QueuedRows): void {
    this.#rows.push(row);
    this.#count += row.rows;
  }

  /**
   * The oldest requests that may ride together, of at most `limit` rows or one alone, written to `target`; returns how many. They stay queued.
   * Rows that are dead by `nowMs` leave the queue on the way, to the end of `dropped`: who calls answers them, once it
   * has done with the queue, since whoever hears of a failure may submit the next row at once.
   */
  peek(target: QueuedRows[], limit: number, nowMs: number, dropped: QueuedRows[]): number {
    let count = 0;
    let rows = 0;
    let end = this.#head;
    const before = dropped.length;
    for (; end < this.#rows.length && rows < limit; end++) {
      const row = this.#rows[end] as QueuedRows;
      if (isDead(row, nowMs)) {
        dropped.push(row);
        this.#rows[end] = undefined;
        this.#count -= row.rows;
      } else if (count === 0 || row.shapeKey === (target[0] as QueuedRows).shapeKey) {
        // One that doesn't fit isn't overtaken by smaller ones: it would wait for ever.
        if (count > 0 && rows + row.rows > limit) break;
        target[count++] = row;
        rows += row.rows;
      }
    }
    if (dropped.length > before) this.#closeGaps(end);
    return count;
  }

  /** Takes out the first `count` of `rows`: requests that `peek` gave, in the same turn. */
  remove(rows: readonly QueuedRows[], count: number): void {
    let taken = 0;
    let end = this.#head;
    for (; taken < count && end < this.#rows.length; end++) {
      if (this.#rows[end] !== rows[taken]) continue;
      this.#rows[end] = undefined;
      this.#count -= (rows[taken] as QueuedRows).rows;
      taken++;
    }
    this.#closeGaps(end);
  }

  /**
   * Answers and drops every dead row: called before a full queue refuses, so that the dead don't fill it. Looks at all
   * rows, so it rests in proportion: a queue that refuses every row in a crowd must not be searched for each of them.
   */
  sweep(nowMs: number): void {
    if (nowMs < this.#nextSweepMs) return;
    this.#nextSweepMs = nowMs + (this.#rows.length - this.#head) * SWEEP_REST_MS;
    const dead: QueuedRows[] = [];
    const alive: QueuedRows[] = [];
    for (let i = this.#head; i < this.#rows.length; i++) {
      const row = this.#rows[i] as QueuedRows;
      (isDead(row, nowMs) ? dead : alive).push(row);
    }
    this.#rows = alive;
    this.#head = 0;
    for (const row of dead) this.#count -= row.rows;
    for (const row of dead) answerDead(row, nowMs);
  }

  /** Takes every row out. */
  drain(): QueuedRows[] {
    const rows = this.#rows.slice(this.#head) as QueuedRows[];
    this.#rows = [];
    this.#head = 0;
    this.#count = 0;
    return rows;
  }

  /** Moves the rows before `end` up against it, over the slots that were emptied, so that the queue starts later. */
  #closeGaps(end: number): void {
    let to = end;
    for (let from = end - 1; from >= this.#head; from--) {
      const row = this.#rows[from];
      if (row !== undefined) this.#rows[--to] = row;
    }
    this.#rows.fill(undefined, this.#head, to);
    this.#head = to;
    this.#compact();
  }

  #compact(): void {
    if (this.#head === this.#rows.length) {
      this.#rows.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#rows.length) {
      this.#rows.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
