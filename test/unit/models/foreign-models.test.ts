// Models as scikit-learn's, LightGBM's and XGBoost's converters write them by default, served as they are.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ModelSpec } from '../../../src/models/model.ts';
import { readRepository } from '../../../src/models/repository.ts';
import { floats, runModel } from './run-model.ts';

const FOREIGN = fileURLToPath(new URL('../../fixtures/foreign', import.meta.url));

type Expected = { rows: number[][]; probabilities?: number[][]; predictions?: number[]; labels?: (number | string)[] };

const names = readdirSync(FOREIGN, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));
const specs = new Map<string, ModelSpec>();

beforeAll(async () => {
  const repository = await readRepository(FOREIGN);
  expect(repository.warnings).toEqual([]);
  for (const spec of repository.specs) specs.set(spec.name, spec);
});

describe.each(names)('%s', (name) => {
  const expected: Expected = JSON.parse(readFileSync(`${FOREIGN}/${name}/expected.json`, 'utf8'));

  test('gives what its training library gave', async () => {
    const spec = specs.get(name) as ModelSpec;
    const bytes = spec.source.kind === 'bytes' ? new Uint8Array(spec.source.bytes) : readFileSync(spec.source.path);
    const input = spec.inputs[0];
    const together = spec.batching.supported ? [expected.rows] : expected.rows.map((row) => [row]);
    const output = spec.outputs.find(({ type }) => type === 'float32')?.name as string;
    const scores: (number | string)[] = [];
    const labels: (number | string)[] = [];
    for (const rows of together) {
      const extra = { session: { model_external_initializers_file_folder_path: spec.directory } };
      const results = await runModel(bytes, { [input?.name as string]: floats(rows) }, { extra });
      scores.push(...(results[output]?.data ?? []));
      if (spec.labelOutput !== undefined) labels.push(...(results[spec.labelOutput]?.data ?? []));
    }
    const truth = (expected.probabilities ?? expected.predictions ?? []).flat();
    expect(scores.length).toBe(truth.length);
    for (const [i, score] of scores.entries())
      expect(Math.abs(Number(score) - (truth[i] as number))).toBeLessThan(1e-5);
    if (spec.labelOutput !== undefined) expect(labels).toEqual(expected.labels);
  });

  test('is understood', () => {
    const spec = specs.get(name) as ModelSpec;
    const width = expected.probabilities?.[0]?.length ?? 1;
    const task = expected.predictions ? 'regression' : width > 2 ? 'multiclass' : 'binary';
    const score = width > 2 ? undefined : expect.objectContaining({ column: width - 1, width });
    expect(spec).toMatchObject({ task, score, rows: { kind: 'features', dense: true, named: false } });
    expect(spec.scoreProblem === '').toBe(spec.score !== undefined);
    expect(spec.rows.kind === 'features' && spec.rows.features.length).toBe(expected.rows[0]?.length);
    expect(spec.labels).toEqual(name === 'sklearn-string-labels' ? ['benign', 'malignant'] : []);
    expect(spec.batching.supported).toBe(name !== 'mlp-fixed-batch');
  });
});
