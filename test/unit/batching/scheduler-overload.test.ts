// More work than the workers can do, for a while, in simulated time: overload must cost the excess and nothing else.
import { describe, expect, it } from 'vitest';
import { FakeScheduling } from '../../support/fake-scheduling.ts';
import type { FakeWorker } from '../../support/fake-worker.ts';

type Source = {
  session: number;
  /** Rows a millisecond, as a Poisson process. */
  rate: number;
  /** What a row's deadline, or its budget, is: milliseconds from its arrival. */
  dueInMs: number;
  hard: boolean;
};

type Outcome = { offered: number; refused: number; inTime: number; late: number; unanswered: number; worstMs: number };

/** Numbers in (0, 1), the same in every test. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** Runs `s` for `ms` milliseconds. A run takes what the curve says, 10 % up or down. One outcome a source. */
async function simulate(s: FakeScheduling, sources: readonly Source[], ms: number): Promise<Outcome[]> {
  const random = sequence(11);
  const costsUs = s.models.map(({ cost, maxRows }) =>
    Array.from({ length: maxRows + 1 }, (_, rows) => cost.runUs(rows)),
  );
  const outcomes = sources.map(() => ({ offered: 0, refused: 0, inTime: 0, late: 0, unanswered: 0, worstMs: 0 }));
  const nextMs = sources.map(({ rate }) => -Math.log(random()) / rate);
  const ends = new Map<FakeWorker, { atMs: number; runUs: number }>();
  for (;;) {
    for (const worker of s.workers) {
      if (worker.current === undefined || ends.has(worker)) continue;
      const { request, rows } = worker.current;
      const runUs = (costsUs[request.session - 1]?.[rows.length] as number) * (0.9 + 0.2 * random());
      ends.set(worker, { atMs: s.clock.nowMs() + runUs / 1000, runUs });
    }
    const [worker, end] = [...ends].sort(([, a], [, b]) => a.atMs - b.atMs)[0] ?? [];
    const arrivalMs = Math.min(...nextMs);
    const atMs = Math.min(arrivalMs, end?.atMs ?? Number.POSITIVE_INFINITY);
    if (atMs > ms) return outcomes;
    s.clock.skip(atMs - s.clock.nowMs());
    if (worker !== undefined && end?.atMs === atMs) {
      ends.delete(worker);
      s.run(worker).finish(end.runUs);
      await s.endTurn();
    } else {
      const index = nextMs.indexOf(arrivalMs);
      const { session, rate, dueInMs, hard } = sources[index] as Source;
      nextMs[index] = arrivalMs - Math.log(random()) / rate;
      const outcome = outcomes[index] as Outcome;
      outcome.offered++;
      const refused = s.refusal(session, {
        ...(hard ? { deadlineMs: atMs + dueInMs } : { budgetEndMs: atMs + dueInMs }),
        answered: (row) => {
          const tookMs = s.clock.nowMs() - atMs;
          outcome.worstMs = Math.max(outcome.worstMs, tookMs);
          if (row.error !== undefined) outcome.unanswered++;
          else if (tookMs <= dueInMs) outcome.inTime++;
          else outcome.late++;
        },
      });
      if (refused !== undefined) outcome.refused++;
      if (s.scheduler.idleWorkers > 0) await s.endTurn();
    }
  }
}

/** Rows a millisecond of one worker, in the best batches. */
function peak(s: FakeScheduling): number {
  const model = s.models[0] as (typeof s.models)[0];
  return Math.max(...model.cost.sizes.map((rows) => rows / model.cost.predictMs(rows)));
}

describe('answers within 10 ms, of what the workers can do at best', () => {
  const MODELS: Record<string, (rows: number) => number> = {
    '1.05 ms a row': (rows) => 1050 * rows,
    '2.4 ms a row': (rows) => 2400 * rows,
    '1 ms a batch and 10 us a row': (rows) => 1000 + 10 * rows,
    '0.5 ms a batch and 100 us a row': (rows) => 500 + 100 * rows,
  };
  const cases = Object.keys(MODELS).flatMap((model) =>
    [1, 2].flatMap((workers) =>
      [1.3, 3].flatMap((load) =>
        [true, false].map((hard) => ({ model, workers, load, hard, what: hard ? 'deadlines' : 'budgets' })),
      ),
    ),
  );

  it.each(cases)('$model, $workers workers, $load times the load, $what', async ({ model, workers, load, hard }) => {
    const s = new FakeScheduling(workers);
    s.addModel({ runUs: MODELS[model] as (rows: number) => number, queueLimit: 4096 });
    const most = peak(s) * workers;
    const ms = Math.max(150, 1000 / most);
    const [outcome] = await simulate(s, [{ session: 1, rate: most * load, dueInMs: 10, hard }], ms);
    expect((outcome as Outcome).inTime / (most * ms)).toBeGreaterThan(0.85);
  });
});

it('a model that is overloaded neither sheds nor slows a cheap one beside it by more than its run', async () => {
  const s = new FakeScheduling();
  s.addModel({ name: 'cheap', runUs: (rows) => 100 + rows, queueLimit: 4096 });
  s.addModel({ name: 'dear', runUs: (rows) => 20_000 * rows, queueLimit: 4096 });
  const [cheap, dear] = (await simulate(
    s,
    [
      { session: 1, rate: 1, dueInMs: 10, hard: false },
      { session: 2, rate: 0.15, dueInMs: 200, hard: false },
    ],
    8000,
  )) as [Outcome, Outcome];
  expect(cheap.refused).toBe(0);
  expect(cheap.worstMs).toBeLessThan(22 + 1);
  // The dear one has nearly all of the worker, which is 50 rows a second, and is asked for 150.
  expect(dear.inTime).toBeGreaterThan(0.8 * 50 * 8);
});

it('a model beside many small ones is not refused for them while there is room for all', async () => {
  const s = new FakeScheduling();
  s.addModel({ name: 'large', runUs: (rows) => 1050 * rows });
  const small = Array.from({ length: 10 }, () => s.addModel({ runUs: (rows) => 20 + rows }).session);
  const [large, ...others] = await simulate(
    s,
    [
      { session: 1, rate: 0.7 / 1.05, dueInMs: 10, hard: true },
      ...small.map((session) => ({ session, rate: 0.2, dueInMs: 10, hard: true })),
    ],
    1500,
  );
  expect((large as Outcome).refused / (large as Outcome).offered).toBeLessThan(0.02);
  for (const outcome of others) expect(outcome.inTime).toBe(outcome.offered);
});
