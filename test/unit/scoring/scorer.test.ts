import { describe, expect, it } from 'vitest';
import type { ScorewireError } from '../../../src/errors.ts';
import type { ModelSpec } from '../../../src/models/model.ts';
import { ModelRegistry } from '../../../src/scoring/model-registry.ts';
import type { ScoreAnswer, ScoreCall } from '../../../src/scoring/score-call.ts';
import { Scorer } from '../../../src/scoring/scorer.ts';
import type { Tensor } from '../../../src/tensor.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';
import { scoringParts } from '../../support/scoring-parts.ts';

const floats = (dims: number[], ...data: number[]): Tensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from(data),
});

/** What a call got: at most one of the two, and how often. */
class Told {
  error: ScorewireError | undefined;
  answer: ScoreAnswer | undefined;
  times = 0;

  get scored(): ScoreAnswer {
    if (this.answer === undefined) throw this.error ?? new Error('there is no answer');
    return this.answer;
  }
}

/** A scorer of one model, on one fake worker. */
function scorerOf(change: Partial<ModelSpec> = {}) {
  const s = new FakeScheduling();
  s.addModel();
  const models = new ModelRegistry();
  const model = fakeModel(change);
  models.add(model);
  const scorer = new Scorer(models, scoringParts(s.scheduler));
  const score = (call: Partial<ScoreCall> = {}): Told => {
    const told = new Told();
    scorer.score(
      {
        model: 'churn',
        version: undefined,
        entityId: '',
        row: { form: 'dense', values: [0] },
        outputNames: [],
        receivedMs: performance.now(),
        deadlineMs: Number.POSITIVE_INFINITY,
        abandoned: () => false,
        ...call,
      },
      (error, answer) => {
        told.times++;
        told.error = error;
        told.answer = answer;
      },
    );
    return told;
  };
  /** Ends the run under way with these outputs. */
  const reply = async (...outputs: Tensor[]): Promise<void> => {
    await s.endTurn();
    s.run().finish(123, outputs);
    await s.endTurn();
  };
  return { s, model, score, reply };
}

function refusal(act: () => unknown): ScorewireError {
  try {
    act();
  } catch (error) {
    return error as ScorewireError;
  }
  throw new Error('it was taken');
}

describe('the score', () => {
  it('of each row of a batch is its own', async () => {
    const { score, reply } = scorerOf();
    const told = [score(), score(), score()];
    expect(told.map(({ times }) => times)).toEqual([0, 0, 0]);
    await reply(floats([3, 1], 0.25, 0.5, 0.75));
    expect(told.map(({ scored }) => scored.score)).toEqual([0.25, 0.5, 0.75]);
    expect(told.map(({ times }) => times)).toEqual([1, 1, 1]);
    expect(told[0]?.scored).toMatchObject({ batchRows: 3, inferenceUs: 123, outputs: undefined });
  });

  it('is the column that the model says', async () => {
    const { score, reply } = scorerOf({ score: { output: 'score', column: 1 } });
    const told = [score(), score()];
    await reply(floats([2, 2], 0.75, 0.25, 0.5, 0.5));
    expect(told.map(({ scored }) => scored.score)).toEqual([0.25, 0.5]);
  });

  it('may be without a column: one number a row', async () => {
    const { score, reply } = scorerOf();
    const told = [score(), score()];
    await reply(floats([2], 0.25, 0.5));
    expect(told.map(({ scored }) => scored.score)).toEqual([0.25, 0.5]);
  });

  it('is that of the predicted class', async () => {
    const { score, reply } = scorerOf({ task: 'multiclass', score: { output: 'score', column: 'predicted' } });
    const told = [score(), score()];
    await reply(floats([2, 3], 0.125, 0.75, 0.125, 0.5, 0.25, 0.25));
    expect(told.map(({ scored: { score, label } }) => [score, label])).toEqual([
      [0.75, 1],
      [0.5, 0],
    ]);
  });

  it('of a fixed class has the predicted one for its label, where there are several', async () => {
    const { score, reply } = scorerOf({ task: 'multiclass', score: { output: 'score', column: 2 } });
    const told = score();
    await reply(floats([1, 3], 0.125, 0.625, 0.25));
    expect(told.scored).toMatchObject({ score: 0.25, label: 1 });
  });

  it('of 64 bits is rounded to 32', async () => {
    const { score, reply } = scorerOf();
    const told = score();
    await reply({ type: 'float64', dims: [1, 1], data: Float64Array.from([0.3]) });
    expect(told.scored.score).toBe(Math.fround(0.3));
  });

  it('has label and segment by the model’s thresholds', async () => {
    const { score, reply } = scorerOf({
      threshold: 0.6,
      segments: [{ name: 'Low' }, { name: 'Medium', from: 0.3 }, { name: 'High', from: 0.6 }],
    });
    const told = [score(), score(), score(), score()];
    await reply(floats([4, 1], 0.1, 0.3, 0.6, 0.9));
    expect(told.map(({ scored: { label, segment } }) => [label, segment])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 2],
    ]);
  });

  it('of a regression has no label', async () => {
    const { score, reply } = scorerOf({ task: 'regression' });
    const told = score();
    await reply(floats([1, 1], 152.5));
    expect(told.scored).toMatchObject({ score: 152.5, label: -1, segment: -1 });
  });

  it('comes with model, entity, and times in order', async () => {
    const { model, score, reply } = scorerOf();
    const told = score({ entityId: '42' });
    await reply(floats([1, 1], 0.5));
    const { scored } = told;
    expect(scored.model).toBe(model);
    expect(scored.entityId).toBe('42');
    expect(scored.queuedMs).toBeGreaterThanOrEqual(scored.receivedMs);
    expect(scored.endedMs).toBeGreaterThanOrEqual(scored.queuedMs);
  });
});

