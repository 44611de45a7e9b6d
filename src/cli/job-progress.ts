// How far a job is: a bar in a terminal, a line now and then elsewhere.
import type { JobProgress } from '../jobs/messages.ts';
import { count } from './job-summary.ts';

const BAR = 12;
const REDRAW_MS = 200;
const LINE_MS = 10_000;

/** The part of a terminal that progress is written to. */
export type ProgressOutput = { isTTY?: boolean; columns?: number; write(text: string): unknown };

export class JobProgressView {
  readonly #out: ProgressOutput;
  readonly #nowMs: () => number;
  #drawn = false;
  #shownMs = Number.NEGATIVE_INFINITY;
  #phase = '';
  /** When scoring began, and how many rows there were then. */
  #start: { ms: number; done: number } | undefined;

  constructor(out: ProgressOutput, nowMs: () => number = () => performance.now()) {
    this.#out = out;
    this.#nowMs = nowMs;
  }

  show(progress: JobProgress): void {
    const now = this.#nowMs();
    if (progress.phase === 'scoring') this.#start ??= { ms: now, done: progress.done };
    const due = now - this.#shownMs >= (this.#out.isTTY ? REDRAW_MS : LINE_MS);
    if (!due && progress.phase === this.#phase) return;
    this.#phase = progress.phase;
    this.#shownMs = now;
    const text = this.#text(progress, now);
    if (this.#out.isTTY) {
      // A line that wraps could not be written over.
      this.#out.write(`\r\x1b[K${text.slice(0, (this.#out.columns ?? 80) - 1)}`);
      this.#drawn = true;
    } else {
      this.#out.write(`${text}\n`);
    }
  }

  note(text: string): void {
    this.end();
    this.#out.write(`${text}\n`);
  }

  /** Leaves the line free for others. */
  end(): void {
    if (this.#drawn) this.#out.write('\r\x1b[K');
    this.#drawn = false;
  }

  #text({ phase, rows, done, rejected }: JobProgress, now: number): string {
    if (phase === 'reading') return 'reading the input';
    if (phase === 'writing') return 'writing the scores';
    const share = rows === 0 ? 1 : done / rows;
    const { ms, done: before } = this.#start as { ms: number; done: number };
    const perSecond = now > ms ? ((done - before) / (now - ms)) * 1000 : 0;
    const bar = this.#out.isTTY ? `[${'#'.repeat(Math.floor(share * BAR)).padEnd(BAR, '.')}] ` : '';
    const left = perSecond > 0 ? `, ${duration((rows - done) / perSecond)} left` : '';
    const wrong = rejected > 0 ? `, ${count(rejected)} rejected` : '';
    const rate = perSecond > 0 ? `, ${count(Math.round(perSecond))} rows/s` : '';
    return `${bar}${count(done)} of ${count(rows)} rows (${Math.floor(share * 100)} %)${wrong}${rate}${left}`;
  }
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
