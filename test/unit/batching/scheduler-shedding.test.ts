import { describe, expect, it } from 'vitest';
import type { FakeModelOptions } from '../../support/fake-scheduling.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';

/** A model whose batch takes 10 ms and 1 ms a row; one worker has a row of it since now, and so is busy for 11 ms. */
async function busy(options: FakeModelOptions = {}, workers = 1): Promise<FakeScheduling> {
  const s = new FakeScheduling(workers);
  s.addModel({ runUs: (rows) => 10_000 + 1000 * rows, ...options });
  for (let i = 0; i < workers; i++) {
    s.submit();
    await s.endTurn();
  }
  expect(s.scheduler.idleWorkers).toBe(0);
  return s;
}

describe('never refused by prediction', () => {
  it('is a row that an idle worker waits for, however late it will be and however many came with it', () => {
    const s = new FakeScheduling();
    s.addModel({ runUs: () => 60_000_000 });
    for (let i = 0; i < 900; i++) expect(s.refusal(1, { deadlineMs: 1 })).toBeUndefined();
    expect(s.scheduler.queueDepth(1)).toBe(900);
  });

  it('is a row of a model with an empty queue, however long the workers are busy', async () => {
    const s = await busy({ runUs: () => 60_000_000 });
    expect(s.refusal(1, { deadlineMs: 1 })).toBeUndefined();
  });

  it('is a row while one of several workers is idle', async () => {
    const s = await busy();
    s.addWorker();
    s.submitAll(500);
    expect(s.refusal(1, { deadlineMs: 1 })).toBeUndefined();
  });

  it('is a row that is in no hurry', async () => {
    const s = await busy();
    for (let i = 0; i < 900; i++) expect(s.refusal()).toBeUndefined();
  });

  it('is a model whose estimate went wrong: it finds back', async () => {
    const s = new FakeScheduling();
    s.addModel({ runUs: () => 60_000_000 });
    // It takes 1 ms in truth, and callers give it 10.
    for (let i = 0; i < 200; i++) {
      const row = s.submit(1, { deadlineMs: s.clock.nowMs() + 10 });
      await s.clock.advance(1);
      s.run().finish(1000);
      await s.endTurn();
      expect(row.outcome).toBe('score');
    }
    expect(s.costMs(1, 1)).toBeLessThan(1.1);
    expect(s.costMs(1, 64)).toBeLessThan(2);
    expect(s.sheds).toEqual([]);
  });
});

