// A job under way, as the I/O thread sees it: a thread that reads and writes, and blocks of rows for the workers.
import { dirname, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { blockRows } from '../batching/bulk-lane.ts';
import type { JobDefinition } from '../config/job-definition.ts';
import { ScorewireError, SetupError } from '../errors.ts';
import type { BlockFeed } from '../scoring/block-feed.ts';
import type { BulkScorer } from '../scoring/bulk-scorer.ts';
import type { ScoredChunk } from '../scoring/scored-chunk.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { JobCounts } from './job-sink.ts';
import type { FeatureSources, FromJob, JobProgress, JobTask, KeptRows, ToJob } from './messages.ts';

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url);

/** What a job that finished says. */
export type JobSummary = JobCounts & {
  model: string;
  version: number;
  /** Of the rows, those that earlier runs had scored. */
  resumed: number;
  /** Rows in the model's highest segment; null where it has none. */
  highRisk: number | null;
  seconds: number;
  /** Of this run. */
  rowsPerSecond: number;
};

export function tooManyRejected({ rows, scored }: JobCounts, { maxRejected }: JobDefinition): boolean {
  return rows > 0 && (rows - scored) / rows > maxRejected;
}

/** A job was stopped; a run after it goes on where it was. */
export class JobStopped extends Error {}

export type JobEvents = {
  progress(progress: JobProgress): void;
  note(text: string): void;
};

export type JobOptions = {
  /** Throws away what an earlier run of the job left. */
  fresh: boolean;
  /** Opens files in the job's own directories only. */
  confined: boolean;
  /** As stored scores say who computed them. */
  name: string;
  /** Where features come from that the input doesn't have. */
  features: FeatureSources;
};

export class JobRun {
  readonly model: ServedModel;
  /** Rejects with SetupError for what is wrong with the job, JobStopped, or ScorewireError for a fault. */
  readonly ended: Promise<JobSummary>;
  readonly #thread: Worker;
  readonly #name: string;
  readonly #feed: BlockFeed;
  #stopped: Error | undefined;

  /**
   * Starts a job.
   * @throws ScorewireError NOT_FOUND, FAILED_PRECONDITION where the model can't score
   */
  constructor(bulk: BulkScorer, definition: JobDefinition, options: JobOptions, events: JobEvents) {
    const { version } = definition;
    this.model = bulk.model(definition.model, version === undefined ? undefined : BigInt(version));
    if (definition.store) bulk.requireStore();
    this.#name = options.name;
    const startMs = performance.now();
    this.#thread = new Worker(ENTRY, { workerData: taskOf(this.model, definition, options) });
    this.#feed = bulk.feed(this.model, {
      scored: (chunk) => this.#sendScored(chunk),
      failed: (error) => this.stop(error),
    });
    const { spec } = this.model;
    this.ended = new Promise<JobSummary>((done, fail) => {
      this.#thread.on('message', (message: FromJob) => {
        switch (message.kind) {
          case 'progress':
            events.progress(message.progress);
            return;
          case 'note':
            events.note(message.text);
            return;
          case 'piece':
            this.#feed.push(message.piece);
            return;
          case 'keep':
            this.#keep(bulk, message.rows);
            return;
          case 'done': {
            const { counts, resumed } = message;
            const seconds = (performance.now() - startMs) / 1000;
            done({
              model: spec.name,
              version: spec.version,
              ...counts,
              resumed,
              highRisk: Object.values(counts.segments).at(-1) ?? null,
              seconds,
              rowsPerSecond: (counts.rows - resumed) / seconds,
            });
            return;
          }
          case 'stopped':
            fail(this.#stopped ?? new JobStopped('the job was stopped'));
            return;
          case 'failed':
            fail(message.setup ? new SetupError(message.message) : fault(message.message));
        }
      });
      this.#thread.on('error', (cause) => fail(fault(String(cause), cause)));
      this.#thread.on('exit', () => fail(fault('the thread of the job went away')));
    }).finally(() => this.#feed.end());
  }

  /** Ends the job soon; what is scored is kept, so that a run after this one goes on from there. */
  stop(reason: Error = new JobStopped('the job was stopped')): void {
    this.#stopped ??= reason;
    this.#feed.end();
    this.#post({ kind: 'stop' });
  }

  #keep(bulk: BulkScorer, { entities, scores, labels, scoredAtMs, asOfMs }: KeptRows): void {
    const computed = entities.map((entityId, row) => ({
      entityId,
      score: scores[row] as number,
      label: labels[row] as number,
      outputs: undefined,
      scoredAtMs: scoredAtMs[row] as number,
      featuresAsOfMs: asOfMs[row] as number,
    }));
    bulk.keep(this.model, computed, this.#name).then(
      (counts) => this.#post({ kind: 'kept', counts }),
      (error: Error) => this.stop(new SetupError(`the score store takes no scores: ${error.message}`, error)),
    );
  }

  #sendScored({ firstRow, scores, labels, segments, errors }: ScoredChunk): void {
    const rowErrors = errors.map(({ row, error }) => ({ row, reason: error.reason, message: error.message }));
    this.#post({ kind: 'scored', firstRow, scores, labels, segments, errors: rowErrors }, [
      scores.buffer as ArrayBuffer,
      labels.buffer as ArrayBuffer,
      segments.buffer as ArrayBuffer,
    ]);
  }

  #post(message: ToJob, transfer: ArrayBuffer[] = []): void {
    this.#thread.postMessage(message, transfer);
  }
}

function fault(message: string, cause?: unknown): ScorewireError {
  return new ScorewireError('internal', 'FAULT', message, { cause });
}

function taskOf(model: ServedModel, definition: JobDefinition, { fresh, confined, features }: JobOptions): JobTask {
  const { name, version, digest, rows, featureView: view, segments, score, task, threshold } = model.spec;
  return {
    definition,
    fresh,
    directories: confined ? directoriesOf(definition) : undefined,
    features,
    model: {
      name,
      version,
      digest,
      rows,
      view,
      segments: segments.map((segment) => segment.name),
      rule: JSON.stringify({ score, task, threshold, segments }),
      blockRows: blockRows(model),
    },
  };
}

/** Where the job's files are: of a glob the part without wildcards. */
function directoriesOf({ input, output, rejects, directories }: JobDefinition): string[] {
  const inputs = (input ?? []).map((pattern) => dirname(pattern.replace(/[*?[{].*$/s, '_')));
  return [...new Set([...inputs, dirname(output), dirname(rejects), ...directories].map((path) => resolve(path)))];
}
