// A new version is filled by a job while the old one answers, goes live once its scores are there, and back.
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { JobServiceClient, JobState } from '../../src/gen/scorewire/v1/job.ts';
import { Origin, type ScoreResponse } from '../../src/gen/scorewire/v1/scoring.ts';
import { customers } from '../support/customers.ts';
import { EXAMPLES, tempFolder } from '../support/model-folder.ts';
import { failureOf, promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

test('filled before it is live', async () => {
  const from = await customers();
  const churn = join(from.models, 'churn');
  await cp(join(EXAMPLES, 'churn', '1'), join(churn, '2'), { recursive: true });
  await writeFile(join(churn, 'live'), '1\n');
  const folder = await tempFolder();
  const jobsFile = join(folder, 'jobs.yaml');
  const job = (version: number): string =>
    `fill${version}: { model: churn, version: ${version}, input: ${JSON.stringify(from.file)}, entity: customer_id, store: true, output: ${JSON.stringify(join(folder, `${version}.parquet`))} }\n`;
  await writeFile(jobsFile, job(1) + job(2));
  const server = await TestServer.start(from.models, [...from.set, `jobs.file=${jobsFile}`, 'workers.count=1']);
  const jobs = new JobServiceClient(server.address, ChannelCredentials.createInsecure());
  onTestFinished(async () => {
    jobs.close();
    await server.stop();
  });
  const run = async (name: string): Promise<JobState | undefined> => {
    await promised((done) => jobs.runJob({ job: name, fresh: false }, done));
    let state: JobState | undefined;
    for await (const response of jobs.watchJob({ job: name })) state = response.run?.state;
    return state;
  };
  const ask = (): Promise<ScoreResponse> =>
    server.client.score('churn', undefined, { entity: { $case: 'entityId', value: 'c0' } });
  const promote = (version: bigint, minCoverage: number) =>
    promised<{ entities: bigint; covered: bigint; previousVersion: bigint }>((done) =>
      server.client.models.promoteModel({ model: 'churn', version, minCoverage }, done),
    );

  expect(await run('fill1')).toBe(JobState.JOB_STATE_SUCCEEDED);
  expect(await failureOf(promote(2n, 0.9))).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'LOW_COVERAGE' });
  expect(await ask()).toMatchObject({ version: 1n, origin: Origin.ORIGIN_PRECOMPUTED });
  expect(await run('fill2')).toBe(JobState.JOB_STATE_SUCCEEDED);
  expect(await ask()).toMatchObject({ version: 1n, origin: Origin.ORIGIN_PRECOMPUTED });
  const all = BigInt(from.rows.length);
  expect(await promote(2n, 0.9)).toMatchObject({ entities: all, covered: all, previousVersion: 1n });
  expect(await ask()).toMatchObject({ version: 2n, origin: Origin.ORIGIN_PRECOMPUTED });
  await promote(1n, 0.9);
  expect(await ask()).toMatchObject({ version: 1n, origin: Origin.ORIGIN_PRECOMPUTED });
});
