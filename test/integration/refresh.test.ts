// The night's refresh: a job scores customers from a file into the store, and calls by entity are answered from there.
import { readFile, rename, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { JobServiceClient, JobState } from '../../src/gen/scorewire/v1/job.ts';
import { ScoreStoreServiceClient } from '../../src/gen/scorewire/v1/score_store.ts';
import { Origin, type ScoreResponse } from '../../src/gen/scorewire/v1/scoring.ts';
import { type Customers, customers } from '../support/customers.ts';
import { tempFolder } from '../support/model-folder.ts';
import { promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

let from: Customers;
let server: TestServer;
let jobs: JobServiceClient;
let store: ScoreStoreServiceClient;

beforeAll(async () => {
  from = await customers();
  const folder = await tempFolder();
  const file = join(folder, 'jobs.yaml');
  const common = `model: churn, entity: customer_id, store: true`;
  await writeFile(
    file,
    `nightly: { ${common}, input: ${JSON.stringify(from.file)}, output: ${JSON.stringify(join(folder, 'nightly.parquet'))} }
by_entity: { ${common}, directories: [${JSON.stringify(dirname(from.file))}], query: "SELECT customer_id FROM read_json('${from.file}')", output: ${JSON.stringify(join(folder, 'by-entity.parquet'))} }
broken: { ${common}, input: ${JSON.stringify(join(folder, 'none.parquet'))}, output: ${JSON.stringify(join(folder, 'broken.parquet'))} }
`,
  );
  server = await TestServer.start(from.models, [...from.set, `jobs.file=${file}`, 'features.reload_seconds=1']);
  jobs = new JobServiceClient(server.address, ChannelCredentials.createInsecure());
  store = new ScoreStoreServiceClient(server.address, ChannelCredentials.createInsecure());
});

afterAll(async () => {
  jobs?.close();
  store?.close();
  await server?.stop();
});

const ask = (entity: string): Promise<ScoreResponse> =>
  server.client.score('churn', undefined, { entity: { $case: 'entityId', value: entity } });

async function run(job: string): Promise<JobState | undefined> {
  await promised((done) => jobs.runJob({ job, fresh: false }, done));
  let state: JobState | undefined;
  for await (const response of jobs.watchJob({ job })) state = response.run?.state;
  return state;
}

const invalidate = (entityIds: string[], refresh = false) =>
  promised<{ invalidated?: bigint; refreshed: bigint; errors: { entityId: string; reason: string }[] }>((done) =>
    store.invalidateScores({ model: 'churn', target: { $case: 'entities', value: { entityIds } }, refresh }, done),
  );

const forget = () =>
  promised((done) =>
    store.invalidateScores(
      { model: 'churn', target: { $case: 'olderThan', value: { seconds: 0n, nanos: 0 } }, refresh: false },
      done,
    ),
  );

describe('a refresh', () => {
  it.each(['nightly', 'by_entity'])('%s fills the store with what the model gives', async (job) => {
    await forget();
    expect(await run(job)).toBe(JobState.JOB_STATE_SUCCEEDED);
    for (const [index, expected] of from.scores.entries()) {
      const answer = await ask(`c${index}`);
      expect(answer.origin).toBe(Origin.ORIGIN_PRECOMPUTED);
      expect(answer.score).toBeCloseTo(expected, 5);
    }
  });

  it('that fails leaves the scores there are, and shows in health, metric and log', async () => {
    expect(await run('broken')).toBe(JobState.JOB_STATE_FAILED);
    expect((await ask('c0')).origin).toBe(Origin.ORIGIN_PRECOMPUTED);
    const health = JSON.parse((await server.http('/healthz')).body);
    expect(health.problems).toEqual([expect.stringMatching(/^job broken: its last run failed: input: .*no such file/)]);
    expect(health.ready).toBe(true);
    expect(await server.metric('scorewire_job_runs_total', { job: 'broken', state: 'failed' })).toBe(1);
    expect(server.lines.some(({ level, msg }) => level === 'error' && msg === 'job broken failed')).toBe(true);
  });
});

describe('an event about a customer', () => {
  it('takes the old score away, and a refresh from features that are older does not bring it back', async () => {
    await run('nightly');
    expect((await invalidate(['c3'])).invalidated).toBe(1n);
    expect((await ask('c3')).origin).toBe(Origin.ORIGIN_REAL_TIME);
    expect(await run('nightly')).toBe(JobState.JOB_STATE_SUCCEEDED);
    expect((await ask('c3')).origin).toBe(Origin.ORIGIN_REAL_TIME);
    expect((await ask('c4')).origin).toBe(Origin.ORIGIN_PRECOMPUTED);
  });

  it('says that a score which it computed from features of before is not stored', async () => {
    expect(await invalidate(['c4', 'c5'], true)).toMatchObject({ refreshed: 0n, errors: [] });
    expect((await ask('c4')).origin).toBe(Origin.ORIGIN_REAL_TIME);
  });

  it('and a refresh from features that are newer does', async () => {
    await invalidate(['c5']);
    const later = new Date(Date.now() + 1000);
    await utimes(from.file, later, later);
    await vi.waitFor(async () => {
      expect(await run('nightly')).toBe(JobState.JOB_STATE_SUCCEEDED);
      expect((await ask('c5')).origin).toBe(Origin.ORIGIN_PRECOMPUTED);
    }, 10_000);
  });

  it('with a refresh has the score computed from the features as they are now', async () => {
    const lines = (await readFile(from.file, 'utf8')).split('\n');
    const changed = { ...from.rows[6], support_calls: 9, tenure_months: 1 };
    lines[6] = JSON.stringify(changed);
    const before = await ask('c6');
    await writeFile(`${from.file}.new`, lines.join('\n'));
    await rename(`${from.file}.new`, from.file);
    // Newer than every event of this test, however long the file takes to be read again.
    const later = new Date(Date.now() + 600_000);
    await utimes(from.file, later, later);
    await vi.waitFor(async () => {
      const { refreshed, errors } = await invalidate(['c6', 'nobody'], true);
      expect({ refreshed, errors }).toMatchObject({
        refreshed: 1n,
        errors: [{ entityId: 'nobody', reason: 'MISSING_FEATURES' }],
      });
      const after = await ask('c6');
      expect(after.origin).toBe(Origin.ORIGIN_PRECOMPUTED);
      expect(after.score).not.toBe(before.score);
    }, 20_000);
  });
});
