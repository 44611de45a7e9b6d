// `scorewire job start`, `watch`, `cancel` and `list`, against a server with a jobs file.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { patientExamples, tempFolder } from '../support/model-folder.ts';
import { customers, sql } from '../support/tables.ts';
import { TestServer } from '../support/test-server.ts';

let folder: string;
let server: TestServer;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await tempFolder();
  await sql(
    `COPY (${customers(2_000)}) TO '${at('few.parquet')}'`,
    `COPY (${customers(3_000_000)}) TO '${at('many.parquet')}'`,
    `COPY (SELECT * REPLACE (NULL::VARCHAR AS plan) FROM (${customers(20)})) TO '${at('bad.parquet')}'`,
  );
  await writeFile(
    at('jobs.yaml'),
    ['few', 'many', 'bad']
      .map((name) => `${name}: { model: churn, input: ${at(`${name}.parquet`)}, output: ${at(`${name}.csv`)} }\n`)
      .join(''),
  );
  server = await TestServer.start(await patientExamples(), ['workers.count=1', `jobs.file=${at('jobs.yaml')}`]);
});

afterAll(() => server.stop());

const job = (...args: string[]) => runCommand(['job', ...args, '--address', server.address]);

test('a job is started, watched to its end, and listed', async () => {
  const { code, stdout, stderr } = await job('start', 'few', '--watch');
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/^job few succeeded, 2,000 of 2,000 rows, 0 rejected, \d+ high risk\n$/);
  const listed = await job('list');
  expect(listed.stdout).toMatch(/^few +churn +succeeded +2,000 +0 +\d{4}-/m);
  expect(listed.stdout).toMatch(/^many +churn +- /m);
  const json = JSON.parse((await job('list', '--json')).stdout);
  expect(json).toMatchObject([
    { name: 'bad', lastRun: null },
    { name: 'few', lastRun: { state: 'JOB_STATE_SUCCEEDED' } },
    { name: 'many' },
  ]);
});

test('a job that fails fails the command that watches it, with the reasons', async () => {
  const { code, stdout } = await job('start', 'bad', '--watch');
  expect(code).toBe(1);
  expect(stdout).toContain('job bad failed, 20 of 20 rows, 20 rejected');
  expect(stdout).toContain('more rows were rejected than the job allows');
  expect(stdout).toContain('  20 rows rejected: INVALID_ROW');
});

test('a job that runs is cancelled', async () => {
  expect((await job('start', 'many')).stdout).toMatch(/^job many (queued|running)/);
  const watching = job('watch', 'many');
  expect((await job('cancel', 'many')).code).toBe(0);
  const { code, stdout } = await watching;
  expect(code).toBe(1);
  expect(stdout).toMatch(/^job many cancelled/);
});

test('what the server refuses is said in one line', async () => {
  expect(await job('start', 'nightly')).toMatchObject({
    code: 1,
    stderr: 'scorewire: NOT_FOUND: there is no job "nightly"\n',
  });
  expect(await job('watch', 'nightly')).toMatchObject({
    code: 1,
    stderr: 'scorewire: NOT_FOUND: there is no job "nightly"\n',
  });
  expect((await job('cancel', 'few')).stderr).toContain('FAILED_PRECONDITION: job few is not running');
  expect((await job('list', '--token-file', at('nowhere'))).stderr).toContain("--token-file: can't read");
});
