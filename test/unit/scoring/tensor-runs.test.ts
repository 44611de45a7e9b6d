import { describe, expect, test } from 'vitest';
import type { ScorewireError } from '../../../src/errors.ts';
import type { ServedModel } from '../../../src/scoring/served-model.ts';
import type { TensorAnswer, TensorCall } from '../../../src/scoring/tensor-call.ts';
import { TensorRuns } from '../../../src/scoring/tensor-runs.ts';
import type { Tensor } from '../../../src/tensor.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { SCORE_OUTPUTS } from '../../support/fake-row.ts';
import { type FakeModelOptions, FakeScheduling } from '../../support/fake-scheduling.ts';

/** A model with one float input x, of one column, and what became of calls with tensors of it. */
function setUp(options: FakeModelOptions = {}, change: Partial<ServedModel> = {}) {
  const s = new FakeScheduling();
  const { session, maxRows, cost, inputs } = s.addModel({ maxRows: 8, ...options });
  const shape = { inputs, batchDimension: true };
  const model: ServedModel = { ...fakeModel(), session, maxRows, cost, shape, ...change };
  const runs = new TensorRuns(s.scheduler);
  const call = (inputs: Record<string, Tensor>, rest: Partial<TensorCall> = {}) => {
    const outcome: { answers: number; error?: ScorewireError | undefined; answer?: TensorAnswer | undefined } = {
      answers: 0,
    };
    runs.run(
      {
        model,
        inputs: new Map(Object.entries(inputs)),
        outputNames: SCORE_OUTPUTS,
        receivedMs: 0,
        deadlineMs: Number.POSITIVE_INFINITY,
        abandoned: () => false,
        ...rest,
      },
      (error, answer) => {
        outcome.answers++;
        outcome.error = error;
        outcome.answer = answer;
      },
    );
    return outcome;
  };
  return { s, model, call };
}

function column(...values: number[]): Tensor {
  return { type: 'float32', dims: [values.length, 1], data: Float32Array.from(values) };
}

function score(outcome: {
  answer?: TensorAnswer | undefined;
}): { dims: readonly number[]; values: number[] } | undefined {
  const [output] = outcome.answer?.outputs ?? [];
  return output && { dims: output.dims, values: [...(output.data as Float32Array)] };
}

describe('a call with tensors', () => {
  test('rides in one batch with single rows and other calls, and each gets its own', async () => {
    const { s, call } = setUp();
    const two = call({ x: column(10, 11) });
    const row = s.submit();
    const three = call({ x: column(20, 21, 22) });
    const run = await s.finish();
    expect(run.request.inputs[0]).toMatchObject({
      name: 'x',
      dims: [6, 1],
      data: Float32Array.from([10, 11, 0, 20, 21, 22]),
    });
    expect(score(two)).toEqual({ dims: [2, 1], values: [10, 11] });
    expect(row.outcome).toBe('score');
    expect(score(three)).toEqual({ dims: [3, 1], values: [20, 21, 22] });
    expect([two.answer?.batchRows, two.answers, three.answers]).toEqual([6, 1, 1]);
  });

  test('is not parted, and not overtaken by those that would fit', async () => {
    const { s, call } = setUp();
    const six = call({ x: column(1, 2, 3, 4, 5, 6) });
    const four = call({ x: column(11, 12, 13, 14) });
    const row = s.submit();
    expect((await s.finish()).rows).toEqual([1, 2, 3, 4, 5, 6]);
    expect((await s.finish()).rows).toEqual([11, 12, 13, 14, 0]);
    expect([score(six)?.values.length, score(four)?.values.length, row.outcome]).toEqual([6, 4, 'score']);
  });

  test('of more rows than a batch has is run in blocks, and answered as a whole', async () => {
    const { s, call, model } = setUp();
    const values = Array.from({ length: 1000 }, (_, i) => i);
    const outcome = call({ x: column(...values) });
    expect(model.uses.count).toBe(1);
    await s.finishAll();
    expect(score(outcome)).toEqual({ dims: [1000, 1], values });
    expect(outcome.answers).toBe(1);
    expect(s.worker.runs.length).toBeGreaterThan(1);
    expect(model.uses.count).toBe(0);
  });

  test('runs alone and as it is where batching would change the model', async () => {
    const { s, call } = setUp({ maxRows: 1 }, { batchingProblem: 'a scale over all rows', maxRows: 1 });
    const outcome = call({ x: column(1, 2, 3) });
    const row = s.submit();
    const run = await s.finish();
    expect(run.request.inputs).toEqual([
      { name: 'x', type: 'float32', dims: [3, 1], data: Float32Array.from([1, 2, 3]) },
    ]);
    expect(score(outcome)?.values).toEqual([1, 2, 3]);
    await s.finish();
    expect(row.outcome).toBe('score');
  });

  test('runs alone with an input that has a value of its own', async () => {
    const { s, call } = setUp();
    const outcome = call({ x: column(1, 2), bias: { type: 'float32', dims: [], data: Float32Array.from([7]) } });
    call({ x: column(3, 4) });
    const run = await s.finish();
    expect(run.request.inputs.map(({ name, dims }) => [name, dims])).toEqual([
      ['x', [2, 1]],
      ['bias', []],
    ]);
    expect(score(outcome)?.values).toEqual([1, 2]);
  });

  test('without rows runs alone', async () => {
    const { s, call } = setUp();
    const outcome = call({ x: { type: 'float32', dims: [0, 1], data: new Float32Array(0) } });
    await s.endTurn();
    s.run().finish(1, [{ type: 'float32', dims: [0, 1], data: new Float32Array(0) }]);
    await s.endTurn();
    expect(score(outcome)).toEqual({ dims: [0, 1], values: [] });
  });

  test('gets the outputs that it asked for, in its order, whatever others want', async () => {
    const { s, call } = setUp();
    const both = call({ x: column(1, 2) }, { outputNames: ['other', 'score'] });
    const one = call({ x: column(3) });
    await s.endTurn();
    const { outputs } = s.run().request;
    s.run().finish(
      1,
      outputs.map((name) => column(...[1, 2, 3].map((value) => (name === 'other' ? -value : value)))),
    );
    await s.endTurn();
    expect(both.answer?.outputs.map(({ data }) => [...(data as Float32Array)])).toEqual([
      [-1, -2],
      [1, 2],
    ]);
    expect(score(one)?.values).toEqual([3]);
  });
});

