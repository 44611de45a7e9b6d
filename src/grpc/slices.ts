// Long work on the I/O thread, in slices: between two of them the event loop serves everybody else.

/** What a job does before its first turn: small requests are done within it. */
const FIRST_MS = 0.25;
/** What one turn of the event loop gives to all jobs together. */
const SLICE_MS = 1;

/** Yields every few microseconds, where it may be left alone for a while. */
export type Sliced<T> = Generator<undefined, T, undefined>;

type Job = {
  work: Sliced<unknown>;
  done: (result: never) => void;
  failed: (error: unknown) => void;
  cancelled: boolean;
};

const jobs: Job[] = [];
let due = false;

/**
 * Does the work, beginning at once, and calls `done` or `failed`: before it returns, where that is soon enough. Neither is
 * called after `cancel`.
 */
export function inSlices<T>(
  work: Sliced<T>,
  done: (result: T) => void,
  failed: (error: unknown) => void,
): { cancel(): void } {
  const job: Job = { work, done, failed, cancelled: false };
  if (!advance(job, FIRST_MS)) {
    jobs.push(job);
    turnLater();
  }
  return {
    cancel() {
      job.cancelled = true;
    },
  };
}

function turnLater(): void {
  if (due) return;
  due = true;
  setImmediate(turn);
}

/** The jobs take turns, so that a short one is not behind all of a long one. */
function turn(): void {
  due = false;
  const job = jobs.shift();
  if (job !== undefined && !job.cancelled && !advance(job, SLICE_MS)) jobs.push(job);
  if (jobs.length > 0) turnLater();
}

/** Whether the job is over. */
function advance(job: Job, forMs: number): boolean {
  const untilMs = performance.now() + forMs;
  let step: IteratorResult<undefined, unknown>;
  try {
    do step = job.work.next();
    while (step.done !== true && performance.now() < untilMs);
  } catch (error) {
    job.failed(error);
    return true;
  }
  if (step.done === true) job.done(step.value as never);
  return step.done === true;
}
