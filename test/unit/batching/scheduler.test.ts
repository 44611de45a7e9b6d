import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import type { FakeRow } from '../../support/fake-row.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';

const outcomes = (rows: readonly FakeRow[]): string[] => rows.map((row) => row.outcome);

describe('an idle worker', () => {
  it('takes at the end of the turn all that was queued in it, as one batch', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(5);
    expect(s.worker.current).toBeUndefined();
    expect(s.scheduler.queueDepth(1)).toBe(5);
    await s.endTurn();
    expect(s.run().rows).toEqual([0, 1, 2, 3, 4]);
    expect(s.scheduler.queueDepth(1)).toBe(0);
    await s.finish();
    expect(outcomes(rows)).toEqual(['score', 'score', 'score', 'score', 'score']);
    expect(s.worker.runs.length).toBe(1);
  });

  it('takes a single row without waiting for more', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    expect(s.run().rows).toEqual([0]);
  });

  it('is given what is queued as soon as its run ends', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    s.submitAll(3);
    await s.finish();
    expect(s.run().rows).toEqual([1, 2, 3]);
  });

  it('that comes late takes what waits', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    const waiting = s.submitAll(2);
    await s.endTurn();
    const late = s.addWorker();
    await s.endTurn();
    expect(s.run(late).rows).toEqual([1, 2]);
    await s.finishAll();
    expect(outcomes(waiting)).toEqual(['score', 'score']);
  });

  it('shares a crowd with the other idle ones, in batches of full size', async () => {
    const s = new FakeScheduling(3);
    s.addModel({ maxRows: 4 });
    s.submitAll(10);
    await s.endTurn();
    expect(s.workers.flatMap((worker) => worker.current?.rows.length ?? 0).sort()).toEqual([2, 4, 4]);
    expect(s.scheduler.idleWorkers).toBe(0);
    expect(s.scheduler.running).toBe(3);
    await s.finishAll();
    expect(s.scheduler.idleWorkers).toBe(3);
    expect(s.scheduler.running).toBe(0);
  });
});

describe('while the workers are busy', () => {
  it('a batch forms of what comes, turn after turn', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    for (let turn = 0; turn < 4; turn++) {
      s.submitAll(2);
      await s.endTurn();
    }
    expect(s.worker.runs.length).toBe(1);
    await s.finish();
    expect(s.run().rows).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('no batch is larger than the model bears', async () => {
    const s = new FakeScheduling();
    s.addModel({ maxRows: 3 });
    s.submitAll(7);
    await s.finishAll();
    expect(s.worker.runs.map((run) => run.rows.length)).toEqual([3, 3, 1]);
  });

  it('no batch is larger than is worth its wait', async () => {
    const s = new FakeScheduling();
    s.addModel({ runUs: (rows) => 20_000 * rows });
    s.submitAll(3);
    await s.finishAll();
    expect(s.worker.runs.map((run) => run.rows)).toEqual([[0], [1], [2]]);
  });

  it('a batch is small enough for its tightest row', async () => {
    const s = new FakeScheduling();
    s.addModel({ runUs: (rows) => 1000 * (9 + rows) });
    s.submitAll(2);
    s.submit(1, { deadlineMs: 15 });
    s.submitAll(10);
    await s.endTurn();
    expect(s.run().rows.length).toBe(6);
  });

  it('a latency budget shapes batches like a deadline', async () => {
    const s = new FakeScheduling();
    s.addModel({ runUs: (rows) => 1000 * (9 + rows) });
    s.submit(1, { budgetEndMs: 12, deadlineMs: 100 });
    s.submitAll(10);
    await s.endTurn();
    expect(s.run().rows.length).toBe(3);
  });

  it('rows of different shapes wait for their own batch', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = ['2', '3', '2', '3', '4'].map((shape) => s.submit(1, { shape }));
    await s.finishAll();
    expect(s.worker.runs.map((run) => run.rows)).toEqual([[0, 2], [1, 3], [4]]);
    expect(s.worker.runs.map((run) => run.request.inputs[0]?.dims)).toEqual([
      [2, 2],
      [2, 3],
      [1, 4],
    ]);
    expect(outcomes(rows)).toEqual(['score', 'score', 'score', 'score', 'score']);
  });

  it('batches of different models don’t mix', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.addModel();
    for (const session of [1, 2, 1, 2]) s.submit(session);
    await s.finishAll();
    expect(s.worker.runs.map((run) => [run.request.session, ...run.rows])).toEqual([
      [1, 0, 2],
      [2, 1, 3],
    ]);
  });
});

