// The models that other tests build on give what their descriptions say.

import { expect, test } from 'vitest';
import {
  embedding,
  gatherRow,
  identityText,
  linear,
  meanOverBatch,
  openWidth,
  slowLinear,
  twoOutputs,
} from '../../support/onnx-builder.ts';
import { floats, integers, runModel, texts } from './run-model.ts';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

test('linear is the sigmoid of the weighted sum', async () => {
  const { score } = await runModel(linear([1, -2], 0.5), {
    x: floats([
      [1, 2],
      [0, 0],
    ]),
  });
  expect(score?.dims).toEqual([2, 1]);
  expect(score?.data[0]).toBeCloseTo(sigmoid(-2.5), 6);
  expect(score?.data[1]).toBeCloseTo(sigmoid(0.5), 6);
});

test('slowLinear scores like linear', async () => {
  const rows = [
    [1, 2],
    [0.25, -3],
  ];
  const fast = await runModel(linear([1, -2], 0.5), { x: floats(rows) });
  const slow = await runModel(slowLinear([1, -2], 0.5, 50), { x: floats(rows) });
  expect(slow.score).toEqual(fast.score);
});

test('gatherRow looks up, and a row outside the table fails the run', async () => {
  const { score } = await runModel(gatherRow(), { index: integers([[1], [3]]) });
  expect(score).toEqual({ data: [0.25, 0.75], dims: [2, 1] });
  await expect(runModel(gatherRow(), { index: integers([[1], [9]]) }, { logSeverityLevel: 4 })).rejects.toThrow(
    'bounds',
  );
});

test('identityText gives the text back and scores it', async () => {
  const { echo, score } = await runModel(identityText(), { text: texts(['yes', 'perhaps', 'maybe']) });
  expect(echo).toEqual({ data: ['yes', 'perhaps', 'maybe'], dims: [3, 1] });
  expect(score).toEqual({ data: [1, 0, 0.5], dims: [3, 1] });
});

test('meanOverBatch scores a row by the company it keeps', async () => {
  const alone = await runModel(meanOverBatch(), { x: floats([[1, 2, 3]]) });
  const together = await runModel(meanOverBatch(), {
    x: floats([
      [1, 2, 3],
      [4, 5, 6],
    ]),
  });
  expect(alone.score?.data).toEqual([0]);
  expect(together.score?.data).toEqual([-1.5, 1.5]);
});

test('embedding, openWidth and twoOutputs', async () => {
  const embedded = await runModel(embedding(), { x: floats([[1, 2, 3, 4]]) });
  expect(embedded.embedding).toEqual({ data: [1, -1, 2, -2, 3, -3, 4, -4], dims: [1, 8] });
  const open = await runModel(openWidth(), { x: floats([[1, 2, 6, 3]]) });
  expect(open.score).toEqual({ data: [3], dims: [1, 1] });
  const two = await runModel(twoOutputs(), {
    x: floats([
      [1, 2],
      [5, 3],
    ]),
  });
  expect(two.a?.data).toEqual([1.5, 4]);
  expect(two.b?.data).toEqual([2, 5]);
});
