// Jobs that keep stored scores fresh: run by themselves where their definition says how often, and missed where none succeeds in
// time. Old scores stay until their own limit, whatever becomes of a job.
import type { JobDefinition } from '../config/job-definition.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { JobRuns } from './job-runs.ts';

/** Between two looks at the clock, milliseconds; the shortest interval of a job is a second. */
const LOOK_MS = 1000;

type Watched = {
  name: string;
  everyMs: number;
  lateAfterMs: number;
  /** When it is to run next, milliseconds since 1970. */
  dueMs: number;
  late: boolean;
};

export type RefreshClock = {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back every so many milliseconds, until it is called off by what it returns. */
  every(ms: number, callback: () => void): () => void;
};

const systemClock: RefreshClock = {
  now: () => Date.now(),
  every: (ms, callback) => {
    const timer = setInterval(callback, ms).unref();
    return () => clearInterval(timer);
  },
};

export class RefreshWatch {
  readonly #runs: JobRuns;
  readonly #log: Logger;
  readonly #clock: RefreshClock;
  readonly #watched: readonly Watched[];
  readonly #startedMs: number;
  #callOff: () => void = () => {};

  /** Begins to look after jobs at once: those with an interval run now, and then as often as they say. */
  constructor(
    definitions: ReadonlyMap<string, JobDefinition>,
    runs: JobRuns,
    metrics: Metrics,
    log: Logger,
    clock: RefreshClock = systemClock,
  ) {
    this.#runs = runs;
    this.#log = log;
    this.#clock = clock;
    this.#startedMs = clock.now();
    this.#watched = [...definitions].flatMap(([name, { everySeconds, lateAfterSeconds }]) => {
      if (lateAfterSeconds === undefined) return [];
      const everyMs = everySeconds === undefined ? Number.POSITIVE_INFINITY : 1000 * everySeconds;
      const dueMs = everySeconds === undefined ? Number.POSITIVE_INFINITY : this.#startedMs;
      return [{ name, everyMs, lateAfterMs: 1000 * lateAfterSeconds, dueMs, late: false }];
    });
    for (const one of this.#watched) metrics.jobLate.observe({ job: one.name }, () => (this.#isLate(one) ? 1 : 0));
    if (this.#watched.length === 0) return;
    this.#callOff = clock.every(LOOK_MS, () => this.#look());
    this.#look();
  }

  /** What the person on call should know: jobs that are late, and those whose last run failed. */
  problems(): string[] {
    const late = this.#watched.filter((one) => this.#isLate(one)).map((one) => this.#lateness(one));
    const failed = this.#runs.list().flatMap(({ name, last }) => {
      if (last?.state !== 'failed') return [];
      return [`job ${name}: its last run failed: ${last.message}`];
    });
    return [...late, ...failed];
  }

  end(): void {
    this.#callOff();
  }

  #look(): void {
    const nowMs = this.#clock.now();
    for (const one of this.#watched) {
      if (nowMs >= one.dueMs) this.#run(one, nowMs);
      const late = this.#isLate(one);
      if (late && !one.late) this.#log.warn({ job: one.name }, this.#lateness(one));
      one.late = late;
    }
  }

  #run(one: Watched, nowMs: number): void {
    one.dueMs = nowMs + one.everyMs;
    try {
      this.#runs.start(one.name, false);
    } catch (error) {
      // Such as a run that is still under way: it will be late if it goes on like that.
      this.#log.warn({ job: one.name, err: (error as Error).message }, `job ${one.name} could not be started`);
    }
  }

  #isLate(one: Watched): boolean {
    return this.#clock.now() - this.#lastMs(one) > one.lateAfterMs;
  }

  /** The last success; before the first one, the start. */
  #lastMs({ name }: Watched): number {
    return this.#runs.succeededMs(name) || this.#startedMs;
  }

  #lateness(one: Watched): string {
    const minutes = Math.floor((this.#clock.now() - this.#lastMs(one)) / 60_000);
    const since = this.#runs.succeededMs(one.name) > 0 ? 'its last success' : 'the server started, without a success';
    return `job ${one.name} is late: ${minutes} min since ${since}; at most ${one.lateAfterMs / 60_000} min are expected`;
  }
}