describe('what a row is told', () => {
  it('its place in the batch, when the batch started, and how long it ran', async () => {
    const s = new FakeScheduling();
    s.addModel();
    await s.clock.advance(7);
    const rows = s.submitAll(3);
    await s.finish();
    const [answer] = rows[2]?.answers ?? [];
    expect(answer).toMatchObject({ index: 2, result: { rows: 3, startMs: 7, outputNames: ['score'] } });
    expect(answer).toHaveProperty('result.runUs', s.done[0]?.runUs);
    expect(s.done).toEqual([{ model: 'model-1', rows: 3, runUs: 1030 }]);
  });

  it('the outputs that any of the batch wants, in one order for all', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const wanted = [['score'], ['leaf', 'score'], ['score'], ['margin']];
    const rows = wanted.map((outputNames) => s.submit(1, { outputNames }));
    await s.endTurn();
    expect(s.run().request.outputs).toEqual(['score', 'leaf', 'margin']);
    await s.finish();
    for (const row of rows) expect(row.answers[0]).toHaveProperty('result.outputNames', ['score', 'leaf', 'margin']);
  });

  it('just the outputs that all want, where all want the same', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const outputNames = ['score', 'leaf'];
    s.submitAll(2, 1, { outputNames });
    await s.endTurn();
    expect(s.run().request.outputs).toBe(outputNames);
  });

  it('a model whose outputs have no batch dimension gives what it gives', async () => {
    const s = new FakeScheduling();
    s.addModel({ maxRows: 1, batchDimension: false });
    const row = s.submit();
    await s.endTurn();
    expect(s.run().request.inputs[0]?.dims).toEqual([1]);
    s.run().finish(10, [{ type: 'float32', dims: [3], data: new Float32Array([0, 1, 2]) }]);
    await s.endTurn();
    expect(row.outcome).toBe('score');
  });
});

describe('dead rows', () => {
  it('never reach a worker: callers that left, deadlines that passed', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    const [expired, left, alive] = [s.submit(1, { deadlineMs: 1 }), s.submit(), s.submit()];
    left.left = true;
    await s.finish();
    expect(s.run().rows).toEqual([alive.number]);
    expect(left.outcome).toBe('CALLER_LEFT');
    expect(expired.outcome).toBe('DEADLINE_EXPIRED_IN_QUEUE');
  });

  it('a deadline that is now is over', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const row = s.submit(1, { deadlineMs: 0 });
    await s.endTurn();
    expect(s.worker.runs).toEqual([]);
    expect(row.outcome).toBe('DEADLINE_EXPIRED_IN_QUEUE');
  });

  it('a row that is late by its budget only is run all the same', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const row = s.submit(1, { budgetEndMs: -5 });
    await s.finishAll();
    expect(row.outcome).toBe('score');
  });

  it('a row that could not be in time any more is run while its deadline lasts', async () => {
    const s = new FakeScheduling();
    s.addModel({ runUs: () => 50_000 });
    const row = s.submit(1, { deadlineMs: 10 });
    await s.endTurn();
    expect(s.run().rows).toEqual([row.number]);
  });

  it('the next row may be submitted by the answer to one', async () => {
    const s = new FakeScheduling();
    s.addModel({ queueLimit: 3 });
    s.submit();
    await s.endTurn();
    // Three rows fill the queue; the first expires, and each answer submits one more.
    const more: FakeRow[] = [];
    const again = (): void => {
      more.push(s.submit());
    };
    s.submit(1, { deadlineMs: 0.5, answered: again });
    const rows = s.submitAll(2, 1, { answered: again });
    await s.finishAll();
    expect(outcomes([...rows, ...more])).toEqual(['score', 'score', 'score', 'score', 'score']);
    expect(more.length).toBe(3);
  });

  it('the answer to one may take time, and submit to a queue that is just being looked at', async () => {
    const s = new FakeScheduling();
    s.addModel({ queueLimit: 2 });
    s.addModel();
    s.submit(1);
    await s.finishAll();
    // The first model is looked at first, and the second one is next.
    const waiting = [s.submit(1, { deadlineMs: s.clock.nowMs() + 1 }), s.submit(1)];
    let more: FakeRow | undefined;
    const dead = s.submit(2, {
      answered: () => {
        s.clock.skip(5);
        more = s.submit(1);
      },
    });
    dead.left = true;
    await s.finishAll();
    expect(dead.outcome).toBe('CALLER_LEFT');
    expect(outcomes([...waiting, more as FakeRow])).toEqual(['score', 'score', 'score']);
  });
});

