// The jobs that a server runs by name: which there are, which run, how far they are, and who watches.
import type { JobDefinition } from '../config/job-definition.ts';
import { ScorewireError, SetupError } from '../errors.ts';
import type { BulkScorer } from '../scoring/bulk-scorer.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { JobRun, JobStopped, type JobSummary, tooManyRejected } from './job-run.ts';
import type { FeatureSources, JobProgress } from './messages.ts';

export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

/** One run, as it is at the moment. */
export type RunRecord = {
  job: string;
  /** Counts the runs of all jobs. */
  readonly id: number;
  state: JobState;
  model: string;
  version: number | undefined;
  progress: JobProgress | undefined;
  startedMs: number | undefined;
  endedMs: number | undefined;
  summary: JobSummary | undefined;
  /** Why it failed. */
  message: string;
};

type Entry = {
  definition: JobDefinition;
  last: RunRecord | undefined;
  /** Stops the run, be it that it hasn't begun. */
  stop: (() => void) | undefined;
  /** Milliseconds since 1970; 0: not yet. */
  succeededMs: number;
  readonly watchers: Set<() => void>;
};

type Waiting = { entry: Entry; record: RunRecord; fresh: boolean };

export class JobRuns {
  readonly #entries = new Map<string, Entry>();
  readonly #bulk: () => BulkScorer;
  readonly #maxRunning: number;
  readonly #features: FeatureSources;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Promise<void>>();
  #lastId = 0;
  #draining = false;

  constructor(
    definitions: ReadonlyMap<string, JobDefinition>,
    bulk: () => BulkScorer,
    maxRunning: number,
    features: FeatureSources,
    metrics: Metrics,
    log: Logger,
  ) {
    for (const [name, definition] of definitions) {
      const entry: Entry = { definition, last: undefined, stop: undefined, succeededMs: 0, watchers: new Set() };
      this.#entries.set(name, entry);
      metrics.jobsRunning.observe({ job: name }, () => (entry.stop === undefined ? 0 : 1));
      metrics.jobLastSuccess.observe({ job: name }, () => entry.succeededMs / 1000);
    }
    this.#bulk = bulk;
    this.#maxRunning = maxRunning;
    this.#features = features;
    this.#metrics = metrics;
    this.#log = log;
  }

