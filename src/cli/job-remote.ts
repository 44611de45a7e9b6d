// `scorewire job start`, `watch`, `cancel` and `list`: the jobs that a server runs by name.
import type { Command } from 'commander';
import type { Calls } from '../client/calls.ts';
import { ScoreError } from '../client/score-error.ts';
import {
  type Job,
  JobPhase,
  JobRun,
  JobServiceService,
  JobState,
  jobStateToJSON,
  type WatchJobResponse,
} from '../gen/scorewire/v1/job.ts';
import type { JobProgress } from '../jobs/messages.ts';
import { type AdminFlags, addAdminOptions, calling } from './admin-calls.ts';
import { deadlineOf } from './connection-options.ts';
import { JobProgressView } from './job-progress.ts';
import { count } from './job-summary.ts';
import { table } from './table.ts';

type RemoteFlags = AdminFlags & { fresh?: boolean; watch?: boolean; json?: boolean };

/** As `job list` shows it: JOB_STATE_FAILED is failed. */
function stateOf({ state }: JobRun): string {
  return jobStateToJSON(state).slice('JOB_STATE_'.length).toLowerCase();
}

const PHASES: Readonly<Record<number, JobProgress['phase']>> = {
  [JobPhase.JOB_PHASE_READING]: 'reading',
  [JobPhase.JOB_PHASE_SCORING]: 'scoring',
  [JobPhase.JOB_PHASE_WRITING]: 'writing',
};

export function addJobRemote(job: Command): void {
  const command = (name: string, description: string): Command =>
    addAdminOptions(job.command(name).description(description)).option('--json', 'print JSON');

  command('start', 'have a server run a job of its jobs file')
    .argument('<name>', 'the job')
    .option('--fresh', 'begin anew where an earlier run was interrupted')
    .option('--watch', 'stay until the job has ended, as `job watch` does')
    .action((name: string, flags: RemoteFlags) =>
      calling(flags, async (calls) => {
        const request = { job: name, fresh: flags.fresh ?? false };
        const { run } = await calls.unary(JobServiceService.runJob, request, deadlineOf(flags));
        if (flags.watch) await watch(calls, name, flags);
        else show(run as JobRun, flags);
      }),
    );
  command('watch', 'show how far a job is, until it has ended; exit status 0 where it succeeded, else 1')
    .argument('<name>', 'the job')
    .action((name: string, flags: RemoteFlags) => calling(flags, (calls) => watch(calls, name, flags)));
  command('cancel', 'end the run of a job; the next one goes on from there')
    .argument('<name>', 'the job')
    .action((name: string, flags: RemoteFlags) =>
      calling(flags, async (calls) => {
        const { run } = await calls.unary(JobServiceService.cancelJob, { job: name }, deadlineOf(flags));
        show(run as JobRun, flags);
      }),
    );
  command('list', 'show the jobs of a server, each with its last run').action((flags: RemoteFlags) =>
    calling(flags, async (calls) => {
      const { jobs } = await calls.unary(JobServiceService.listJobs, {}, deadlineOf(flags));
      if (flags.json) console.log(JSON.stringify(jobs.map(jobJson), null, 2));
      else process.stdout.write(jobTable(jobs));
    }),
  );
}

async function watch(calls: Calls, name: string, flags: RemoteFlags): Promise<void> {
  const view = new JobProgressView(process.stderr);
  const stream = calls.serverStream(JobServiceService.watchJob, { job: name }, Number.POSITIVE_INFINITY);
  let last: JobRun | undefined;
  try {
    for await (const { run } of stream as AsyncIterable<WatchJobResponse>) {
      last = run;
      const phase = PHASES[run?.phase ?? 0];
      if (run?.state !== JobState.JOB_STATE_RUNNING || phase === undefined) continue;
      const { rows, done, resumed, rejected } = run;
      const progress = { rows: Number(rows), done: Number(done), resumed: Number(resumed), rejected: Number(rejected) };
      view.show({ phase, ...progress });
    }
  } catch (error) {
    throw ScoreError.ofStatus(error as Parameters<typeof ScoreError.ofStatus>[0]);
  } finally {
    view.end();
  }
  show(last as JobRun, flags);
  if (last?.state !== JobState.JOB_STATE_SUCCEEDED) process.exitCode = 1;
}

function show(run: JobRun, { json }: RemoteFlags): void {
  if (json) {
    console.log(JSON.stringify(JobRun.toJSON(run), null, 2));
    return;
  }
  console.log(`job ${run.job} ${stateOf(run)}${rowsOf(run)}${run.message === '' ? '' : `: ${run.message}`}`);
  for (const [reason, rows] of run.rejectedByReason) console.log(`  ${count(Number(rows))} rows rejected: ${reason}`);
}

function rowsOf({ done, rows, rejected, highRiskRows }: JobRun): string {
  if (rows === 0n) return '';
  const high = highRiskRows === undefined ? '' : `, ${count(Number(highRiskRows))} high risk`;
  return `, ${count(Number(done))} of ${count(Number(rows))} rows, ${count(Number(rejected))} rejected${high}`;
}

function jobTable(jobs: readonly Job[]): string {
  if (jobs.length === 0) return 'the server has no jobs; --jobs FILE gives it some\n';
  return table(
    ['job', 'model', 'last run', 'rows', 'rejected', 'ended', 'message'],
    jobs.map(({ name, model, version, lastRun }) => [
      name,
      version === undefined ? model : `${model} ${version}`,
      lastRun === undefined ? '-' : stateOf(lastRun),
      lastRun === undefined ? '-' : count(Number(lastRun.done)),
      lastRun === undefined ? '-' : count(Number(lastRun.rejected)),
      lastRun?.endedAt === undefined ? '-' : new Date(Number(lastRun.endedAt.seconds) * 1000).toISOString(),
      lastRun?.message ?? '',
    ]),
  );
}

function jobJson({ name, model, version, lastRun }: Job): unknown {
  return { name, model, version: version?.toString(), lastRun: lastRun === undefined ? null : JobRun.toJSON(lastRun) };
}
