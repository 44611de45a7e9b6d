import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readJobs } from '../../../src/config/jobs-file.ts';
import { folderOf } from '../../support/model-folder.ts';

async function jobs(text: string): Promise<() => ReturnType<typeof readJobs>> {
  const folder = await folderOf({ 'jobs.yaml': text });
  return () => readJobs(join(folder, 'jobs.yaml'));
}

test('a job has what it says, and defaults', async () => {
  const read = await jobs('nightly: { model: churn, input: "a/*.parquet", output: out/scores.csv }');
  expect(read().get('nightly')).toEqual({
    model: 'churn',
    version: undefined,
    input: ['a/*.parquet'],
    query: undefined,
    inputFormat: undefined,
    outputFormat: undefined,
    directories: [],
    output: 'out/scores.csv',
    rejects: 'out/scores.csv.rejects.jsonl',
    entity: undefined,
    maxRejected: 0.1,
    store: false,
    everySeconds: undefined,
    lateAfterSeconds: undefined,
  });
});

test('a job that a server runs by itself is late after twice its interval, unless it says so', async () => {
  const read = await jobs(
    'a: { model: m, input: x, output: o.csv, every: 15m }\nb: { model: m, input: x, output: p.csv, store: true, every: 1d, late_after: 26h }',
  );
  expect(read().get('a')).toMatchObject({ everySeconds: 900, lateAfterSeconds: 1800 });
  expect(read().get('b')).toMatchObject({ store: true, everySeconds: 86_400, lateAfterSeconds: 93_600 });
});

test.each([
  ['a: { model: m, output: o.csv }', 'a.input: found nothing; allowed is either this or a query'],
  ['a: { model: m, input: [], output: o.csv }', 'a.input: found []; allowed is a path, a glob, or a list of these'],
  [
    'a: { model: m, input: x, query: SELECT 1, output: o.csv }',
    'a.input: found "x"; allowed is either this or a query',
  ],
  [
    'a: { model: m, input: x, output: o.csv, max_rejected: 2 }',
    'a.max_rejected: found 2; allowed is a share from 0 to 1',
  ],
  [
    'a: { model: m, input: x, output: o.csv, output_format: xls }',
    'a.output_format: found "xls"; allowed is parquet, csv, jsonl',
  ],
  ['"a b": { model: m, input: x, output: o.csv }', '"a b": allowed in a name are letters, digits, . _ and -'],
  ['[1]', 'found [1]; allowed is a map of jobs by name'],
  [
    'a: { model: m, input: x, output: o.csv }\nb: { model: m, input: x, output: p/../o.csv }',
    'b.output: a.output writes',
  ],
  [
    'a: { model: m, input: x, output: o.csv }\nb: { model: m, input: x, output: p.csv, rejects: o.csv }',
    'b.rejects: a.output writes',
  ],
  ['a: {', "can't be read"],
])('a mistake is said: %s', async (text, message) => {
  expect(await jobs(text)).toThrow(message);
});
