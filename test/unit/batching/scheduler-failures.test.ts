import { describe, expect, it } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { FakeRow } from '../../support/fake-row.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';

/** Ends every run: those that hold a row of `bad` are refused by the model. */
async function finishWith(s: FakeScheduling, bad: ReadonlySet<number>): Promise<void> {
  await s.endTurn();
  for (let run = s.worker.current; run !== undefined; run = s.worker.current) {
    if (run.rows.some((row) => bad.has(row))) {
      run.fail();
      await s.endTurn();
    } else {
      await s.finish();
    }
  }
}

const failedRows = (rows: readonly FakeRow[]): number[] =>
  rows.filter((row) => row.outcome === 'RUN_FAILED').map((row) => row.number);
const scoredRows = (rows: readonly FakeRow[]): number[] =>
  rows.filter((row) => row.outcome === 'score').map((row) => row.number);

describe('a batch that the model refuses', () => {
  const all = Array.from({ length: 16 }, (_, i) => i);
  it.each<[string, number[]]>([
    ['the first row', [0]],
    ['the last row', [15]],
    ['a row in the middle', [7]],
    ['two rows side by side', [7, 8]],
    ['two rows far apart', [1, 14]],
    ['every other row', all.filter((i) => i % 2 === 0)],
    ['all but one', all.filter((i) => i !== 5)],
    ['every row', all],
  ])('costs only the rows at fault: %s', async (_, bad) => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(16);
    await finishWith(s, new Set(bad));
    expect(failedRows(rows)).toEqual(bad);
    expect(scoredRows(rows)).toEqual(all.filter((i) => !bad.includes(i)));
    expect(s.worker.runs.length).toBeLessThanOrEqual(2 * 16 - 1);
  });

  it.each([1, 2, 3, 5, 8, 13, 64])(
    'takes at most 2n - 1 runs, and just so many if every row is at fault: %i rows',
    async (n) => {
      const s = new FakeScheduling();
      s.addModel();
      const rows = s.submitAll(n);
      await finishWith(s, new Set(rows.map((row) => row.number)));
      expect(s.worker.runs.length).toBe(2 * n - 1);
      expect(failedRows(rows).length).toBe(n);
    },
  );

  it('takes about 2 log n runs for a single row at fault', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submitAll(64);
    await finishWith(s, new Set([37]));
    expect(s.worker.runs.length).toBe(13);
  });

  it('tells the row at fault no more than that it failed, and the observer all', async () => {
    const s = new FakeScheduling();
    s.addModel({ name: 'churn' });
    const row = s.submit();
    await s.endTurn();
    s.run().fail('Non-zero status code returned while running Gather node');
    await s.endTurn();
    expect(row.error?.kind).toBe('internal');
    expect(row.error?.message).toBe('churn: the model could not run this row');
    expect(row.error?.details.cause).toHaveProperty('message', expect.stringContaining('Gather'));
    expect(s.failed).toMatchObject([
      { model: 'churn', rows: 1, error: { message: expect.stringContaining('Gather') } },
    ]);
  });

  it('is not learned from', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    await s.clock.advance(500);
    s.run().fail();
    await s.endTurn();
    expect(s.costMs(1, 1)).toBeCloseTo(1.01, 12);
    expect(s.done).toEqual([]);
  });

  it('gives rows that died meanwhile their answer, and no second run', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = [s.submit(), s.submit(1, { deadlineMs: 5 }), s.submit(), s.submit()];
    await s.endTurn();
    (rows[3] as FakeRow).left = true;
    await s.clock.advance(6);
    s.run().fail();
    await s.endTurn();
    expect(s.run().rows).toEqual([0]);
    await s.finish();
    expect(s.run().rows).toEqual([2]);
    await s.finish();
    expect(rows.map((row) => row.outcome)).toEqual(['score', 'DEADLINE_EXPIRED_IN_QUEUE', 'score', 'CALLER_LEFT']);
  });

  it('gives no run to a half whose rows all died', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(4);
    await s.endTurn();
    for (const row of rows.slice(0, 2)) row.left = true;
    s.run().fail();
    await s.endTurn();
    expect(s.run().rows).toEqual([2, 3]);
  });

  it('keeps its worker until it is done, and gives it back then', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submitAll(2);
    await s.endTurn();
    const next = s.submit();
    s.run().fail();
    await s.endTurn();
    expect(s.run().rows).toEqual([0]);
    await s.finish();
    expect(s.run().rows).toEqual([1]);
    await s.finish();
    expect(s.run().rows).toEqual([next.number]);
  });

  it('counts against its model for as long as it took', async () => {
    const s = new FakeScheduling();
    s.addModel({ name: 'poisoned', maxRows: 8, queueLimit: 10_000 });
    s.addModel({ name: 'well', maxRows: 8, queueLimit: 10_000 });
    const tookMs = [0, 0];
    for (let i = 0; i < 2000; i++) {
      // Both always have a batch queued.
      for (const session of [1, 2]) {
        while (s.scheduler.queueDepth(session) < 16) s.submit(session);
      }
      await s.endTurn();
      const run = s.run();
      tookMs[run.request.session - 1] = (tookMs[run.request.session - 1] as number) + 1;
      await s.clock.advance(1);
      if (run.request.session === 1) run.fail();
      else run.finish(1000);
      await s.endTurn();
    }
    expect(tookMs[0]).toBeGreaterThan(850);
    expect(tookMs[0]).toBeLessThan(1150);
  });
});