describe('under load', () => {
  it('a row is refused that the prediction calls late: at once, with a reason and a time to come back', async () => {
    const s = await busy();
    s.submit();
    const error = s.refusal(1, { deadlineMs: 15 });
    expect(error?.kind).toBe('overloaded');
    expect(error?.reason).toBe('OVERLOADED');
    expect(error?.message).toContain('model-1');
    expect(error?.details.metadata).toEqual({ model: 'model-1' });
    // 11 ms until the worker is free, 12 for a batch of two, and one more in reserve: 35, which is 20 too late.
    expect(error?.details.retryAfterMs).toBe(20);
    expect(s.sheds).toEqual([{ model: 'model-1', reason: 'OVERLOADED' }]);
    expect(s.scheduler.queueDepth(1)).toBe(1);
  });

  it('a row is taken that the prediction calls in time', async () => {
    const s = await busy();
    s.submit();
    expect(s.refusal(1, { deadlineMs: 34.99 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 35.01 })).toBeUndefined();
  });

  it('a latency budget counts as a deadline does', async () => {
    const s = await busy();
    s.submit();
    expect(s.refusal(1, { deadlineMs: 1000, budgetEndMs: 34.99 })?.reason).toBe('OVERLOADED');
    expect(s.refusal(1, { deadlineMs: 1000, budgetEndMs: 35.01 })).toBeUndefined();
  });

  it('what the run under way has done already counts', async () => {
    const s = await busy();
    s.submit();
    await s.clock.advance(10);
    // 1 ms until the worker is free.
    expect(s.refusal(1, { deadlineMs: 10 + 24.99 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 10 + 25.01 })).toBeUndefined();
  });

  it('a run of another model counts against a deadline, and not against a budget', async () => {
    const s = await busy({ runUs: () => 200_000 });
    s.addModel({ runUs: () => 1000 });
    s.submit(2);
    // 200 ms until the worker is free, 1 for the batch, and one more in reserve.
    expect(s.refusal(2, { deadlineMs: 201.99 })?.reason).toBe('OVERLOADED');
    expect(s.refusal(2, { deadlineMs: 202.01 })).toBeUndefined();
    expect(s.refusal(2, { budgetEndMs: 1.99 })?.reason).toBe('OVERLOADED');
    expect(s.refusal(2, { budgetEndMs: 2.01 })).toBeUndefined();
  });

  it('of several workers the first that will be free counts', async () => {
    const s = await busy({}, 2);
    const [first] = s.workers;
    await s.clock.advance(5);
    s.run(first).finish(11_000);
    s.submit();
    await s.endTurn();
    // One worker has 6 ms left, the other 11.
    s.submit();
    expect(s.refusal(1, { deadlineMs: 5 + 29.9 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 5 + 30.1 })).toBeUndefined();
  });

  it('a worker that was taken away is not waited for', async () => {
    const s = await busy({}, 2);
    const [first] = s.workers;
    await s.clock.advance(5);
    s.run(first).finish(11_000);
    s.submit();
    await s.endTurn();
    s.scheduler.removeWorker(s.worker);
    s.submit();
    // The worker that stays has 11 ms left.
    expect(s.refusal(1, { deadlineMs: 5 + 34.9 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 5 + 35.1 })).toBeUndefined();
  });

  it('a run that takes longer than was thought counts as done', async () => {
    const s = await busy();
    s.submit();
    await s.clock.advance(500);
    expect(s.refusal(1, { deadlineMs: 500 + 23.99 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 500 + 24.01 })).toBeUndefined();
  });

  it('the batches in front count, as large as they will be', async () => {
    const s = await busy({ maxRows: 4 });
    s.submitAll(9);
    // Free in 11 ms, two full batches of 14 ms, then its own, which may be as large; and one in reserve.
    expect(s.refusal(1, { deadlineMs: 11 + 4 * 14 - 0.01 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 11 + 4 * 14 + 0.01 })).toBeUndefined();
  });

  it('rows beyond the knee wait for a batch of their own', async () => {
    const s = await busy({ runUs: (rows) => 20_000 * rows });
    s.submitAll(2);
    // Free in 20 ms; two runs, its own, and one in reserve.
    expect(s.refusal(1, { deadlineMs: 99.9 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 100.1 })).toBeUndefined();
  });

  it('several workers share the batches in front', async () => {
    const s = await busy({ maxRows: 4 }, 2);
    s.submitAll(9);
    // Both are free in 11 ms; two batches in front take as long as one.
    expect(s.refusal(1, { deadlineMs: 11 + 3 * 14 - 0.01 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 11 + 3 * 14 + 0.01 })).toBeUndefined();
  });

  it('other models take as long as they have work', async () => {
    const s = await busy();
    s.addModel({ runUs: () => 1000 });
    s.submit(1);
    s.submit(2);
    // Free in 11 ms; 1 ms for the other model, 12 for its own batch, and one more in reserve.
    expect(s.refusal(1, { deadlineMs: 35.99 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 36.01 })).toBeUndefined();
  });

  it('each of them no longer than its fair share: as long as the model itself', async () => {
    const s = await busy();
    s.addModel({ maxRows: 1, runUs: () => 7000 });
    s.addModel({ maxRows: 1, runUs: () => 5000 });
    s.submit(1);
    s.submitAll(50, 2);
    s.submitAll(2, 3);
    // Free in 11 ms; 12 ms for the first other model, 10 for the second, 12 for its own batch, and one more in reserve.
    expect(s.refusal(1, { deadlineMs: 56.99 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 57.01 })).toBeUndefined();
  });

  it('other models’ rows ride together as well, and several workers share them', async () => {
    const s = await busy({}, 2);
    s.addModel({ runUs: (rows) => 1000 + 100 * rows, maxRows: 10 });
    s.submit(1);
    s.submitAll(20, 2);
    // Free in 11 ms; two batches of 2 ms on two workers, 12 for its own batch, and one more in reserve.
    expect(s.refusal(1, { deadlineMs: 36.99 })).toBeDefined();
    expect(s.refusal(1, { deadlineMs: 37.01 })).toBeUndefined();
  });

  it('other models without work take none', async () => {
    const s = await busy();
    s.addModel();
    s.submit(1);
    expect(s.refusal(1, { deadlineMs: 35.01 })).toBeUndefined();
  });

  it('the time to come back is at least 5 ms and at most 5 s, whole milliseconds', async () => {
    const s = await busy();
    s.submit();
    expect(s.refusal(1, { deadlineMs: 34 })?.details.retryAfterMs).toBe(5);
    expect(s.refusal(1, { deadlineMs: 24.5 })?.details.retryAfterMs).toBe(11);
    const slow = await busy({ runUs: () => 60_000_000 });
    slow.submit();
    expect(slow.refusal(1, { deadlineMs: 1 })?.details.retryAfterMs).toBe(5000);
  });

  it('rows that died in the queue are answered before one is refused for them', async () => {
    const s = await busy({ maxRows: 4 });
    const dead = s.submitAll(30);
    s.submit();
    for (const row of dead.slice(0, 29)) row.left = true;
    expect(s.refusal(1, { deadlineMs: 60 })).toBeUndefined();
    expect(dead.slice(0, 29).every((row) => row.outcome === 'CALLER_LEFT')).toBe(true);
    expect(s.scheduler.queueDepth(1)).toBe(3);
  });

  it('a row is taken if only dead ones were in front of it', async () => {
    const s = await busy();
    const dead = s.submit();
    dead.left = true;
    expect(s.refusal(1, { deadlineMs: 1 })).toBeUndefined();
    expect(dead.outcome).toBe('CALLER_LEFT');
  });
});

