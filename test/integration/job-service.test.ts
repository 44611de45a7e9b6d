// JobService: the jobs of a jobs file, run by name over the wire.

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Job,
  type JobRun,
  JobServiceClient,
  JobState,
  type WatchJobResponse,
} from '../../src/gen/scorewire/v1/job.ts';
import { patientExamples, tempFolder } from '../support/model-folder.ts';
import { customers, sql } from '../support/tables.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const FEW = 3_000;
const MANY = 2_000_000;

let models: string;
let folder: string;
let server: TestServer;
let jobs: JobServiceClient;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  models = await patientExamples();
  folder = await tempFolder();
  const secrets = await tempFolder();
  await sql(
    `COPY (${customers(FEW)}) TO '${at('few.parquet')}'`,
    `COPY (${customers(MANY)}) TO '${at('many.parquet')}'`,
    `COPY (SELECT * REPLACE (NULL::VARCHAR AS plan) FROM (${customers(FEW)})) TO '${at('bad.parquet')}'`,
    `COPY (${customers(FEW)}) TO '${join(secrets, 'secret.parquet')}'`,
  );
  await writeFile(
    at('jobs.yaml'),
    `
few: { model: churn, input: ${at('few.parquet')}, output: ${at('few.scores.parquet')} }
many: { model: churn, input: ${at('many.parquet')}, output: ${at('many.scores.parquet')} }
bad: { model: churn, input: ${at('bad.parquet')}, output: ${at('bad.scores.parquet')} }
gone: { model: churn, input: ${at('gone-*.parquet')}, output: ${at('gone.scores.parquet')} }
outside: { model: churn, query: "SELECT * FROM '${join(secrets, 'secret.parquet')}'", output: ${at('outside.parquet')} }
upwards: { model: churn, query: "SELECT * FROM '${at(join('..', secrets.split('/').at(-1) as string, 'secret.parquet'))}'", output: ${at('up.parquet')} }
attach: { model: churn, query: "SELECT * FROM (INSTALL httpfs)", output: ${at('attach.parquet')} }
inside: { model: churn, query: "SELECT * FROM '${join(secrets, 'secret.parquet')}'", directories: [${secrets}], output: ${at('inside.parquet')} }
`,
  );
  server = await TestServer.start(models, ['workers.count=1', `jobs.file=${at('jobs.yaml')}`]);
  jobs = new JobServiceClient(server.address, ChannelCredentials.createInsecure());
});

afterAll(async () => {
  jobs.close();
  await server.stop();
});

const run = async (job: string, fresh = false): Promise<JobRun> =>
  (await promised<{ run?: JobRun }>((done) => jobs.runJob({ job, fresh }, done))).run as JobRun;
const cancel = async (job: string): Promise<JobRun> =>
  (await promised<{ run?: JobRun }>((done) => jobs.cancelJob({ job }, done))).run as JobRun;
const list = async (): Promise<Job[]> => (await promised<{ jobs: Job[] }>((done) => jobs.listJobs({}, done))).jobs;

/** All that a watcher is told, until the stream ends or `enough` of it. */
async function watched(job: string, enough: (run: JobRun) => boolean = () => false): Promise<JobRun[]> {
  const stream = jobs.watchJob({ job });
  const seen: JobRun[] = [];
  try {
    for await (const { run: told } of stream as AsyncIterable<WatchJobResponse>) {
      seen.push(told as JobRun);
      if (enough(told as JobRun)) break;
    }
  } finally {
    stream.cancel();
  }
  return seen;
}

/** Runs a job to its end. */
async function through(job: string): Promise<JobRun> {
  await run(job);
  return (await watched(job)).at(-1) as JobRun;
}

async function refused(call: Promise<unknown>): Promise<string> {
  const { code, reason } = await failureOf(call);
  return `${code} ${reason}`;
}