  /** By name. */
  list(): { name: string; definition: JobDefinition; last: RunRecord | undefined }[] {
    return [...this.#entries]
      .map(([name, { definition, last }]) => ({ name, definition, last }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** When a job last succeeded, milliseconds since 1970; 0: not since the server started. */
  succeededMs(name: string): number {
    return this.#entry(name).succeededMs;
  }

  /** @throws ScorewireError NOT_FOUND, FAILED_PRECONDITION where it is running, UNAVAILABLE while draining */
  start(name: string, fresh: boolean): RunRecord {
    const entry = this.#entry(name);
    if (this.#draining) throw new ScorewireError('unavailable', 'DRAINING', 'the server is shutting down');
    if (entry.stop !== undefined) {
      throw new ScorewireError('failed_precondition', 'JOB_RUNNING', `job ${name} is ${entry.last?.state} already`);
    }
    this.#lastId++;
    const record: RunRecord = {
      job: name,
      id: this.#lastId,
      state: 'queued',
      model: entry.definition.model,
      version: entry.definition.version,
      progress: undefined,
      startedMs: undefined,
      endedMs: undefined,
      summary: undefined,
      message: '',
    };
    const waiting = { entry, record, fresh };
    entry.last = record;
    entry.stop = () => {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      this.#end(entry, record, 'cancelled', new JobStopped('the job was cancelled before it began'));
    };
    this.#waiting.push(waiting);
    this.#startNext();
    return record;
  }

  /** @throws ScorewireError NOT_FOUND, FAILED_PRECONDITION where nothing runs */
  cancel(name: string): RunRecord {
    const entry = this.#entry(name);
    if (entry.stop === undefined || entry.last === undefined) {
      throw new ScorewireError('failed_precondition', 'JOB_NOT_RUNNING', `job ${name} is not running`);
    }
    entry.stop();
    return entry.last;
  }

  /**
   * The last run of a job, and word of its changes until that is called off.
   * @throws ScorewireError NOT_FOUND where there is no such job, or no run of it
   */
  watch(name: string, changed: () => void): { run: RunRecord; end: () => void } {
    const { last, watchers } = this.#entry(name);
    if (last === undefined) throw new ScorewireError('not_found', 'NO_RUN', `job ${name} has not run yet`);
    watchers.add(changed);
    return { run: last, end: () => watchers.delete(changed) };
  }

  /** Starts no more, stops those that run, and resolves when they have ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const entry of this.#entries.values()) entry.stop?.();
    await Promise.all(this.#running);
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new ScorewireError('not_found', 'UNKNOWN_JOB', `there is no job ${JSON.stringify(name)}`);
  }

  #startNext(): void {
    while (this.#running.size < this.#maxRunning) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const running = this.#run(next).finally(() => {
        this.#running.delete(running);
        this.#startNext();
      });
      this.#running.add(running);
    }
  }

  /** Never rejects. */
  async #run({ entry, record, fresh }: Waiting): Promise<void> {
    record.state = 'running';
    record.startedMs = Date.now();
    try {
      const run = new JobRun(
        this.#bulk(),
        entry.definition,
        { fresh, confined: true, name: record.job, features: this.#features },
        {
          progress: (progress) => {
            this.#count(record, progress);
            record.progress = progress;
            tell(entry);
          },
          note: (text) => this.#log.info({ job: record.job, run: record.id }, text),
        },
      );
      record.version = run.model.spec.version;
      entry.stop = () => run.stop();
      tell(entry);
      record.summary = await run.ended;
    } catch (error) {
      this.#end(entry, record, error instanceof JobStopped ? 'cancelled' : 'failed', error);
      return;
    }
    this.#end(entry, record, tooManyRejected(record.summary, entry.definition) ? 'failed' : 'succeeded', undefined);
  }

  #end(entry: Entry, record: RunRecord, state: JobState, error: unknown): void {
    // What is no fault of the job's is for the log.
    const said =
      error instanceof SetupError ||
      error instanceof JobStopped ||
      // Such as a model that isn't loaded.
      (error instanceof ScorewireError && error.kind !== 'internal');
    record.state = state;
    record.endedMs = Date.now();
    if (said) record.message = error.message;
    else if (error !== undefined) record.message = 'a fault inside the server; its log says more';
    else if (state === 'failed') record.message = 'more rows were rejected than the job allows';
    entry.stop = undefined;
    if (state === 'succeeded') entry.succeededMs = record.endedMs;
    this.#metrics.jobRuns.cell({ job: record.job, state }).add(1);
    this.#report(record, said ? undefined : error);
    tell(entry);
  }

  #report({ job, id, state, message, summary }: RunRecord, fault: unknown): void {
    const facts = { run: id, ...(message === '' ? {} : { reason: message }), ...summary };
    const text = `job ${job} ${state}`;
    if (state !== 'failed') this.#log.info(facts, text);
    else this.#log.error(fault === undefined ? facts : { ...facts, err: fault }, text);
  }

  /** What is new since the progress before. */
  #count({ job, progress: before }: RunRecord, { done, resumed, rejected }: JobProgress): void {
    // What an earlier run did was counted then.
    const [doneBefore, rejectedBefore] =
      before === undefined || before.done < resumed ? [resumed, rejected] : [before.done, before.rejected];
    const newRejected = rejected - rejectedBefore;
    if (newRejected > 0) this.#metrics.jobRows.cell({ job, result: 'rejected' }).add(newRejected);
    const newScored = done - doneBefore - newRejected;
    if (newScored > 0) this.#metrics.jobRows.cell({ job, result: 'scored' }).add(newScored);
  }
}

function tell({ watchers }: Entry): void {
  for (const changed of watchers) changed();
}