describe('without workers', () => {
  it('rows are refused as unavailable, with a time to come back', () => {
    const s = new FakeScheduling(0);
    s.addModel();
    const error = s.refusal();
    expect(error?.kind).toBe('unavailable');
    expect(error?.reason).toBe('NO_WORKER');
    expect(error?.details.retryAfterMs).toBeGreaterThan(0);
    expect(s.scheduler.queueDepth(1)).toBe(0);
  });

  it('also when the last one was taken away, and no longer when one comes', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.scheduler.removeWorker(s.worker);
    expect(s.refusal()?.reason).toBe('NO_WORKER');
    const worker = s.addWorker();
    const row = s.submit();
    await s.finish(worker);
    expect(row.outcome).toBe('score');
  });

  it('rows that were queued when the last one went are run by the next', async () => {
    const s = new FakeScheduling();
    s.addModel();
    s.submit();
    await s.endTurn();
    const row = s.submit();
    s.worker.die();
    s.scheduler.removeWorker(s.worker);
    await s.endTurn();
    expect(row.outcome).toBe('');
    await s.finish(s.addWorker());
    expect(row.outcome).toBe('score');
  });
});

describe('a worker that is taken away', () => {
  it('gets no more batches, and its run ends as it ends', async () => {
    const s = new FakeScheduling(2);
    s.addModel();
    const [stays, goes] = s.workers as [(typeof s.workers)[0], (typeof s.workers)[0]];
    const first = s.submit();
    await s.endTurn();
    expect(goes.current).toBeDefined();
    s.scheduler.removeWorker(goes);
    const second = s.submitAll(2);
    await s.finish(goes);
    expect(first.outcome).toBe('score');
    expect(goes.runs.length).toBe(1);
    expect(stays.current?.rows).toEqual([1, 2]);
    await s.finishAll();
    expect(outcomes(second)).toEqual(['score', 'score']);
    expect(s.scheduler.idleWorkers).toBe(1);
  });

  it('is not used when it was idle', async () => {
    const s = new FakeScheduling(2);
    s.addModel();
    s.scheduler.removeWorker(s.worker);
    s.submit();
    await s.endTurn();
    expect(s.worker.current).toBeUndefined();
    expect(s.workers[0]?.current).toBeDefined();
  });
});

