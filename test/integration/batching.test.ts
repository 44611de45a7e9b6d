// Which rows ride together, through the whole server.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { concurrently, eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear, meanOverBatch, onnxModel } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

/**
 * `index` int64 [N, 1], 10 to 13 -> `score` float32 [N, 1]: looked up in a table, less the mean over the batch. Rows that
 * one makes up don't run, so that what batching does to it can't be found out.
 */
function unpredictable(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'index', type: 'int64', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: [
      { name: 'table', type: 'float32', dims: [4], data: [1, 2, 4, 8] },
      { name: 'first', type: 'int64', dims: [1], data: [10] },
    ],
    nodes: [
      { op: 'Sub', inputs: ['index', 'first'], outputs: ['row'] },
      { op: 'Gather', inputs: ['table', 'row'], outputs: ['value'] },
      { op: 'ReduceMean', inputs: ['value'], outputs: ['mean'], attributes: { axes: { ints: [0] } } },
      { op: 'Sub', inputs: ['value', 'mean'], outputs: ['score'] },
    ],
  });
}

/** `x` float32 [N, 2] -> `score` float32 [N, 1], of which it can do no more than one row at once. */
function boastful(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 2] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: [{ name: 'one', type: 'int64', dims: [2], data: [1, 2] }],
    nodes: [
      { op: 'Reshape', inputs: ['x', 'one'], outputs: ['row'] },
      { op: 'ReduceMax', inputs: ['row'], outputs: ['score'], attributes: { axes: { ints: [1] } } },
    ],
  });
}

let server: TestServer;

beforeAll(async () => {
  const folder = await modelFolder({
    free: linear([1], 0),
    small: [linear([1], 0), 'batching: { max_rows: 3 }'],
    off: [linear([1], 0), 'batching: { enabled: false }'],
    waiting: [linear([1], 0), 'batching: { max_delay_ms: 5000, max_rows: 2 }\nlatency_budget_ms: 60000'],
    company: meanOverBatch(),
    unpredictable: unpredictable(),
    boastful: boastful(),
  });
  server = await TestServer.start(folder, ['workers.count=1']);
});

afterAll(() => server.stop());

async function batches(model: string): Promise<number[]> {
  const answers = await concurrently(64, Array.from({ length: 256 }), () => server.client.score(model, [0]));
  for (const { score } of answers) expect(score).toBe(0.5);
  return answers.map(({ timing }) => timing?.batchRows ?? 0);
}

test('rows that come together ride together', async () => {
  expect(Math.max(...(await batches('free')))).toBeGreaterThan(3);
});

test('as many as the manifest allows', async () => {
  const sizes = await batches('small');
  expect(Math.max(...sizes)).toBeGreaterThan(1);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(3);
});

test('none where the manifest forbids it', async () => {
  expect(Math.max(...(await batches('off')))).toBe(1);
});

test('a row alone waits for company where a delay is set, until the batch is full', async () => {
  const { models, scheduler } = server.running.engine;
  const first = server.client.score('waiting', [0]);
  await eventually(() => scheduler.queueDepth(models.get('waiting').session) === 1);
  const second = server.client.score('waiting', [0]);
  for (const { timing } of await Promise.all([first, second])) expect(timing?.batchRows).toBe(2);
});

test('none where batching would change a score', async () => {
  const answers = await concurrently(32, Array.from({ length: 64 }), (_, i) =>
    server.client.score('company', [i, 0, 0]),
  );
  for (const { score } of answers) expect(score).toBe(0);
});

test('none where nobody could find out whether batching would', async () => {
  const indices = Array.from({ length: 64 }, (_, i) => 10 + (i % 4));
  const answers = await concurrently(32, indices, (index) => server.client.score('unpredictable', [index]));
  for (const { score } of answers) expect(score).toBe(0);
  const { batching } = await server.client.getModel('unpredictable');
  expect(batching?.enabled).toBe(false);
  expect(batching?.reason).toContain('golden rows');
});

test('none where the model says that it takes any number of rows, and takes one', async () => {
  const answers = await concurrently(32, Array.from({ length: 64 }), (_, i) =>
    server.client.score('boastful', [i, -i]),
  );
  for (const [i, { score, timing }] of answers.entries()) {
    expect(score).toBe(i);
    expect(timing?.batchRows).toBe(1);
  }
  expect((await server.client.getModel('boastful')).batching?.enabled).toBe(false);
});
