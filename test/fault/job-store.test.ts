// A job that fills a score store which dies under it: run again it goes on where it was, and everything is stored in the end.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { type JobRun, JobServiceClient, JobState } from '../../src/gen/scorewire/v1/job.ts';
import { Origin, ScorePolicy } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { customers } from '../support/customers.ts';
import { tempFolder } from '../support/model-folder.ts';
import { describeWithRedis, RedisServer } from '../support/redis-server.ts';
import { promised } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const ROWS = 60_000;

describeWithRedis('a job whose store', () => {
  test('is gone fails and says so; a run after it stores what both of them scored', async () => {
    const from = await customers();
    const folder = await tempFolder();
    const input = join(folder, 'customers.jsonl');
    const rowOf = (index: number) => ({ ...from.rows[index % from.rows.length], customer_id: `k${index}` });
    await writeFile(input, Array.from({ length: ROWS }, (_, index) => `${JSON.stringify(rowOf(index))}\n`).join(''));
    const file = join(folder, 'jobs.yaml');
    const nightly = {
      model: 'churn',
      entity: 'customer_id',
      store: true,
      input,
      output: join(folder, 'scores.parquet'),
    };
    await writeFile(file, JSON.stringify({ nightly }));
    const redis = await RedisServer.start();
    const set = [`jobs.file=${file}`, 'store.kind=redis', `redis.url=${redis.url}`];
    const server = await TestServer.start(from.models, [...from.set, ...set]);
    const jobs = new JobServiceClient(server.address, ChannelCredentials.createInsecure());
    const connected = async () => !(await server.http('/healthz')).body.includes('score store:');
    const run = async (watch: (run: JobRun) => void = () => {}): Promise<JobRun> => {
      await promised((done) => jobs.runJob({ job: 'nightly', fresh: false }, done));
      let last: JobRun | undefined;
      for await (const response of jobs.watchJob({ job: 'nightly' })) {
        last = response.run as JobRun;
        watch(last);
      }
      return last as JobRun;
    };
    try {
      await eventually(connected);
      let killed: Promise<void> | undefined;
      const first = await run(({ done }) => {
        if (done > 5000n) killed ??= redis.kill();
      });
      await killed;
      expect(first.state).toBe(JobState.JOB_STATE_FAILED);
      expect(first.message).toContain('the score store takes no scores');
      await RedisServer.start({ port: redis.port });
      await eventually(connected);
      const second = await run();
      expect(second).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, message: '', done: BigInt(ROWS) });
      expect(second.resumed).toBeGreaterThan(0n);
      for (const index of [0, 1000, ROWS / 2, ROWS - 1]) {
        const answer = await server.client.score('churn', undefined, {
          entity: { $case: 'entityId', value: `k${index}` },
          policy: ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY,
        });
        expect(answer.origin).toBe(Origin.ORIGIN_PRECOMPUTED);
        expect(answer.score).toBeCloseTo(from.scores[index % from.scores.length] as number, 5);
      }
    } finally {
      jobs.close();
      await server.stop();
    }
  });
});