describe('outputs that are not one entry a row', () => {
  it('make the rows run one by one', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(3);
    await s.endTurn();
    for (let run = s.worker.current; run !== undefined; run = s.worker.current) {
      run.finish(10, [{ type: 'float32', dims: [1, 1], data: new Float32Array([run.rows[0] as number]) }]);
      await s.endTurn();
    }
    expect(s.worker.runs.map((run) => run.rows)).toEqual([[0, 1, 2], [0], [1, 2], [1], [2]]);
    expect(rows.map((row) => row.outcome)).toEqual(['score', 'score', 'score']);
    expect(s.failed[0]?.error).toHaveProperty('message', 'output score has dimensions [1,1] for 3 rows');
  });

  it('are found in any of the outputs', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submitAll(2, 1, { outputNames: ['score', 'scale'] });
    await s.endTurn();
    const score = { type: 'float32' as const, dims: [2, 1], data: new Float32Array([0, 1]) };
    s.run().finish(10, [score, { type: 'float32', dims: [], data: new Float32Array([7]) }]);
    await s.endTurn();
    expect(s.run().rows).toEqual([0]);
    expect(s.failed[0]?.error).toHaveProperty('message', 'output scale has dimensions [] for 2 rows');
  });

  it('of a single row are its own affair', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const row = s.submit();
    await s.endTurn();
    s.run().finish(10, [{ type: 'float32', dims: [5], data: new Float32Array(5) }]);
    await s.endTurn();
    expect(row.outcome).toBe('score');
  });
});

describe('a worker that goes away', () => {
  it('costs the rows that it has, once and for all', async () => {
    const s = new FakeScheduling(2);
    s.addModel({ maxRows: 2 });
    const rows = s.submitAll(6);
    await s.endTurn();
    const [stays, dies] = s.workers as [(typeof s.workers)[0], (typeof s.workers)[0]];
    const lost = new Set(dies.current?.rows);
    dies.die();
    s.scheduler.removeWorker(dies);
    await s.endTurn();
    for (const row of rows) {
      if (!lost.has(row.number)) continue;
      expect(row.error?.kind).toBe('unavailable');
      expect(row.outcome).toBe('WORKER_EXITED');
    }
    await s.finishAll();
    for (const row of rows) if (!lost.has(row.number)) expect(row.outcome).toBe('score');
    expect(dies.runs.length).toBe(1);
    expect(stays.runs.flatMap((run) => run.rows).filter((row) => lost.has(row))).toEqual([]);
    expect(s.scheduler.idleWorkers).toBe(1);
  });

  it('in the middle of a split costs the rows that are left of it, and no more runs than it takes to see that', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(4);
    await s.endTurn();
    s.run().fail();
    await s.endTurn();
    await s.finish();
    expect(s.run().rows).toEqual([2, 3]);
    s.worker.die();
    s.scheduler.removeWorker(s.worker);
    await s.endTurn();
    expect(rows.map((row) => row.outcome)).toEqual(['score', 'score', 'WORKER_EXITED', 'WORKER_EXITED']);
    expect(s.scheduler.running).toBe(0);
  });

  it('is not given a batch again, even before it is taken away', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    s.worker.die();
    s.submit();
    await s.endTurn();
    expect(s.worker.runs.length).toBe(1);
    expect(s.scheduler.idleWorkers).toBe(0);
    // Nor is that a reason to refuse anybody.
    expect(s.refusal()).toBeUndefined();
    expect(s.refusal(1, { deadlineMs: 100 })).toBeUndefined();
  });
});

describe('what nobody expected', () => {
  it('a fault in the worker’s hand-over fails the batch, and the next one runs', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(2);
    await s.endTurn();
    s.run().reject(new TypeError('could not be cloned'));
    await s.endTurn();
    expect(rows.map((row) => row.outcome)).toEqual(['RUN_FAILED', 'RUN_FAILED']);
    const next = s.submit();
    await s.finishAll();
    expect(next.outcome).toBe('score');
    expect(s.worker.runs.length).toBe(2);
  });

  it('an error that is meant for callers goes to the rows as it is', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const row = s.submit();
    await s.endTurn();
    s.run().reject(new ScorewireError('unavailable', 'WORKER_EXITED', 'gone'));
    await s.endTurn();
    expect(row.outcome).toBe('WORKER_EXITED');
  });

  it('a caller who can’t take the answer doesn’t keep the others from theirs, nor the worker', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const broken = (): never => {
      throw new Error('the answer can’t be encoded');
    };
    const rows = [s.submit(), s.submit(1, { answered: broken }), s.submit()];
    await s.finishAll();
    expect(rows.map((row) => row.outcome)).toEqual(['score', 'score', 'score']);
    expect(s.failed).toMatchObject([{ rows: 1, error: { message: 'the answer can’t be encoded' } }]);
    expect(s.scheduler.idleWorkers).toBe(1);
  });
});