describe('a job', () => {
  test('is run by its name and watched to its end', async () => {
    const begun = await run('few');
    expect(begun).toMatchObject({ job: 'few', model: 'churn' });
    expect([JobState.JOB_STATE_QUEUED, JobState.JOB_STATE_RUNNING]).toContain(begun.state);
    const seen = await watched('few');
    const last = seen.at(-1) as JobRun;
    expect(last).toMatchObject({
      id: begun.id,
      state: JobState.JOB_STATE_SUCCEEDED,
      version: 1n,
      rows: BigInt(FEW),
      done: BigInt(FEW),
      rejected: 0n,
      message: '',
    });
    expect([...last.rowsBySegment.keys()]).toEqual(['Low', 'Medium', 'High']);
    expect([...last.rowsBySegment.values()].reduce((sum, rows) => sum + rows)).toBe(BigInt(FEW));
    expect(last.highRiskRows).toBe(last.rowsBySegment.get('High'));
    expect(last.startedAt).toBeDefined();
    expect(last.endedAt).toBeDefined();
    const [found] = await sql(`SELECT count(DISTINCT entity_id)::INTEGER AS n FROM '${at('few.scores.parquet')}'`);
    expect(found).toEqual({ n: FEW });
  });

  test('that has run is told of to those who come later', async () => {
    await through('few');
    const seen = await watched('few');
    expect(seen.map(({ state }) => state)).toEqual([JobState.JOB_STATE_SUCCEEDED]);
  });

  test('is listed, with its last run', async () => {
    await through('few');
    const known = await list();
    expect(known.map(({ name }) => name)).toEqual([
      'attach',
      'bad',
      'few',
      'gone',
      'inside',
      'many',
      'outside',
      'upwards',
    ]);
    expect(known.find(({ name }) => name === 'few')).toMatchObject({
      model: 'churn',
      lastRun: { state: JobState.JOB_STATE_SUCCEEDED },
    });
    expect(known.find(({ name }) => name === 'inside')?.lastRun).toBeUndefined();
  });

  test('that nobody knows is not found; nor is a run that was none', async () => {
    expect(await refused(run('nightly'))).toBe('NOT_FOUND UNKNOWN_JOB');
    expect(await refused(cancel('nightly'))).toBe('NOT_FOUND UNKNOWN_JOB');
    expect(await refused(watched('nightly'))).toBe('NOT_FOUND UNKNOWN_JOB');
    expect(await refused(watched('inside'))).toBe('NOT_FOUND NO_RUN');
    expect(await refused(cancel('inside'))).toBe('FAILED_PRECONDITION JOB_NOT_RUNNING');
  });

  test('that can not be run fails and says why', async () => {
    const failed = await through('gone');
    expect(failed).toMatchObject({
      state: JobState.JOB_STATE_FAILED,
      message: `input: ${at('gone-*.parquet')}: no such file`,
    });
    expect(existsSync(at('gone.scores.parquet'))).toBe(false);
  });

  test('of which too many rows are rejected fails, with the reasons', async () => {
    const failed = await through('bad');
    expect(failed).toMatchObject({ state: JobState.JOB_STATE_FAILED, rejected: BigInt(FEW) });
    expect(failed.rejectedByReason).toEqual(new Map([['INVALID_ROW', BigInt(FEW)]]));
    expect(failed.message).toContain('more rows were rejected than the job allows');
  });
});

test('metrics say which jobs ran, how many rows they went through, and when each last succeeded', async () => {
  const count = (name: string, labels: Record<string, string>) => server.metric(`scorewire_job_${name}`, labels);
  const succeeded = await count('runs_total', { job: 'few', state: 'succeeded' });
  const scored = await count('rows_total', { job: 'few', result: 'scored' });
  const startedMs = Date.now();
  await through('few');
  expect(await count('runs_total', { job: 'few', state: 'succeeded' })).toBe(succeeded + 1);
  expect(await count('rows_total', { job: 'few', result: 'scored' })).toBe(scored + FEW);
  expect(await count('rows_total', { job: 'bad', result: 'rejected' })).toBe(FEW);
  expect(await count('last_success_time_seconds', { job: 'few' })).toBeGreaterThanOrEqual(Math.floor(startedMs / 1000));
  expect(await count('last_success_time_seconds', { job: 'bad' })).toBe(0);
  expect(await count('running', { job: 'few' })).toBe(0);
});

