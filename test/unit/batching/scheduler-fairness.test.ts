import { describe, expect, it } from 'vitest';
import { FakeScheduling } from '../../support/fake-scheduling.ts';

const CHEAP = 1;
const DEAR = 2;

/** A cheap model of 0.1 ms a batch, and one of 20 ms a row. */
function cheapAndDear(workers = 1): FakeScheduling {
  const s = new FakeScheduling(workers);
  s.addModel({ name: 'cheap', runUs: () => 100, queueLimit: 100_000 });
  s.addModel({ name: 'dear', runUs: (rows) => 20_000 * rows, queueLimit: 100_000 });
  return s;
}

describe('a cheap model beside a dear one', () => {
  it('waits for one run of the dear one, not for its queue', async () => {
    const s = cheapAndDear();
    s.submitAll(50, DEAR);
    await s.endTurn();
    const row = s.submit(CHEAP);
    await s.finish();
    expect(s.run().request.session).toBe(CHEAP);
    await s.finish();
    expect(row.outcome).toBe('score');
    expect(s.clock.nowMs()).toBeCloseTo(20.1, 6);
  });

  it('is never stuck behind more than one run, however its rows come', async () => {
    const s = cheapAndDear();
    let worstMs = 0;
    for (let i = 0; i < 300; i++) {
      while (s.scheduler.queueDepth(DEAR) < 5) s.submit(DEAR);
      const cameMs = s.clock.nowMs();
      s.submit(CHEAP, { answered: () => (worstMs = Math.max(worstMs, s.clock.nowMs() - cameMs)) });
      // Between 0 and 3 runs later comes the next one.
      await s.endTurn();
      for (let runs = 0; runs < i % 4; runs++) await s.finish();
    }
    await s.finishAll();
    expect(worstMs).toBeGreaterThan(20);
    expect(worstMs).toBeLessThan(20 + 2 * 0.1 + 1e-6);
  });

  it('keeps half of the worker while both have work', async () => {
    const s = cheapAndDear();
    const msOf = [0, 0];
    while (s.clock.nowMs() < 4000) {
      while (s.scheduler.queueDepth(CHEAP) < 128) s.submit(CHEAP);
      while (s.scheduler.queueDepth(DEAR) < 3) s.submit(DEAR);
      await s.endTurn();
      const startMs = s.clock.nowMs();
      const run = await s.finish();
      const index = run.request.session - 1;
      msOf[index] = (msOf[index] as number) + s.clock.nowMs() - startMs;
    }
    expect(msOf[0]).toBeGreaterThan(1900);
    expect(msOf[1]).toBeGreaterThan(1900);
  });

  it('keeps half of it also if the dear one’s rows come one by one, each after the answer to the last', async () => {
    const s = cheapAndDear();
    const msOf = [0, 0];
    const next = (): unknown => s.submit(DEAR, { answered: next });
    next();
    while (s.clock.nowMs() < 2000) {
      while (s.scheduler.queueDepth(CHEAP) < 128) s.submit(CHEAP);
      const startMs = s.clock.nowMs();
      const run = await s.finish();
      const index = run.request.session - 1;
      msOf[index] = (msOf[index] as number) + s.clock.nowMs() - startMs;
    }
    expect(msOf[0]).toBeGreaterThan(950);
    expect(msOf[1]).toBeGreaterThan(950);
  });

  it('does not starve the dear one', async () => {
    const s = cheapAndDear();
    // The cheap one always has work.
    s.submitAll(64 * 1500, CHEAP);
    const rows = s.submitAll(5, DEAR);
    await s.endTurn();
    while (rows.some((row) => row.outcome === '')) await s.finish();
    // Five runs of its own, and its fair share of the cheap one's before each.
    expect(s.clock.nowMs()).toBeLessThan(5 * 20 + 5 * 20 + 1);
  });

  it('has no claim to what it did not use', async () => {
    const s = cheapAndDear();
    // For 2 s the dear one is alone.
    s.submitAll(100, DEAR);
    await s.finishAll();
    s.submitAll(64 * 1000, CHEAP);
    await s.endTurn();
    const row = s.submit(DEAR);
    await s.finish();
    const cameMs = s.clock.nowMs();
    while (row.outcome === '') await s.finish();
    expect(s.clock.nowMs() - cameMs).toBeLessThan(2 * 20 + 1);
  });
});

it('models that cost the same take turns', async () => {
  const s = new FakeScheduling();
  for (let i = 0; i < 3; i++) s.addModel({ maxRows: 2, runUs: () => 1000 });
  for (const session of [1, 2, 3]) s.submitAll(8, session);
  await s.finishAll();
  const order = s.worker.runs.map((run) => run.request.session);
  for (let turn = 0; turn < 4; turn++) expect(order.slice(3 * turn, 3 * turn + 3).sort()).toEqual([1, 2, 3]);
});

it('with two workers the cheap one gets the first that is free', async () => {
  const s = cheapAndDear(2);
  s.submitAll(50, DEAR);
  await s.endTurn();
  const row = s.submit(CHEAP);
  await s.finish();
  expect(s.run().request.session).toBe(CHEAP);
  await s.finish();
  expect(row.outcome).toBe('score');
});

it('a model that was thought far dearer than it is, is not punished for it', async () => {
  const s = new FakeScheduling();
  s.addModel({ name: 'usual', runUs: () => 1000, queueLimit: 100_000 });
  s.addModel({ name: 'misjudged', runUs: () => 60_000_000, queueLimit: 100_000 });
  s.submitAll(64 * 400, 1);
  s.submitAll(64 * 50, 2);
  await s.endTurn();
  const runs = [0, 0];
  for (let i = 0; i < 300; i++) {
    const run = s.run();
    const index = run.request.session - 1;
    runs[index] = (runs[index] as number) + 1;
    await s.clock.advance(1);
    run.finish(1000);
    await s.endTurn();
  }
  expect(runs[1]).toBeGreaterThanOrEqual(50);
});