describe('an output that is no score', () => {
  it('NaN fails its row only', async () => {
    const { score, reply } = scorerOf();
    const [good, bad] = [score(), score()];
    await reply(floats([2, 1], 0.5, Number.NaN));
    expect(good.scored.score).toBe(0.5);
    expect([bad.error?.kind, bad.error?.reason, bad.times]).toEqual(['internal', 'SCORE_IS_NAN', 1]);
  });

  it.each<[string, Tensor]>([
    ['too few columns', floats([1, 1], 0.5)],
    ['no numbers', floats([1, 0])],
    ['another type', { type: 'int64', dims: [1, 2], data: BigInt64Array.from([1n, 2n]) }],
  ])('is a fault of the model: %s', async (_, output) => {
    const { score, reply } = scorerOf({ score: { output: 'score', column: 1 } });
    const told = score();
    await reply(output);
    expect([told.error?.kind, told.error?.reason, told.times]).toEqual(['internal', 'BAD_OUTPUT', 1]);
    expect(told.error?.message).toBe("churn: the model's output can't be read");
  });
});

describe('tensors asked for', () => {
  const outputs = [
    { name: 'score', type: 'float32' as const, shape: [null, 1] },
    { name: 'leaf', type: 'int64' as const, shape: [null, 2] },
    { name: 'name', type: 'string' as const, shape: [null] },
    { name: 'scale', type: 'float32' as const, shape: [] },
  ];
  const leaf: Tensor = { type: 'int64', dims: [2, 2], data: BigInt64Array.from([1n, 2n, 3n, 4n]) };
  const name: Tensor = { type: 'string', dims: [2], data: ['low', 'high'] };

  it('come beside the score, each row its own part, without the batch dimension', async () => {
    const { score, reply } = scorerOf({ outputs });
    const told = [score({ outputNames: ['leaf', 'name'] }), score({ outputNames: ['leaf', 'name'] })];
    await reply(floats([2, 1], 0.25, 0.75), leaf, name);
    expect(told.map(({ scored }) => scored.score)).toEqual([0.25, 0.75]);
    expect([...(told[1]?.scored.outputs ?? [])]).toEqual([
      ['leaf', { type: 'int64', dims: [2], data: BigInt64Array.from([3n, 4n]) }],
      ['name', { type: 'string', dims: [], data: ['high'] }],
    ]);
  });

  it('may differ from row to row of a batch', async () => {
    const { s, score, reply } = scorerOf({ outputs });
    const told = [score(), score({ outputNames: ['leaf'] })];
    await s.endTurn();
    expect(s.run().request.outputs).toEqual(['score', 'leaf']);
    await reply(floats([2, 1], 0.25, 0.75), leaf);
    expect(told[0]?.scored.outputs).toBeUndefined();
    expect(told[1]?.scored.outputs?.get('leaf')?.data).toEqual(BigInt64Array.from([3n, 4n]));
  });

  it('may be the score itself, or one twice', async () => {
    const { s, score, reply } = scorerOf({ outputs });
    const told = score({ outputNames: ['score', 'score'] });
    await s.endTurn();
    expect(s.run().request.outputs).toEqual(['score']);
    await reply(floats([1, 1], 0.5));
    expect([...(told.scored.outputs ?? [])]).toEqual([['score', floats([1], 0.5)]]);
  });

  it('must be outputs of the model', () => {
    const { s, score } = scorerOf({ outputs });
    const error = refusal(() => score({ outputNames: ['score', 'lef'] }));
    expect([error.kind, error.reason]).toEqual(['invalid_argument', 'INVALID_FIELD']);
    expect(error.details.violations).toEqual([
      { field: 'output_names[1]', description: 'expected one of score, leaf, name, scale, found "lef"' },
    ]);
    expect(s.scheduler.queueDepth(1)).toBe(0);
  });

  it('are all there is where the score can’t be told', async () => {
    const { score, reply } = scorerOf({ outputs, score: undefined, scoreProblem: 'churn has two outputs; set score' });
    const told = score({ outputNames: ['leaf'] });
    await reply({ ...leaf, dims: [1, 2], data: BigInt64Array.from([1n, 2n]) });
    expect(told.scored).toMatchObject({ score: Number.NaN, label: -1, segment: -1 });
    expect(told.scored.outputs?.get('leaf')?.dims).toEqual([2]);
    const error = refusal(() => score());
    expect([error.kind, error.reason]).toEqual(['failed_precondition', 'SCORE_NOT_CONFIGURED']);
    expect(error.message).toContain('churn has two outputs; set score');
  });
});

