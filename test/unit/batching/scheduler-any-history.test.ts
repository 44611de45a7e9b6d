// Whatever happens, in whatever order: rows come and leave, time passes, runs end well, badly or not at all, workers come
// and go. What must hold then is checked at every step.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { FakeRow } from '../../support/fake-row.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';
import type { FakeRun, FakeWorker } from '../../support/fake-worker.ts';

const QUEUE_LIMIT = 12;

const which = fc.nat({ max: 1000 });
const inMs = fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined });

const submit = fc.record({
  kind: fc.constant('submit' as const),
  session: fc.constantFrom(1, 2, 3),
  shape: fc.constantFrom('', '', '', '2', '3'),
  deadlineInMs: inMs,
  budgetInMs: inMs,
  /** The answer, whatever it is, makes the caller submit another row. */
  again: fc.boolean(),
});

const step = fc.oneof(
  { weight: 12, arbitrary: submit },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), which }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 30 }) }) },
  // Time that passes while the event loop is busy with something else.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stall' as const), ms: fc.integer({ min: 1, max: 30 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('finish' as const), which, us: fc.integer({ min: 0, max: 100_000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('misshape' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('die' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What is known of a history, beside what the scheduler says. */
class History {
  readonly s = new FakeScheduling(0);
  readonly rows = new Map<number, FakeRow>();
  readonly delayed: boolean;
  /** What went wrong inside a run's start, where throwing would be taken for a fault of the run. */
  readonly problems: string[] = [];
  readonly #sessions = new Map<number, number>();
  readonly #members = new Set<FakeWorker>();
  /** Rows of runs that the model refused: they may run again, on the worker that had them. */
  readonly #retried = new Map<number, FakeWorker>();
  readonly #runs = new Map<number, number>();

  constructor(maxDelayMs: number) {
    this.delayed = maxDelayMs > 0;
    const common = { queueLimit: QUEUE_LIMIT, maxDelayMs };
    this.s.addModel({ ...common, maxRows: 4, runUs: (rows) => 2000 + 1000 * rows });
    this.s.addModel({ ...common, maxRows: 8, runUs: (rows) => 20_000 * rows });
    this.s.addModel({ ...common, maxRows: 1, maxDelayMs: 0, runUs: () => 500 });
    this.add();
  }

  add(): void {
    const worker = this.s.addWorker();
    worker.started = (run) => this.#started(run, worker);
    this.#members.add(worker);
  }

  remove(worker: FakeWorker): void {
    this.s.scheduler.removeWorker(worker);
    this.#members.delete(worker);
  }

