// `scorewire job run`: a file scored by this process, without a server.
import { type Command, InvalidArgumentError } from 'commander';
import { type JobDefinition, jobDefinition, jobMistakes, jobSchema } from '../config/job-definition.ts';
import { readJobs } from '../config/jobs-file.ts';
import { loadSettings } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { show } from '../config/sources.ts';
import { startEngine } from '../engine.ts';
import { ScorewireError, SetupError } from '../errors.ts';
import { featureSources } from '../jobs/feature-sources.ts';
import { JobRun, JobStopped, tooManyRejected } from '../jobs/job-run.ts';
import { insist, readRepository } from '../models/repository.ts';
import { openScoreStore } from '../scores/open-store.ts';
import type { ScoreStore } from '../scores/score-store.ts';
import { Registry } from '../telemetry/instruments.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics.ts';
import { JobProgressView } from './job-progress.ts';
import { summaryText } from './job-summary.ts';
import { addSettingOptions } from './serve.ts';

/** Finished, and more rows were rejected than the job allows. */
const EXIT_REJECTED = 3;
/** As a shell says it of what Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;

type RunFlags = {
  config?: string;
  model?: string;
  modelVersion?: number;
  input?: string[];
  inputFormat?: string;
  query?: string;
  output?: string;
  outputFormat?: string;
  rejects?: string;
  entity?: string;
  maxRejected?: number;
  toStore?: boolean;
  fresh?: boolean;
  json?: boolean;
};

export function addJobRun(job: Command): void {
  addSettingOptions(
    job
      .command('run')
      .description('score the rows of files, or of a query over files, and write the scores to a file')
      .argument('[name]', 'a job of the jobs file (--jobs); instead of --model, --input and --output')
      .option('--model <name>', 'the model')
      .option('--model-version <number>', 'a version other than the live one', wholeNumber)
      .option('--input <path>', 'a file or a glob; may be repeated', (value: string, all: string[] = []) => [
        ...all,
        value,
      ])
      .option('--query <sql>', 'a SELECT of DuckDB over any files, in place of --input')
      .option('--output <path>', 'where the scores go: .parquet, .csv or .jsonl')
      .option(
        '--entity <column>',
        'whom a row is about (default: entity_id, id, or the only other column that ends in _id)',
      )
      .option(
        '--to-store',
        'put the scores into the score store as well, for servers to answer from (store.kind redis or tiered)',
      )
      .option('--rejects <path>', 'where rows without a score go (default: OUTPUT.rejects.jsonl)')
      .option('--input-format <format>', 'parquet, csv or jsonl, where the ending of the path does not say')
      .option('--output-format <format>', 'parquet, csv or jsonl, where the ending of the path does not say')
      .option('--max-rejected <share>', `share of rows without a score that is still a success (default: 0.1)`, share)
      .option('--fresh', 'begin anew where an earlier run was interrupted')
      .option('--json', 'print the summary as JSON'),
  )
    .addHelpText('after', HELP)
    .action(async (name: string | undefined, flags: RunFlags) => {
      const { settings } = loadSettings({ file: flags.config, env: process.env, flags });
      const definition = name === undefined ? definitionOf(flags) : namedJob(name, settings, flags);
      process.exitCode = await run(name ?? '', definition, settings, flags);
    });
}

const HELP = `
Examples:
  scorewire job run --model churn --input customers.parquet --output scores.parquet
  scorewire job run --model churn --input 'days/*.csv' --output scores.csv
  scorewire job run --model churn --output scores.parquet \\
    --query "SELECT * FROM 'customers.parquet' JOIN 'usage.csv' USING (customer_id)"

Columns are matched with the model's features by name; others are left alone. A run that was interrupted, in
whatever way, goes on where it was when it is run again.

Exit status: 0 done; 1 not done; ${EXIT_REJECTED} done, but more rows were rejected than --max-rejected allows;
${EXIT_INTERRUPTED} interrupted.`;

function wholeNumber(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 on');
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('expected a share from 0 to 1');
}

const FLAGS: Readonly<Record<string, string>> = {
  model: '--model',
  input: '--input',
  query: '--query',
  output: '--output',
  'input.0': '--input',
  version: '--model-version',
  rejects: '--rejects',
  entity: '--entity',
  max_rejected: '--max-rejected',
  input_format: '--input-format',
  output_format: '--output-format',
  store: '--to-store',
};

function definitionOf(flags: RunFlags): JobDefinition {
  const given = {
    model: flags.model,
    version: flags.modelVersion,
    input: flags.input,
    input_format: flags.inputFormat,
    query: flags.query,
    output: flags.output,
    output_format: flags.outputFormat,
    rejects: flags.rejects,
    entity: flags.entity,
    max_rejected: flags.maxRejected,
    store: flags.toStore,
  };
  const result = jobSchema.safeParse(given);
  if (result.success) return jobDefinition(result.data);
  const mistakes = jobMistakes(result.error).map(
    ({ key, allowed }) =>
      `${FLAGS[key] ?? key}: found ${show(given[key.split('.')[0] as keyof typeof given])}; allowed is ${allowed}`,
  );
  throw new SetupError(mistakes.join('\n'));
}

const SAID_BY_JOB = [
  'model',
  'modelVersion',
  'input',
  'inputFormat',
  'query',
  'output',
  'outputFormat',
  'rejects',
  'entity',
  'maxRejected',
  'toStore',
] as const;

function namedJob(name: string, { jobs }: Settings, flags: RunFlags): JobDefinition {
  for (const flag of SAID_BY_JOB) {
    const shown = flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (flags[flag] !== undefined) throw new SetupError(`--${shown}: job ${name} says that itself`);
  }
  if (jobs.file === undefined) throw new SetupError(`job ${name}: say which file has it, by --jobs FILE`);
  const defined = readJobs(jobs.file);
  const definition = defined.get(name);
  if (definition !== undefined) return definition;
  throw new SetupError(`${jobs.file} has no job ${name}; it has ${[...defined.keys()].join(', ') || 'none'}`);
}

/** @throws SetupError for a store that lives in a server */
function sharedStore(settings: Settings, metrics: Metrics, log: Logger): ScoreStore {
  const { kind } = settings.store;
  const store = kind === 'redis' || kind === 'tiered' ? openScoreStore(settings, metrics, log) : undefined;
  if (store !== undefined) return store;
  throw new SetupError(
    `store: the score store is ${kind === 'off' ? 'off' : 'in the memory of a server'}: start the job there (scorewire job start), or have the scores in Redis (--set store.kind=redis)`,
  );
}

