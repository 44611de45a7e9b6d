// scorewire.v1.JobService: the jobs of the configuration, by name.
import {
  type CancelJobRequest,
  type CancelJobResponse,
  JobPhase,
  type JobRun,
  JobServiceService,
  JobState,
  type ListJobsRequest,
  type ListJobsResponse,
  type RunJobRequest,
  type RunJobResponse,
  type WatchJobRequest,
  WatchJobResponse,
} from '../gen/scorewire/v1/job.ts';
import type { JobRuns, RunRecord } from '../jobs/job-runs.ts';
import type { AdminGate } from './admin-gate.ts';
import { oneMessage, type StreamCall, type StreamHandler, type StreamMethod } from './stream-call.ts';
import { toTimestamp } from './timestamp.ts';
import {
  type Caller,
  cellsByModel,
  Malformed,
  malformed,
  refuseCall,
  tolerant,
  type UnaryEdge,
  type UnaryHandler,
  unary,
} from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';

const STATES = {
  queued: JobState.JOB_STATE_QUEUED,
  running: JobState.JOB_STATE_RUNNING,
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
};

const PHASES = {
  reading: JobPhase.JOB_PHASE_READING,
  scoring: JobPhase.JOB_PHASE_SCORING,
  writing: JobPhase.JOB_PHASE_WRITING,
};

/** Between two messages to who watches a run. */
const WATCH_MS = 250;

export function jobMethods(edge: UnaryEdge, gate: AdminGate, jobs: () => JobRuns): UnaryMethod[] {
  const admit = (caller: Caller): void => gate.check(caller);
  const run: UnaryHandler<RunJobRequest, RunJobResponse> = ({ job, fresh }, _context, done) => {
    done(undefined, { run: toRun(jobs().start(job, fresh)) });
  };
  const cancel: UnaryHandler<CancelJobRequest, CancelJobResponse> = ({ job }, _context, done) => {
    done(undefined, { run: toRun(jobs().cancel(job)) });
  };
  const list: UnaryHandler<ListJobsRequest, ListJobsResponse> = (_request, _context, done) => {
    const known = jobs().list();
    done(undefined, {
      jobs: known.map(({ name, definition: { model, version }, last }) => ({
        name,
        model,
        version: version === undefined ? undefined : BigInt(version),
        lastRun: last === undefined ? undefined : toRun(last),
      })),
    });
  };
  return [
    unary(edge, JobServiceService.runJob, run, admit),
    unary(edge, JobServiceService.cancelJob, cancel, admit),
    unary(edge, JobServiceService.listJobs, list, admit),
  ];
}

/** Tells how a run goes until it ends; a client that reads slowly hears less, and the end. */
export function watchJobMethod(edge: UnaryEdge, gate: AdminGate, jobs: () => JobRuns): StreamMethod {
  const { path } = JobServiceService.watchJob;
  const name = path.slice(1);
  const cells = cellsByModel(edge.metrics, name)('');
  const decode = tolerant(JobServiceService.watchJob);
  const open = (call: StreamCall): StreamHandler => {
    let watch: Watch | undefined;
    const closed = (code: string): void => cells.record(code, (performance.now() - call.startedMs) / 1000);
    const start = (request: WatchJobRequest | Malformed): void => {
      try {
        gate.check(call);
        if (request instanceof Malformed) throw malformed(name);
        watch = new Watch(call, jobs(), request.job, () => closed('OK'));
        watch.tell();
      } catch (error) {
        closed(refuseCall(edge, call, error));
      }
    };
    return oneMessage(call, decode, start, {
      onDrain: () => watch?.drained(),
      onAbort: () => {
        watch?.end();
        closed('CANCELLED');
      },
    });
  };
  return { path, open };
}

class Watch {
  readonly #call: StreamCall;
  readonly #run: RunRecord;
  readonly #endWatching: () => void;
  readonly #done: () => void;
  #sentMs = Number.NEGATIVE_INFINITY;
  #sentAs = '';
  #congested = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(call: StreamCall, jobs: JobRuns, name: string, done: () => void) {
    this.#call = call;
    this.#done = done;
    const { run, end } = jobs.watch(name, () => this.tell());
    this.#run = run;
    this.#endWatching = end;
  }

  /** Sends the run as it is, unless that was just done. */
  tell(): void {
    const { state, progress, endedMs } = this.#run;
    const as = `${state} ${progress?.phase}`;
    const sinceMs = performance.now() - this.#sentMs;
    if (this.#congested) return;
    if (endedMs === undefined && as === this.#sentAs && sinceMs < WATCH_MS) {
      // A run that gets no further for a while is shown as it is all the same.
      this.#timer ??= setTimeout(() => this.tell(), WATCH_MS - sinceMs);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sentMs = performance.now();
    this.#sentAs = as;
    this.#congested = !this.#call.send(WatchJobResponse.encode({ run: toRun(this.#run) }).finish());
    if (endedMs === undefined) return;
    this.end();
    this.#call.end();
    this.#done();
  }

  drained(): void {
    this.#congested = false;
    this.tell();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#endWatching();
  }
}

function toRun(run: RunRecord): JobRun {
  const { progress, summary, startedMs, endedMs } = run;
  const done = progress?.done ?? 0;
  const resumed = progress?.resumed ?? 0;
  const seconds = startedMs === undefined ? 0 : ((endedMs ?? Date.now()) - startedMs) / 1000;
  return {
    job: run.job,
    id: BigInt(run.id),
    state: STATES[run.state],
    phase: progress === undefined ? JobPhase.JOB_PHASE_UNSPECIFIED : PHASES[progress.phase],
    model: run.model,
    version: run.version === undefined ? undefined : BigInt(run.version),
    rows: BigInt(summary?.rows ?? progress?.rows ?? 0),
    done: BigInt(summary?.rows ?? done),
    resumed: BigInt(resumed),
    rejected: BigInt(summary === undefined ? (progress?.rejected ?? 0) : summary.rows - summary.scored),
    rowsPerSecond: seconds > 0 ? (done - resumed) / seconds : 0,
    startedAt: startedMs === undefined ? undefined : toTimestamp(startedMs),
    endedAt: endedMs === undefined ? undefined : toTimestamp(endedMs),
    rejectedByReason: counts(summary?.rejected ?? {}),
    rowsBySegment: counts(summary?.segments ?? {}),
    highRiskRows: typeof summary?.highRisk === 'number' ? BigInt(summary.highRisk) : undefined,
    message: run.message,
  };
}

function counts(found: Readonly<Record<string, number>>): Map<string, bigint> {
  return new Map(Object.entries(found).map(([name, number]) => [name, BigInt(number)]));
}
