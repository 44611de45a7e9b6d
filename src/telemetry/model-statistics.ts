// What became of a version's requests, in the figures that clients of Triton read: counts, and nanoseconds together.

export type CountedTime = { count: number; ns: number };

/** Of one version of a model, since it was loaded. */
export class ModelStatistics {
  readonly success: CountedTime = none();
  readonly fail: CountedTime = none();
  readonly queue: CountedTime = none();
  readonly computeInput: CountedTime = none();
  readonly computeInfer: CountedTime = none();
  readonly computeOutput: CountedTime = none();
  /** Rows that were answered. */
  inferenceCount = 0;
  /** Runs. */
  executionCount = 0;
  /** Milliseconds since 1970; 0 before the first. */
  lastInferenceMs = 0;
  /** Runs by their number of rows. */
  readonly runs = new Map<number, CountedTime>();

  /** A run of so many rows ended well. */
  executed(rows: number, runUs: number): void {
    this.executionCount++;
    let run = this.runs.get(rows);
    if (run === undefined) {
      run = none();
      this.runs.set(rows, run);
    }
    add(run, runUs * 1000);
  }

  /** A request of so many rows was answered, `totalUs` after it came. */
  answered(rows: number, parts: { queueUs: number; inferUs: number; totalUs: number }): void {
    this.inferenceCount += rows;
    this.lastInferenceMs = Date.now();
    add(this.success, parts.totalUs * 1000);
    add(this.queue, parts.queueUs * 1000);
    add(this.computeInput, 0);
    add(this.computeInfer, parts.inferUs * 1000);
    add(this.computeOutput, 0);
  }

  failed(totalUs: number): void {
    add(this.fail, totalUs * 1000);
  }
}

function none(): CountedTime {
  return { count: 0, ns: 0 };
}

function add(to: CountedTime, ns: number): void {
  to.count++;
  to.ns += ns;
}
