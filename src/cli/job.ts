// `scorewire job`: files scored here and now, and the jobs that a server runs by name.
import type { Command } from 'commander';
import { addJobRemote } from './job-remote.ts';
import { addJobRun } from './job-run.ts';

export function addJob(program: Command): void {
  const job = program.command('job').description('score files: Parquet, CSV and JSON lines');
  addJobRun(job);
  addJobRemote(job);
}
