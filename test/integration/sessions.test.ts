// A model is loaded once a worker, at start-up, and never for a call.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { concurrently } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { classifier, linear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

const CALLS = 10_000;
const WORKERS = 2;

let server: TestServer;

beforeAll(async () => {
  const folder = await modelFolder({ linear: linear([1], 0), classes: classifier(['no', 'yes']) });
  server = await TestServer.start(folder, [`workers.count=${WORKERS}`]);
});

afterAll(() => server.stop());

test(`${CALLS} calls, not one session more`, async () => {
  const created = () => server.metric('scorewire_sessions_created_total');
  expect(await created()).toBe(2 * WORKERS);
  const answers = await concurrently(64, Array.from({ length: CALLS }), (_, i) =>
    i % 2 === 0 ? server.client.score('linear', [0]) : server.client.score('classes', [i, 0, 0]),
  );
  expect(answers.filter(({ model, score }) => model === 'linear' && score === 0.5)).toHaveLength(CALLS / 2);
  expect(answers.filter(({ model, labelName }) => model === 'classes' && labelName === 'no')).toHaveLength(CALLS / 2);
  expect(await created()).toBe(2 * WORKERS);
  expect(await server.metric('scorewire_worker_restarts_total')).toBe(0);
  expect(await server.metric('scorewire_batch_rows_sum')).toBe(CALLS);
});