describe('a call that goes wrong', () => {
  test('is refused at once after its deadline, and uses nothing', () => {
    const { call, model } = setUp();
    expect(() => call({ x: column(1) }, { deadlineMs: 0 })).toThrow('the deadline passed');
    expect(model.uses.count).toBe(0);
  });

  test.each([
    ['waits as long as its caller where nobody set a latency budget', Number.POSITIVE_INFINITY, undefined],
    ['is refused at once where a latency budget is set that it would miss', 1, 'OVERLOADED'],
  ])('%s', async (_, tensorBudgetMs, reason) => {
    const { s, call } = setUp({}, { tensorBudgetMs });
    s.submitAll(20);
    await s.endTurn();
    const submit = (): string | undefined => {
      try {
        call({ x: column(1) });
        return undefined;
      } catch (error) {
        return (error as ScorewireError).reason;
      }
    };
    expect(submit()).toBe(reason);
  });

  test('fails alone where it is at fault, and others in its batch are answered', async () => {
    const { s, call, model } = setUp();
    const bad = call({ x: column(1, 2) });
    const good = call({ x: column(3) });
    await s.endTurn();
    s.run().fail();
    await s.endTurn();
    s.run().fail();
    await s.endTurn();
    await s.finish();
    expect(bad.error?.reason).toBe('RUN_FAILED');
    expect(score(good)?.values).toEqual([3]);
    expect(model.uses.count).toBe(0);
  });

  test.each<[string, Partial<TensorCall>, string]>([['its caller leaves', { abandoned: () => true }, 'CALLER_LEFT']])(
    'is run no further when %s',
    async (_, rest, reason) => {
      const { s, call, model } = setUp();
      const outcome = call({ x: column(...new Array(1000).fill(1)) }, rest);
      await s.endTurn();
      expect(s.worker.runs).toHaveLength(0);
      expect([outcome.error?.reason, outcome.answers, model.uses.count]).toEqual([reason, 1, 0]);
    },
  );

  test('of many blocks fails once, at the first that fails', async () => {
    const { s, call, model } = setUp();
    const outcome = call({ x: column(...new Array(1000).fill(1)) });
    await s.endTurn();
    s.run().reject(new Error('broken'));
    await s.endTurn();
    while (s.worker.current !== undefined) await s.finish();
    expect([outcome.error?.reason, outcome.answers, model.uses.count]).toEqual(['RUN_FAILED', 1, 0]);
    expect(s.worker.runs.length).toBeLessThan(4);
  });

  test('is told so when all is given up', async () => {
    const { s, call, model } = setUp();
    const large = call({ x: column(...new Array(1000).fill(1)) });
    const small = call({ x: column(1, 2) });
    const error = new Error('over') as ScorewireError;
    s.scheduler.giveUp(() => error);
    expect([large.error, small.error, model.uses.count]).toEqual([error, error, 0]);
  });
});
