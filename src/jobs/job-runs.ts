// The jobs that a server runs by name: which there are, which run, how far they are, and who watches.
import type { JobDefinition } from '../config/job-definition.ts';
import { ScorewireError, SetupError } from '../errors.ts';
import type { BulkScorer } from '../scoring/bulk-scorer.ts';
import { JobRun, JobStopped, type JobSummary, tooManyRejected } from './job-run.ts';
import type { JobProgress } from './messages.ts';

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

export type JobRunsEvents = {
  note(job: string, text: string): void;
  ended(run: RunRecord, fault: unknown): void;
};

type Entry = {
  definition: JobDefinition;
  last: RunRecord | undefined;
  /** Stops the run, be it that it hasn't begun. */
  stop: (() => void) | undefined;
  readonly watchers: Set<() => void>;
};

type Waiting = { entry: Entry; record: RunRecord; fresh: boolean };

export class JobRuns {
  readonly #entries = new Map<string, Entry>();
  readonly #bulk: () => BulkScorer;
  readonly #maxRunning: number;
  readonly #events: JobRunsEvents;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Promise<void>>();
  #lastId = 0;
  #draining = false;

  constructor(
    definitions: ReadonlyMap<string, JobDefinition>,
    bulk: () => BulkScorer,
    maxRunning: number,
    events: JobRunsEvents,
  ) {
    for (const [name, definition] of definitions) {
      this.#entries.set(name, { definition, last: undefined, stop: undefined, watchers: new Set() });
    }
    this.#bulk = bulk;
    this.#maxRunning = maxRunning;
    this.#events = events;
  }

  /** By name. */
  list(): { name: string; definition: JobDefinition; last: RunRecord | undefined }[] {
    return [...this.#entries]
      .map(([name, { definition, last }]) => ({ name, definition, last }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
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
        { fresh, confined: true },
        {
          progress: (progress) => {
            record.progress = progress;
            tell(entry);
          },
          note: (text) => this.#events.note(record.job, text),
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
    const said = error instanceof SetupError || error instanceof JobStopped;
    record.state = state;
    record.endedMs = Date.now();
    if (said) record.message = error.message;
    else if (error !== undefined) record.message = 'a fault inside the server; its log says more';
    else if (state === 'failed') record.message = 'more rows were rejected than the job allows';
    entry.stop = undefined;
    this.#events.ended(record, said ? undefined : error);
    tell(entry);
  }
}

function tell({ watchers }: Entry): void {
  for (const changed of watchers) changed();
}
