// Models as scikit-learn's, LightGBM's, XGBoost's and PyTorch's converters write them by default, dropped into a folder
// without a manifest, and served.

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concurrently } from '../support/concurrently.ts';
import { FOREIGN } from '../support/model-folder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

type Expected = { rows: number[][]; probabilities?: number[][]; predictions?: number[]; labels?: (number | string)[] };

const names = readdirSync(FOREIGN, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start(FOREIGN);
});

afterAll(() => server.stop());

test('nothing is left out', async () => {
  expect((await server.client.listModels()).map(({ name }) => name)).toEqual(names);
});

describe.each(names)('%s', (name) => {
  const expected: Expected = JSON.parse(readFileSync(`${FOREIGN}/${name}/expected.json`, 'utf8'));
  const { rows } = expected;
  const probabilities = expected.probabilities ?? (expected.predictions ?? []).map((value) => [value]);
  const classes = probabilities[0]?.length ?? 0;

  if (classes > 2) {
    test('says which manifest key tells the score, and serves the tensors', async () => {
      const failure = await failureOf(server.client.score(name, rows[0]));
      expect(failure).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'SCORE_NOT_CONFIGURED' });
      expect(failure.message).toMatch(/set score\.column .* in .*model\.yaml/);

      const { outputs } = await server.client.getModel(name);
      const output = outputs.find(({ dataType }) => dataType === 2)?.name as string;
      const answers = await concurrently(16, rows, (row) => server.client.score(name, row, { outputNames: [output] }));
      for (const [index, answer] of answers.entries()) {
        expect(answer.score).toBeNaN();
        expect(close(answer.outputs.get(output)?.floats ?? [], probabilities[index] as number[])).toBe(true);
      }
    });
    return;
  }

  test('its scores and labels are those of the training library', async () => {
    const answers = await concurrently(16, rows, (row) => server.client.score(name, row));
    for (const [index, answer] of answers.entries()) {
      expect(close([answer.score], (probabilities[index] as number[]).slice(-1))).toBe(true);
      const label = expected.labels?.[index];
      if (expected.predictions !== undefined) expect(answer.label).toBeUndefined();
      else if (typeof label === 'string') expect(answer.labelName).toBe(label);
      else expect(answer.label).toBe(label);
    }
  });
});

function close(found: readonly number[], expected: readonly number[]): boolean {
  return (
    found.length === expected.length && found.every((value, i) => Math.abs(value - (expected[i] as number)) < 1e-5)
  );
}
