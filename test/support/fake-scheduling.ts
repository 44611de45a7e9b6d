// A scheduler with everything around it fake: the clock, the workers, the rows, and whoever watches.
import { CostCurve, curveSizes } from '../../src/batching/cost-curve.ts';
import { Scheduler } from '../../src/batching/scheduler.ts';
import type { ScheduledModel, SchedulerObserver } from '../../src/batching/scheduling.ts';
import { ScorewireError } from '../../src/errors.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeRow, type FakeRowOptions } from './fake-row.ts';
import { type FakeRun, FakeWorker } from './fake-worker.ts';

export type FakeModelOptions = {
  name?: string;
  maxRows?: number;
  maxDelayMs?: number;
  queueLimit?: number;
  /** Microseconds of a run of `rows`. Runs that end by `finish` take just that, so the curve stays as it is. */
  runUs?: (rows: number) => number;
  batchDimension?: boolean;
};

export class FakeScheduling implements SchedulerObserver {
  readonly clock = new FakeClock();
  readonly scheduler: Scheduler;
  readonly workers: FakeWorker[] = [];
  readonly models: ScheduledModel[] = [];
  /** What the observer was told. */
  readonly done: { model: string; rows: number; runUs: number }[] = [];
  readonly failed: { model: string; rows: number; error: unknown }[] = [];
  readonly sheds: { model: string; reason: string }[] = [];
  #rows = 0;

  constructor(workers = 1) {
    this.scheduler = new Scheduler(this.clock, this);
    for (let i = 0; i < workers; i++) this.addWorker();
  }

  batchDone({ name }: ScheduledModel, rows: number, runUs: number): void {
    this.done.push({ model: name, rows, runUs });
  }

  batchFailed({ name }: ScheduledModel, rows: number, error: unknown): void {
    this.failed.push({ model: name, rows, error });
  }

  shed({ name }: ScheduledModel, reason: string): void {
    this.sheds.push({ model: name, reason });
  }

  /** A worker that the scheduler has; the last one where none is named. */
  get worker(): FakeWorker {
    return this.workers[this.workers.length - 1] as FakeWorker;
  }

  addWorker(): FakeWorker {
    const worker = new FakeWorker(this.workers.length + 1);
    this.workers.push(worker);
    this.scheduler.addWorker(worker);
    return worker;
  }

  /** By default: 1 ms a batch and 0.01 ms a row more, up to 64 rows. Its session is its place in `models`, from 1. */
  addModel(options: FakeModelOptions = {}): ScheduledModel {
    const { maxRows = 64, runUs = (rows) => 1000 + 10 * rows, batchDimension = true } = options;
    const session = this.models.length + 1;
    const sizes = curveSizes(maxRows);
    const model: ScheduledModel = {
      name: options.name ?? `model-${session}`,
      version: 1,
      session,
      maxRows,
      maxDelayMs: options.maxDelayMs ?? 0,
      cost: new CostCurve(sizes, sizes.map(runUs), 0),
      inputs: [{ name: 'x', type: 'float32', rowDims: [1] }],
      batchDimension,
    };
    this.models.push(model);
    this.scheduler.addModel(model, options.queueLimit ?? 1000);
    return model;
  }

  /** Submits a row that came now. Throws what `submit` throws. */
  submit(session = 1, options: FakeRowOptions = {}): FakeRow {
    const row = new FakeRow(this.#rows++, { arrivedMs: this.clock.nowMs(), ...options });
    this.scheduler.submit(session, row);
    return row;
  }

  submitAll(count: number, session = 1, options: FakeRowOptions = {}): FakeRow[] {
    return Array.from({ length: count }, () => this.submit(session, options));
  }

  /** Why `submit` refuses; undefined where it doesn't. */
  refusal(session = 1, options: FakeRowOptions = {}): ScorewireError | undefined {
    try {
      this.submit(session, options);
      return undefined;
    } catch (error) {
      if (error instanceof ScorewireError) return error;
      throw error;
    }
  }

  endTurn(): Promise<void> {
    return this.clock.endTurn();
  }

  /** The run that a worker has. */
  run(worker = this.worker): FakeRun {
    if (worker.current === undefined) throw new Error(`worker ${worker.id} has no run`);
    return worker.current;
  }

  costMs(session: number, rows: number): number {
    return (this.models[session - 1] as ScheduledModel).cost.predictMs(rows);
  }

  /** Ends the turn; lets the run under way take the time that was predicted, and end well; ends the turn again. */
  async finish(worker = this.worker): Promise<FakeRun> {
    await this.endTurn();
    const run = this.run(worker);
    const ms = this.costMs(run.request.session, run.rows.length);
    await this.clock.advance(ms);
    run.finish(ms * 1000);
    await this.endTurn();
    return run;
  }

  /** Finishes run after run until every worker is idle. */
  async finishAll(): Promise<void> {
    await this.endTurn();
    for (let busy = this.#busy(); busy !== undefined; busy = this.#busy()) await this.finish(busy);
  }

  #busy(): FakeWorker | undefined {
    return this.workers.find((worker) => worker.current !== undefined);
  }
}