describe('a queue', () => {
  it('takes as many rows as its limit, even while a worker is idle, and refuses the next', () => {
    const s = new FakeScheduling();
    s.addModel({ queueLimit: 5 });
    s.submitAll(5);
    const error = s.refusal();
    expect(error?.kind).toBe('overloaded');
    expect(error?.reason).toBe('QUEUE_FULL');
    expect(error?.details.retryAfterMs).toBeGreaterThanOrEqual(5);
    expect(s.scheduler.queueDepth(1)).toBe(5);
    expect(s.sheds).toEqual([{ model: 'model-1', reason: 'QUEUE_FULL' }]);
  });

  it('tells a refused row to come back when it will have been worked off', async () => {
    const s = await busy({ queueLimit: 8, maxRows: 4 });
    s.submitAll(8);
    // Free in 11 ms, two full batches, and its own.
    expect(s.refusal()?.details.retryAfterMs).toBe(11 + 3 * 14);
  });

  it('that is full of dead rows is swept before it refuses', async () => {
    const s = await busy({ queueLimit: 3 });
    const [expired, left, alive] = [s.submit(1, { deadlineMs: 1000 }), s.submit(), s.submit()];
    left.left = true;
    await s.clock.advance(1000);
    expect(s.refusal()).toBeUndefined();
    expect([expired.outcome, left.outcome, alive.outcome]).toEqual(['DEADLINE_EXPIRED_IN_QUEUE', 'CALLER_LEFT', '']);
    expect(s.scheduler.queueDepth(1)).toBe(2);
  });

  it('of one model doesn’t fill that of another', () => {
    const s = new FakeScheduling();
    s.addModel({ queueLimit: 1 });
    s.addModel({ queueLimit: 1 });
    s.submit(1);
    expect(s.refusal(1)?.reason).toBe('QUEUE_FULL');
    expect(s.refusal(2)).toBeUndefined();
  });

  it('answers no row that it refused', async () => {
    const s = new FakeScheduling();
    s.addModel({ queueLimit: 1 });
    s.submit();
    let told = 0;
    expect(s.refusal(1, { answered: () => told++ })).toBeDefined();
    await s.finishAll();
    s.scheduler.giveUp(() => new Error('shut down') as never);
    expect(told).toBe(0);
  });
});