describe('a configured delay', () => {
  const delayed = (maxDelayMs: number, maxRows = 4): FakeScheduling => {
    const s = new FakeScheduling();
    s.addModel({ maxDelayMs, maxRows });
    return s;
  };

  it('holds a batch back until the oldest row has waited so long', async () => {
    const s = delayed(5);
    s.submit();
    await s.clock.advance(3);
    s.submit();
    await s.clock.advance(1.999);
    expect(s.worker.current).toBeUndefined();
    await s.clock.advance(0.001);
    expect(s.run().rows).toEqual([0, 1]);
    expect(s.clock.nextTimerMs).toBeUndefined();
  });

  it('ends when the batch is full', async () => {
    const s = delayed(5);
    s.submitAll(3);
    await s.clock.advance(1);
    expect(s.worker.current).toBeUndefined();
    s.submit();
    await s.endTurn();
    expect(s.run().rows.length).toBe(4);
    expect(s.clock.nextTimerMs).toBeUndefined();
  });

  it('ends when a deadline would be lost with one row more', async () => {
    const s = delayed(50);
    s.submit();
    await s.clock.advance(1);
    s.submit(1, { deadlineMs: 10 });
    await s.endTurn();
    // Three rows take 1.03 ms.
    expect(s.clock.nextTimerMs).toBeCloseTo(8.97, 9);
    await s.clock.advance(7.98);
    expect(s.run().rows).toEqual([0, 1]);
    await s.finish();
    expect(s.scheduler.queueDepth(1)).toBe(0);
  });

  it('does not keep a worker from other models', async () => {
    const s = delayed(5);
    s.addModel();
    s.submit(1);
    s.submit(2);
    await s.endTurn();
    expect(s.run().request.session).toBe(2);
    await s.finish();
    expect(s.worker.current).toBeUndefined();
    await s.clock.advance(5);
    expect(s.run().request.session).toBe(1);
  });

  it('of several models ends for each in its own time', async () => {
    const s = new FakeScheduling();
    for (const maxDelayMs of [9, 4, 7]) s.addModel({ maxDelayMs });
    for (const session of [1, 2, 3]) s.submit(session);
    await s.endTurn();
    for (const [session, endMs] of [
      [2, 4],
      [3, 7],
      [1, 9],
    ]) {
      expect(s.clock.nextTimerMs).toBe(endMs);
      await s.clock.advance((endMs as number) - s.clock.nowMs());
      expect(s.run().request.session).toBe(session);
      await s.finish();
    }
    expect(s.clock.nextTimerMs).toBeUndefined();
  });

  it('rows that die meanwhile leave without a run', async () => {
    const s = delayed(5);
    const row = s.submit();
    await s.clock.advance(1);
    row.left = true;
    await s.clock.advance(10);
    expect(s.worker.runs).toEqual([]);
    expect(row.outcome).toBe('CALLER_LEFT');
    expect(s.clock.nextTimerMs).toBeUndefined();
  });

  it('never holds back a row that the prediction calls late, so that a wrong prediction can be seen to be wrong', async () => {
    const s = new FakeScheduling();
    s.addModel({ maxDelayMs: 10, runUs: () => 6000 });
    const row = s.submit(1, { deadlineMs: 5 });
    await s.endTurn();
    s.run().finish(100);
    await s.endTurn();
    expect(row.outcome).toBe('score');
    expect(s.costMs(1, 1)).toBeLessThan(6);
  });
});

describe('giving up', () => {
  const shutDown = () => new Error('shut down') as never;

  it('answers what is queued and what runs, each once', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const running = s.submitAll(2);
    await s.endTurn();
    const queued = s.submitAll(3);
    s.scheduler.giveUp(shutDown);
    expect([...running, ...queued].map((row) => row.answers.length)).toEqual([1, 1, 1, 1, 1]);
    await s.finish();
    expect(s.worker.runs.length).toBe(1);
    expect([...running, ...queued].map((row) => row.answers.length)).toEqual([1, 1, 1, 1, 1]);
  });

  it('answers also the half of a failed batch that waits for the other half', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const rows = s.submitAll(4);
    await s.endTurn();
    s.run().fail();
    await s.endTurn();
    expect(s.run().rows).toEqual([0, 1]);
    s.scheduler.giveUp(shutDown);
    expect(rows.map((row) => row.answers.length)).toEqual([1, 1, 1, 1]);
    s.run().fail();
    await s.endTurn();
    expect(s.worker.runs.length).toBe(2);
    expect(rows.map((row) => row.answers.length)).toEqual([1, 1, 1, 1]);
    expect(s.scheduler.running).toBe(0);
  });
});