async function run(name: string, definition: JobDefinition, settings: Settings, flags: RunFlags): Promise<number> {
  const { level } = settings.log;
  const log = createLogger({ ...settings.log, level: level === 'info' ? 'warn' : level }, process.stderr);
  const repository = await readRepository(settings.models.dir);
  const { specs, live, warnings } = repository;
  for (const warning of warnings) log.warn(warning);
  insist(repository, settings.models.dir, definition.model);
  const wanted = specs.filter(({ name }) => name === definition.model);
  if (wanted.length === 0) {
    const names = [...new Set(specs.map(({ name }) => name))].join(', ');
    throw new SetupError(`model: ${settings.models.dir} has no model ${definition.model}; it has ${names || 'none'}`);
  }
  const features = featureSources(settings);
  const metrics = createMetrics(new Registry());
  const store = definition.store ? sharedStore(settings, metrics, log) : undefined;
  const engine = await startEngine(settings, wanted, { live, metrics, log, store }, { workersChanged: () => {} });
  const view = new JobProgressView(process.stderr);
  let interrupted = false;
  const interrupt = (): void => {
    // Who asks twice doesn't want to wait; what was kept stays kept.
    if (interrupted) process.kill(process.pid, 'SIGKILL');
    interrupted = true;
    job.stop();
  };
  let job: JobRun;
  try {
    for (const reason of engine.failures.values()) throw new SetupError(reason);
    job = new JobRun(
      engine.bulkScorer,
      definition,
      { fresh: flags.fresh ?? false, confined: false, name, features },
      { progress: (progress) => view.show(progress), note: (text) => view.note(text) },
    );
    process.on('SIGINT', interrupt);
    process.on('SIGTERM', interrupt);
    const summary = await job.ended;
    view.end();
    process.stdout.write(flags.json ? `${JSON.stringify(summary, null, 2)}\n` : summaryText(summary, definition));
    return tooManyRejected(summary, definition) ? EXIT_REJECTED : 0;
  } catch (error) {
    view.end();
    // Such as a version that isn't there: the job's fault.
    if (error instanceof ScorewireError && error.kind !== 'internal')
      throw new SetupError(`model: ${error.message}`, error);
    if (!(error instanceof JobStopped)) throw error;
    process.stderr.write('scorewire: interrupted; the same command goes on from here\n');
    return EXIT_INTERRUPTED;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    await engine.close();
    await store?.close();
  }
}