describe('a long job', () => {
  beforeEach(async () => {
    const running = (await list()).some(
      ({ name, lastRun }) => name === 'many' && lastRun?.endedAt === undefined && lastRun,
    );
    expect(running).toBe(false);
  });

  test('shows how far it is, is not run twice, and is cancelled; the next run goes on from there', async () => {
    await run('many', true);
    // Behind the first rows that are kept.
    const seen = await watched('many', ({ done }) => done > 300_000n);
    expect(seen.at(-1)).toMatchObject({ state: JobState.JOB_STATE_RUNNING, rows: BigInt(MANY) });
    expect(seen.at(-1)?.rowsPerSecond).toBeGreaterThan(0);
    expect(await refused(run('many'))).toBe('FAILED_PRECONDITION JOB_RUNNING');
    // Others are served meanwhile.
    const row = { tenure_months: 5n, plan: 'basic', contract: 'monthly', monthly_charges: 20, satisfaction: 5 };
    expect((await server.client.score('churn', row)).model).toBe('churn');
    await cancel('many');
    const cancelled = (await watched('many')).at(-1);
    expect(cancelled?.state).toBe(JobState.JOB_STATE_CANCELLED);
    expect(existsSync(at('many.scores.parquet'))).toBe(false);
    await run('many');
    const resumed = (await watched('many', ({ done }) => done > 0n)).at(-1);
    expect(resumed?.resumed).toBeGreaterThanOrEqual(300_000n);
    await cancel('many');
    await watched('many');
  });

  test('makes others wait, which can be cancelled before they begin', async () => {
    await run('many', true);
    expect((await run('few')).state).toBe(JobState.JOB_STATE_QUEUED);
    expect((await cancel('few')).state).toBe(JobState.JOB_STATE_CANCELLED);
    await run('few');
    await cancel('many');
    expect((await watched('few')).at(-1)?.state).toBe(JobState.JOB_STATE_SUCCEEDED);
  });
});

describe('DuckDB is locked to the directories of the job', () => {
  test.each(['outside', 'upwards', 'attach'])('%s', async (job) => {
    const failed = await through(job);
    expect(failed.state).toBe(JobState.JOB_STATE_FAILED);
    expect(failed.message).toMatch(/^query: (Permission Error|Parser Error|Binder Error)/);
    expect(existsSync(at(`${job}.parquet`))).toBe(false);
  });

  test('and to those that it names', async () => {
    expect((await through('inside')).state).toBe(JobState.JOB_STATE_SUCCEEDED);
  });
});

test('a server that goes down stops its jobs, and the next one goes on with them', async () => {
  const first = await TestServer.start(models, ['workers.count=1', `jobs.file=${at('jobs.yaml')}`]);
  const client = new JobServiceClient(first.address, ChannelCredentials.createInsecure());
  await promised((done) => client.runJob({ job: 'many', fresh: true }, done));
  const stream = client.watchJob({ job: 'many' });
  let draining: Promise<void> | undefined;
  let last: JobRun | undefined;
  for await (const { run: told } of stream as AsyncIterable<WatchJobResponse>) {
    last = told;
    if ((told?.done ?? 0n) > 300_000n) draining ??= first.stop();
  }
  await draining;
  client.close();
  expect(last?.state).toBe(JobState.JOB_STATE_CANCELLED);
  await run('many');
  expect((await watched('many', ({ done }) => done > 0n)).at(-1)?.resumed).toBeGreaterThan(0n);
  await cancel('many');
  await watched('many');
});

test('a mistake in the jobs file is said before anything listens', async () => {
  await writeFile(at('wrong.yaml'), 'a: { model: chrun, input: x.csv, output: y.csv }\n');
  await expect(TestServer.start(models, [`jobs.file=${at('wrong.yaml')}`])).rejects.toThrow(
    'a.model: there is no model chrun; there are breast-cancer, churn',
  );
});

test('a token is nothing that callers on the machine need', async () => {
  const metadata = new Metadata();
  metadata.set('authorization', 'Bearer wrong');
  const { jobs: known } = await promised<{ jobs: Job[] }>((done) => jobs.listJobs({}, metadata, done));
  expect(known).not.toHaveLength(0);
});