it('a session that is not there, or not any more, is not ready', () => {
  const s = new FakeScheduling();
  expect(s.refusal(7)).toMatchObject({ kind: 'unavailable', reason: 'MODEL_NOT_READY' });
  expect(s.scheduler.queueDepth(7)).toBe(0);
});

describe('a model that goes', () => {
  it('takes no more rows, and is gone when those that it has are answered', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const gone = vi.fn();
    const rows = [s.submit(), s.submit()];
    await s.endTurn();
    rows.push(s.submit());
    void s.scheduler.removeModel(1).then(gone);
    expect(s.refusal()).toMatchObject({ kind: 'unavailable', reason: 'MODEL_NOT_READY' });
    await s.finish();
    expect(gone).not.toHaveBeenCalled();
    await s.finish();
    expect(gone).toHaveBeenCalledOnce();
    expect(rows.map(({ answers }) => answers.length)).toEqual([1, 1, 1]);
    expect(s.refusal()?.reason).toBe('MODEL_NOT_READY');
  });

  it('waits for the rows that a failing batch is split into', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const gone = vi.fn();
    const rows = [s.submit(), s.submit()];
    await s.endTurn();
    void s.scheduler.removeModel(1).then(gone);
    s.run().fail();
    await s.endTurn();
    expect(gone).not.toHaveBeenCalled();
    await s.finishAll();
    expect(gone).toHaveBeenCalledOnce();
    expect(rows.every(({ answers }) => answers.length === 1)).toBe(true);
  });

  it('is gone at once where it has nothing, or was never there', async () => {
    const s = new FakeScheduling();
    s.addModel();
    await s.scheduler.removeModel(1);
    await s.scheduler.removeModel(1);
    await s.scheduler.removeModel(7);
  });

  it('is gone when the last row was given up, or its caller left', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const gone = vi.fn();
    s.submit();
    await s.endTurn();
    const left = s.submit();
    left.left = true;
    void s.scheduler.removeModel(1).then(gone);
    await s.finish();
    expect(gone).toHaveBeenCalledOnce();
  });
});

describe('a worker that is to go', () => {
  it('gets no more rows, and may go when those that it has are answered, whatever they are split into', async () => {
    const s = new FakeScheduling();
    s.addModel();
    const { worker } = s;
    const mayGo = vi.fn();
    const rows = [s.submit(), s.submit()];
    await s.endTurn();
    const later = s.addWorker();
    void s.scheduler.retireWorker(worker).then(mayGo);
    rows.push(s.submit());
    await s.endTurn();
    expect(later.current?.rows).toEqual([2]);
    s.run(worker).fail();
    await s.endTurn();
    expect(mayGo).not.toHaveBeenCalled();
    await s.finish(worker);
    await s.finish(worker);
    expect(mayGo).toHaveBeenCalledOnce();
    await s.finish(later);
    expect(rows.map(({ answers }) => answers.length)).toEqual([1, 1, 1]);
    expect(worker.runs).toHaveLength(3);
  });

  it('may go at once where it has nothing', async () => {
    const s = new FakeScheduling();
    await s.scheduler.retireWorker(s.worker);
    expect(s.scheduler.idleWorkers).toBe(0);
  });

  it('is forgotten when it went, though it has worked', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const s = new FakeScheduling();
    s.addModel();
    const gone = await (async () => {
      const worker = s.addWorker();
      s.submit();
      await s.endTurn();
      await s.finish(worker);
      await s.scheduler.retireWorker(worker);
      s.workers.pop();
      return new WeakRef(worker);
    })();
    await s.endTurn();
    collect();
    expect(gone.deref()).toBeUndefined();
  });
});