  submit({ session, shape, deadlineInMs, budgetInMs, again }: Extract<Step, { kind: 'submit' }>): void {
    const nowMs = this.s.clock.nowMs();
    const idle = this.s.scheduler.idleWorkers > 0;
    const depth = this.s.scheduler.queueDepth(session);
    const answered = (row: FakeRow): void => {
      if (row.answers.length > 1) this.problems.push(`row ${row.number} was answered twice`);
      if (again) this.submit({ kind: 'submit', session, shape, deadlineInMs, budgetInMs, again: false });
    };
    try {
      const row = this.s.submit(session, {
        shape: session === 3 ? '' : shape,
        deadlineMs: deadlineInMs === undefined ? undefined : nowMs + deadlineInMs,
        budgetEndMs: budgetInMs === undefined ? undefined : nowMs + budgetInMs,
        answered,
      });
      this.rows.set(row.number, row);
      this.#sessions.set(row.number, session);
    } catch (error) {
      if (!(error instanceof ScorewireError)) throw error;
      switch (error.reason) {
        case 'NO_WORKER':
          if (this.#members.size > 0) this.problems.push('refused for want of a worker, with workers');
          break;
        case 'QUEUE_FULL':
          if (depth < QUEUE_LIMIT) this.problems.push(`a queue of ${depth} was called full`);
          break;
        case 'OVERLOADED':
          if (idle) this.problems.push('refused as overload while a worker was idle');
          if (depth === 0) this.problems.push('refused as overload with an empty queue');
          if (deadlineInMs === undefined && budgetInMs === undefined)
            this.problems.push('refused without being in a hurry');
          break;
        default:
          this.problems.push(`refused: ${error.reason}`);
      }
      if (error.kind === 'overloaded' && !((error.details.retryAfterMs ?? 0) >= 5))
        this.problems.push('no time to come back');
    }
  }

  /** A run starts: everything about it must be as it should. */
  #started(run: FakeRun, worker: FakeWorker): void {
    const nowMs = this.s.clock.nowMs();
    const model = this.s.models[run.request.session - 1] as (typeof this.s.models)[0];
    const rows = run.rows.map((number) => this.rows.get(number) as FakeRow);
    const retried = this.#retried.get(run.rows[0] as number) === worker;
    const wrong = (what: string): void => {
      this.problems.push(`run of rows ${run.rows.join(', ')} at ${nowMs} ms: ${what}`);
    };
    if (rows.length === 0 || rows.length > model.maxRows) wrong('too many rows');
    if (!retried && !this.#members.has(worker)) wrong('on a worker that was taken away');
    for (const row of rows) {
      if (this.#sessions.get(row.number) !== run.request.session) wrong(`row ${row.number} is of another model`);
      if (row.shapeKey !== rows[0]?.shapeKey) wrong(`row ${row.number} has another shape`);
      if (row.deadlineMs <= nowMs) wrong(`the deadline of row ${row.number} has passed`);
      if (row.left) wrong(`the caller of row ${row.number} has left`);
      if (row.answers.length > 0) wrong(`row ${row.number} has its answer already`);
      const runs = (this.#runs.get(row.number) ?? 0) + 1;
      this.#runs.set(row.number, runs);
      if (runs > 1 && this.#retried.get(row.number) !== worker) wrong(`row ${row.number} runs again`);
      if (runs > 1 + Math.ceil(Math.log2(model.maxRows)) + 1) wrong(`row ${row.number} runs for the ${runs}th time`);
    }
    if (retried) return;
    // Company makes no row late that the batch ending with it would have answered in time.
    const takesMs = model.cost.predictMs(rows.length);
    for (const [index, row] of rows.entries()) {
      const slackMs = Math.min(row.deadlineMs, row.budgetEndMs) - nowMs;
      if (model.cost.predictMs(index + 1) <= slackMs && takesMs > slackMs)
        wrong(`row ${row.number} comes late by company`);
    }
  }

  #busy(which: number): FakeWorker | undefined {
    const busy = this.s.workers.filter((worker) => worker.current !== undefined);
    return busy[which % Math.max(1, busy.length)];
  }

  #mayRetry(worker: FakeWorker): FakeRun {
    const run = this.s.run(worker);
    for (const number of run.rows) this.#retried.set(number, worker);
    return run;
  }

  async apply(step: Step): Promise<void> {
    switch (step.kind) {
      case 'submit':
        return this.submit(step);
      case 'leave': {
        const waiting = [...this.rows.values()].filter((row) => row.outcome === '');
        const row = waiting[step.which % Math.max(1, waiting.length)];
        if (row !== undefined) row.left = true;
        return;
      }
      case 'turn':
        return this.endTurn();
      case 'time':
        await this.s.clock.advance(step.ms);
        return this.endTurn();
      case 'stall':
        return this.s.clock.skip(step.ms);
      case 'add':
        return this.add();
      case 'remove': {
        const worker = [...this.#members][step.which % Math.max(1, this.#members.size)];
        if (worker !== undefined) this.remove(worker);
        return;
      }
      case 'die': {
        const worker = [...this.#members][step.which % Math.max(1, this.#members.size)];
        if (worker === undefined) return;
        worker.die();
        return this.remove(worker);
      }
    }
    const worker = this.#busy(step.which);
    if (worker === undefined) return;
    if (step.kind === 'finish') this.s.run(worker).finish(step.us);
    else if (step.kind === 'fail') this.#mayRetry(worker).fail();
    else
      this.#mayRetry(worker).finish(10, [
        { type: 'float32', dims: [99], data: Float32Array.from(this.s.run(worker).rows) },
      ]);
  }

  async endTurn(): Promise<void> {
    await this.s.endTurn();
    const { scheduler } = this.s;
    // With a delay a queue may wait for company; the third model never does.
    for (const { session } of this.s.models) {
      if (this.delayed && session !== 3) continue;
      if (scheduler.idleWorkers > 0 && scheduler.queueDepth(session) > 0) {
        this.problems.push(`${scheduler.queueDepth(session)} rows of model ${session} wait while a worker is idle`);
      }
    }
    const idle = [...this.#members].filter((worker) => worker.alive && worker.current === undefined);
    if (idle.length !== scheduler.idleWorkers)
      this.problems.push(`${idle.length} workers are idle, not ${scheduler.idleWorkers}`);
  }

  check(): void {
    for (const { session } of this.s.models) {
      if (this.s.scheduler.queueDepth(session) > QUEUE_LIMIT) this.problems.push('a queue is longer than its limit');
    }
    expect(this.problems).toEqual([]);
  }

  /** Everything comes to an end: then every row has its answer. */
  async settle(): Promise<void> {
    this.add();
    await this.endTurn();
    for (let i = 0; i < 1000; i++) {
      const worker = this.#busy(0);
      if (worker === undefined && this.s.clock.nextTimerMs === undefined) return;
      if (worker === undefined) await this.s.clock.advance(1000);
      else this.s.run(worker).finish(1000);
      await this.endTurn();
    }
    throw new Error('it never comes to an end');
  }

  checkAnswered(): void {
    for (const row of this.rows.values()) {
      expect(row.answers.length, `answers to row ${row.number}`).toBe(1);
      expect(row.outcome, `outcome of row ${row.number}`).toMatch(
        /^(score|score of row .*|RUN_FAILED|WORKER_EXITED|DEADLINE_EXPIRED_IN_QUEUE|CALLER_LEFT|SHUT_DOWN)$/,
      );
      if (this.#retried.has(row.number)) continue;
      expect(row.outcome, `outcome of row ${row.number}`).not.toBe('RUN_FAILED');
    }
    expect(this.s.scheduler.running).toBe(0);
    for (const { session } of this.s.models) expect(this.s.scheduler.queueDepth(session)).toBe(0);
  }
}

const history = fc.array(step, { minLength: 1, maxLength: 150, size: 'max' });
const delay = fc.constantFrom(0, 0, 0, 4, 25);

test('every row is answered once or refused once, and nothing that runs is late by choice, mixed or dead', async () => {
  await fc.assert(
    fc.asyncProperty(history, delay, async (steps, maxDelayMs) => {
      const h = new History(maxDelayMs);
      for (const step of steps) {
        await h.apply(step);
        h.check();
      }
      await h.settle();
      h.check();
      h.checkAnswered();
    }),
    { numRuns: 400 },
  );
});

test('giving up at any time answers every row at once', async () => {
  await fc.assert(
    fc.asyncProperty(history, delay, async (steps, maxDelayMs) => {
      const h = new History(maxDelayMs);
      for (const step of steps) await h.apply(step.kind === 'submit' ? { ...step, again: false } : step);
      h.s.scheduler.giveUp(() => new ScorewireError('unavailable', 'SHUT_DOWN', 'shut down'));
      for (const row of h.rows.values()) expect(row.answers.length, `answers to row ${row.number}`).toBe(1);
      await h.settle();
      for (const row of h.rows.values()) expect(row.answers.length, `answers to row ${row.number}`).toBe(1);
      h.check();
    }),
    { numRuns: 200 },
  );
});
