// `scorewire check`: every model of a folder loaded, and its golden rows scored as the server would.
import { type Command, InvalidArgumentError } from 'commander';
import { loadSettings } from '../config/load.ts';
import { type Engine, startEngine } from '../engine.ts';
import { SetupError } from '../errors.ts';
import { rowOf } from '../features/row.ts';
import { type GoldenRow, readGolden } from '../models/golden.ts';
import { insist, readRepository } from '../models/repository.ts';
import type { ScoreAnswer } from '../scoring/score-call.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { Registry } from '../telemetry/instruments.ts';
import { createLogger } from '../telemetry/log.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { checkSkew, DEFAULT_TOLERANCE, type SkewFlags } from './check-skew.ts';
import { time, versionNumber } from './feature-options.ts';
import { addSettingOptions } from './serve.ts';
import { table } from './table.ts';

export function addCheck(program: Command): void {
  addSettingOptions(
    program
      .command('check')
      .description('load every model and compare its golden rows, one by one and in batches; fails where they differ')
      .option('--skew <file>', 'compare a training frame with what a server would feed the model, instead')
      .option('--model <name>', 'with --skew: the model (default: the only one)')
      .option('--model-version <number>', 'with --skew: a version other than the highest', versionNumber)
      .option('--entity <column>', 'with --skew: whom a row is about (default: entity_id, id, or the only other _id)')
      .option('--at <time>', 'with --skew: the time that computed features are of (default: not compared)', time)
      .option(
        '--tolerance <number>',
        `with --skew: how far numbers may be apart, as a part of the larger one (default: ${DEFAULT_TOLERANCE})`,
        tolerance,
      ),
  ).action(async (options: { config?: string } & Partial<SkewFlags>) => {
    const { settings } = loadSettings({ file: options.config, env: process.env, flags: options });
    const { skew } = options;
    if (skew !== undefined) {
      if (!(await checkSkew(settings, { ...options, skew }))) process.exitCode = 1;
      return;
    }
    for (const flag of ONLY_SKEW)
      if (options[flag] !== undefined) throw new SetupError(`--${dashed(flag)}: only with --skew`);
    const log = createLogger(
      { ...settings.log, level: settings.log.level === 'info' ? 'warn' : settings.log.level },
      process.stderr,
    );
    const repository = await readRepository(settings.models.dir);
    const { specs, live, warnings } = repository;
    for (const warning of warnings) log.warn(warning);
    insist(repository, settings.models.dir);
    const engine = await startEngine(
      settings,
      specs,
      { live, metrics: createMetrics(new Registry()), log },
      { workersChanged: () => {} },
    );
    const outcomes: Outcome[] = [];
    try {
      for (const reason of engine.failures.values()) throw new SetupError(reason);
      for (const model of engine.models.all()) {
        // Golden rows hold for the live version.
        if (engine.models.isLive(model)) outcomes.push(await checkModel(engine, model, settings.limits.maxQueueRows));
      }
    } finally {
      await engine.close();
    }
    report(outcomes);
    if (outcomes.some((outcome) => outcome.problem !== '')) process.exitCode = 1;
  });
}

const ONLY_SKEW = ['model', 'modelVersion', 'entity', 'at', 'tolerance'] as const;

function dashed(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function tolerance(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value < Number.POSITIVE_INFINITY) return value;
  throw new InvalidArgumentError('expected a number, 0 or more');
}

type Outcome = {
  model: ServedModel;
  rows: number;
  alone: number;
  batched: number;
  largestBatch: number;
  problem: string;
};

async function checkModel(engine: Engine, model: ServedModel, maxQueueRows: number): Promise<Outcome> {
  const outcome: Outcome = { model, rows: 0, alone: 0, batched: 0, largestBatch: 0, problem: '' };
  const { golden } = model.spec;
  if (golden === undefined) return outcome;
  const rows = await readGolden(golden.file);
  outcome.rows = rows.length;
  const problems: string[] = [];
  for (const row of rows) {
    outcome.alone = Math.max(outcome.alone, await compare(engine, model, row, problems, () => {}));
  }
  // As many at once as the queue holds, so that they ride in batches.
  for (let start = 0; start < rows.length; start += maxQueueRows) {
    const differences = await Promise.all(
      rows.slice(start, start + maxQueueRows).map((row) =>
        compare(engine, model, row, problems, (answer) => {
          outcome.largestBatch = Math.max(outcome.largestBatch, answer.batchRows);
        }),
      ),
    );
    outcome.batched = Math.max(outcome.batched, ...differences);
  }
  const largest = Math.max(outcome.alone, outcome.batched);
  if (largest > golden.tolerance)
    problems.unshift(`differs by ${largest.toExponential(1)}, allowed is ${golden.tolerance}`);
  outcome.problem = problems.slice(0, 3).join('; ');
  return outcome;
}

/** The largest absolute difference between a golden row and what the engine makes of it. */
async function compare(
  engine: Engine,
  model: ServedModel,
  golden: GoldenRow,
  problems: string[],
  seen: (answer: ScoreAnswer) => void,
): Promise<number> {
  const where = `line ${golden.line}`;
  let answer: ScoreAnswer;
  try {
    answer = await score(engine, model, golden);
  } catch (error) {
    problems.push(`${where}: ${(error as Error).message}`);
    return Number.POSITIVE_INFINITY;
  }
  seen(answer);
  if (golden.label !== undefined && golden.label !== answer.label)
    problems.push(`${where}: label ${answer.label}, expected ${golden.label}`);
  let largest = golden.score === undefined ? 0 : Math.abs(golden.score - answer.score);
  for (const [name, expected] of golden.outputs) {
    const found = answer.outputs?.get(name)?.data ?? [];
    if (found.length !== expected.length)
      problems.push(`${where}: ${name} has ${found.length} values, expected ${expected.length}`);
    expected.forEach((value, index) => {
      const apart =
        typeof value === 'string'
          ? value === found[index]
            ? 0
            : Number.POSITIVE_INFINITY
          : Math.abs(value - Number(found[index]));
      largest = Math.max(largest, apart);
    });
  }
  return Number.isNaN(largest) ? Number.POSITIVE_INFINITY : largest;
}

function score(engine: Engine, model: ServedModel, golden: GoldenRow): Promise<ScoreAnswer> {
  return new Promise((resolve, reject) => {
    engine.scorer.score(
      {
        model: model.spec.name,
        version: BigInt(model.spec.version),
        entityId: '',
        row: rowOf(golden.row),
        outputNames: [...golden.outputs.keys()],
        // A check has all the time it needs: the budget is for callers who wait.
        receivedMs: Number.POSITIVE_INFINITY,
        deadlineMs: Number.POSITIVE_INFINITY,
        abandoned: () => false,
      },
      (error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
    );
  });
}

function report(outcomes: readonly Outcome[]): void {
  if (outcomes.length === 0) throw new SetupError('there is no model to check');
  const difference = (value: number) => (value === 0 ? '0' : value.toExponential(1));
  process.stdout.write(
    table(
      ['model', 'version', 'rows', 'alone', 'batched', 'largest batch', 'tolerance', 'result'],
      outcomes.map(({ model: { spec }, rows, alone, batched, largestBatch, problem }) => [
        spec.name,
        String(spec.version),
        String(rows),
        rows === 0 ? '-' : difference(alone),
        rows === 0 ? '-' : difference(batched),
        rows === 0 ? '-' : String(largestBatch),
        spec.golden === undefined ? '-' : String(spec.golden.tolerance),
        problem !== '' ? problem : rows === 0 ? 'loads; no golden rows' : 'ok',
      ]),
    ),
  );
}