describe('what can be said at once is thrown, and nobody is called back', () => {
  it.each<[string, Partial<ScoreCall>, string]>([
    ['an unknown model', { model: 'chrun' }, 'MODEL_NOT_FOUND'],
    ['an unknown version', { version: 7n }, 'VERSION_NOT_FOUND'],
    ['a bad row', { row: { form: 'dense', values: [Number.NaN] } }, 'INVALID_ROW'],
    ['a deadline that passed', { deadlineMs: 0 }, 'DEADLINE_EXPIRED'],
  ])('%s', async (_, call, reason) => {
    const { s, score } = scorerOf();
    let told: Told | undefined;
    const error = refusal(() => {
      told = score(call);
    });
    expect(error.reason).toBe(reason);
    expect(told).toBeUndefined();
    await s.endTurn();
    expect(s.worker.runs).toEqual([]);
  });

  it('no worker', () => {
    const { s, score } = scorerOf();
    s.scheduler.removeWorker(s.worker);
    expect(refusal(() => score()).reason).toBe('NO_WORKER');
  });
});

describe('a row that is queued', () => {
  it('whose caller leaves is not run', async () => {
    const { s, score } = scorerOf();
    let left = false;
    const told = score({ abandoned: () => left });
    left = true;
    await s.endTurn();
    expect(s.worker.runs).toEqual([]);
    expect([told.error?.reason, told.times]).toEqual(['CALLER_LEFT', 1]);
  });

  it('that the model refuses gets one error, without the model’s own words', async () => {
    const { s, score } = scorerOf();
    const told = score();
    await s.endTurn();
    s.run().fail('index out of bounds at 0x7f');
    await s.endTurn();
    expect([told.error?.kind, told.error?.reason, told.times]).toEqual(['internal', 'RUN_FAILED', 1]);
    expect(told.error?.message).not.toContain('index');
  });

  it('counts its budget from its arrival', async () => {
    const { s, model, score } = scorerOf();
    s.addModel({ runUs: () => 1000 });
    model.latencyBudgetMs = 10;
    s.submit(2);
    await s.endTurn();
    // Behind a queue of its own model that takes a few milliseconds, it is refused only if it came long ago.
    for (let i = 0; i < 3; i++) score({ receivedMs: s.clock.nowMs() + 1000 });
    expect(refusal(() => score({ receivedMs: s.clock.nowMs() - 10 })).reason).toBe('OVERLOADED');
    score({ receivedMs: s.clock.nowMs() });
    expect(s.scheduler.queueDepth(1)).toBe(4);
  });
});
