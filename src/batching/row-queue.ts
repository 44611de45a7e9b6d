// First in, first out, bounded; expired and abandoned rows leave it without ever reaching a worker.
import { answerDead, isDead, type QueuedRow } from './queued-row.ts';

export class RowQueue {
  readonly #limit: number;
  /** Taken slots before the head are emptied at once, so that nothing answered is kept alive. */
  #rows: (QueuedRow | undefined)[] = [];
  #head = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#rows.length - this.#head;
  }

  get full(): boolean {
    return this.length >= this.#limit;
  }

  push(row: QueuedRow): void {
    this.#rows.push(row);
  }

  /**
   * The oldest rows that may ride together, at most `limit`, written to `target`; returns how many. They stay queued.
   * Rows at the front that are dead by `nowMs` are answered and dropped on the way.
   */
  peek(target: QueuedRow[], limit: number, nowMs: number): number {
    let first = this.#front(nowMs);
    let count = 0;
    for (let i = this.#head; i < this.#rows.length && count < limit; i++) {
      const row = this.#rows[i] as QueuedRow;
      if (first !== undefined && row.shapeKey !== first.shapeKey) continue;
      if (isDead(row, nowMs)) {
        this.#rows.splice(i, 1);
        i--;
        answerDead(row, nowMs);
        continue;
      }
      first = row;
      target[count++] = row;
    }
    return count;
  }

  /** Takes `count` rows out: those that `peek` gave, in the same turn. */
  remove(rows: readonly QueuedRow[], count: number): void {
    let taken = 0;
    while (taken < count && this.#rows[this.#head] === rows[taken]) {
      this.#rows[this.#head++] = undefined;
      taken++;
    }
    // What is left lies behind rows of another shape.
    for (let i = this.#head; taken < count; i++) {
      if (this.#rows[i] === rows[taken]) {
        this.#rows.splice(i, 1);
        i--;
        taken++;
      }
    }
    this.#compact();
  }

  /** Answers and drops every dead row: called before a full queue refuses, so that the dead don't fill it. */
  sweep(nowMs: number): void {
    const dead: QueuedRow[] = [];
    const alive: QueuedRow[] = [];
    for (let i = this.#head; i < this.#rows.length; i++) {
      const row = this.#rows[i] as QueuedRow;
      (isDead(row, nowMs) ? dead : alive).push(row);
    }
    this.#rows = alive;
    this.#head = 0;
    for (const row of dead) answerDead(row, nowMs);
  }

  /** Takes every row out. */
  drain(): QueuedRow[] {
    const rows = this.#rows.slice(this.#head) as QueuedRow[];
    this.#rows = [];
    this.#head = 0;
    return rows;
  }

  #front(nowMs: number): QueuedRow | undefined {
    while (this.#head < this.#rows.length) {
      const row = this.#rows[this.#head] as QueuedRow;
      if (!isDead(row, nowMs)) return row;
      this.#rows[this.#head++] = undefined;
      this.#compact();
      answerDead(row, nowMs);
    }
    return undefined;
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
