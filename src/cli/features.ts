// `scorewire features export`: what a server would feed a model, as a file to train on.
import { mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { loadSettings } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { truePath } from '../config/true-path.ts';
import { ScorewireError, SetupError } from '../errors.ts';
import { FeatureFile } from '../jobs/feature-file.ts';
import { FrameInput, RowFeeder } from '../jobs/feature-input.ts';
import { createLogger } from '../telemetry/log.ts';
import { modelFeatures, time, versionNumber } from './feature-options.ts';
import { JobProgressView } from './job-progress.ts';
import { count } from './job-summary.ts';
import { addSettingOptions } from './serve.ts';

type ExportFlags = {
  config?: string;
  model?: string;
  modelVersion?: number;
  input?: string[];
  query?: string;
  entity?: string;
  output: string;
  at?: number;
};

export function addFeatures(program: Command): void {
  const features = program
    .command('features')
    .description('what models are fed: stored, computed and default features');
  addSettingOptions(
    features
      .command('export')
      .description('write the features that a server would feed a model for the entities of files, to train on')
      .option('--model <name>', 'the model (default: the only one)')
      .option('--model-version <number>', 'a version other than the highest', versionNumber)
      .option('--input <path>', 'a file or a glob; may be repeated', (value: string, all: string[] = []) => [
        ...all,
        value,
      ])
      .option('--query <sql>', 'a SELECT of DuckDB over any files, in place of --input')
      .option('--entity <column>', 'whom a row is about (default: entity_id, id, or the only column that ends in _id)')
      .requiredOption('--output <path>', 'where the features go: .parquet, .csv or .jsonl')
      .option('--at <time>', 'the time that computed features are of (default: now)', time),
  )
    .addHelpText('after', HELP)
    .action(async (flags: ExportFlags) => {
      const { settings } = loadSettings({ file: flags.config, env: process.env, flags });
      await exportFeatures(settings, flags);
    });
}

const HELP = `
Example:
  scorewire features export --models models --model churn --features features.yaml \\
    --input labels.parquet --output training.parquet

Columns of the input that have the names of features are what requests would bring; all else comes from the model's
feature store, from the time and from defaults, as when a server scores. The output has the entity and the model's
features, in its order and of its types.`;

/** Reasons that are told with an example. */
const EXAMPLES = 5;

async function exportFeatures(settings: Settings, flags: ExportFlags): Promise<void> {
  const { input, query, entity, output } = flags;
  if ((input === undefined) === (query === undefined)) throw new SetupError('--input: either this or --query');
  const { level } = settings.log;
  const log = createLogger({ ...settings.log, level: level === 'info' ? 'warn' : level }, process.stderr);
  const model = await modelFeatures(settings, flags.model, flags.modelVersion, log);
  const view = new JobProgressView(process.stderr);
  try {
    const { spec, layout, pipeline } = model;
    const folder = join(dirname(output), `.${basename(output)}.export`);
    mkdirSync(dirname(output), { recursive: true });
    if (input?.some((path) => truePath(path) === truePath(output))) {
      throw new SetupError(`--output: ${output} is the input as well`);
    }
    view.show({ phase: 'reading', rows: 0, done: 0, resumed: 0, rejected: 0 });
    const fromElsewhere = pipeline.byEntity ? ['store', 'computed'] : ['computed'];
    const frame = await FrameInput.open({ input, query, entity }, folder, spec.name, layout, ({ source }) =>
      fromElsewhere.includes(source ?? 'request'),
    );
    const rejected = new Rejected();
    try {
      await writeFeatures(frame, output, model, flags.at ?? Date.now(), rejected, view);
    } finally {
      frame.close();
    }
    view.end();
    tellOf(model, frame, rejected, output);
  } catch (error) {
    view.end();
    if (error instanceof ScorewireError && error.kind !== 'internal') throw new SetupError(error.message, error);
    throw error;
  } finally {
    await model.close();
  }
}

async function writeFeatures(
  frame: FrameInput,
  output: string,
  { spec, layout, pipeline }: Awaited<ReturnType<typeof modelFeatures>>,
  nowMs: number,
  rejected: Rejected,
  view: JobProgressView,
): Promise<void> {
  const file = await FeatureFile.create(frame.database, layout, output);
  const feeder = new RowFeeder(spec.name, layout, pipeline, nowMs);
  let done = 0;
  try {
    for await (const chunk of frame.chunks()) {
      const block = await feeder.feed(chunk, chunk.columns);
      await file.take(block, chunk.entities);
      for (const { row, error } of block.errors) rejected.add(error, chunk.entities[row] as string);
      done += chunk.rows;
      view.show({ phase: 'scoring', rows: frame.rows, done, resumed: 0, rejected: rejected.rows });
    }
  } catch (error) {
    file.close();
    throw error;
  }
  await file.finish();
}

/** Rows without features, and why. */
class Rejected {
  rows = 0;
  readonly reasons = new Map<string, { rows: number; example: string }>();

  add({ reason, message }: ScorewireError, entity: string): void {
    this.rows++;
    const found = this.reasons.get(reason);
    if (found !== undefined) found.rows++;
    else this.reasons.set(reason, { rows: 1, example: entity === '' ? message : `entity ${entity}: ${message}` });
  }
}

function tellOf(
  { spec, layout }: Awaited<ReturnType<typeof modelFeatures>>,
  frame: FrameInput,
  rejected: Rejected,
  output: string,
): void {
  const lines: [string, string][] = [
    ['model', `${spec.name}, version ${spec.version}`],
    ['features', count(layout.features.length)],
    ['rows', count(frame.rows + frame.malformed)],
    ['written', count(frame.rows - rejected.rows)],
    ['rejected', count(rejected.rows + frame.malformed)],
  ];
  if (frame.malformed > 0) lines.push(['  MALFORMED_LINE', count(frame.malformed)]);
  for (const [reason, { rows, example }] of [...rejected.reasons].slice(0, EXAMPLES)) {
    lines.push([`  ${reason}`, `${count(rows)}, such as ${example}`]);
  }
  lines.push(['output', output]);
  const width = Math.max(...lines.map(([name]) => name.length));
  process.stdout.write(lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(''));
}
