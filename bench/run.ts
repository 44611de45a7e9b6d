// Our own benchmark suite. `npm run bench -- --help` says what it takes.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { describeCommit, describeMachine } from '../src/bench/machine.ts';
import { canPin } from '../src/bench/pinning.ts';
import { stopAllServers } from './harness/server-process.ts';
import { RESULTS, ROOT, SERVER_FLAGS } from './harness/settings.ts';
import { type Scenario, Suite, type SuiteSettings } from './harness/suite.ts';
import { formatTable } from './harness/table.ts';
import { bursts } from './scenarios/bursts.ts';
import { floors } from './scenarios/floors.ts';
import { infer } from './scenarios/infer.ts';
import { jobs } from './scenarios/jobs.ts';
import { largeMessages } from './scenarios/large-requests.ts';
import { loadModel } from './scenarios/load-model.ts';
import { manyRows } from './scenarios/many-rows.ts';
import { neighbours } from './scenarios/neighbours.ts';
import { overload } from './scenarios/overload.ts';
import { poissonArrivals } from './scenarios/poisson.ts';
import { start } from './scenarios/start.ts';
import { stored } from './scenarios/stored.ts';
import { unary } from './scenarios/unary.ts';

const SCHEMA = 'scorewire-bench-suite/1';
const SCENARIOS: readonly Scenario[] = [
  floors,
  unary,
  infer,
  manyRows,
  jobs,
  largeMessages,
  poissonArrivals,
  overload,
  neighbours,
  loadModel,
  start,
  bursts,
  stored,
];

const QUICK: SuiteSettings = { seconds: 1.5, warmUpSeconds: 0.7, repetitions: 1 };
const FULL: SuiteSettings = { seconds: 5, warmUpSeconds: 1, repetitions: 2 };

interface Options {
  quick?: boolean;
  only?: RegExp;
  seconds?: number;
  repetitions?: number;
  json?: string;
}

const command = new Command('bench')
  .description('Measures our server on one core, from a client on another, beside the floors that it stands on.')
  .option('--quick', 'a look in about a minute and a half; too short to quote')
  .option('--only <pattern>', 'only scenarios whose name matches', parsePattern)
  .option('--seconds <n>', 'measured time of each load', parsePositive)
  .option('--repetitions <n>', 'how often each thing is measured, in the order A B B A', parsePositiveWhole)
  .option('--json <file>', 'where the results go (default: bench/results/local/TIME.json)')
  .addHelpText(
    'after',
    `\nScenarios:\n${SCENARIOS.map(({ name, title }) => `  ${name.padEnd(12)}${title}`).join('\n')}`,
  )
  .parse();

await main(command.opts<Options>());

async function main(options: Options): Promise<void> {
  const base = options.quick === true ? QUICK : FULL;
  const settings: SuiteSettings = {
    ...base,
    seconds: options.seconds ?? base.seconds,
    repetitions: options.repetitions ?? base.repetitions,
  };
  const chosen = SCENARIOS.filter(({ name }) => options.only?.test(name) ?? true);
  if (chosen.length === 0) command.error(`no scenario matches ${options.only?.source}`);

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stopAllServers().then(() => process.exit(130)));
  }
  const suite = new Suite(settings);
  if (!canPin())
    suite.note('no taskset or a single core: server and client share cores, and the figures are worth little');
  const startedAt = new Date();
  const failures: string[] = [];
  for (const scenario of chosen) {
    try {
      await suite.run(scenario);
    } catch (error) {
      failures.push(`${scenario.name}: ${(error as Error).message}`);
      suite.progress(`failed: ${(error as Error).message}`);
    }
  }
  await stopAllServers();

  print(suite, chosen, failures);
  const file = options.json ?? join(RESULTS, `${startedAt.toISOString().replaceAll(':', '-')}.json`);
  mkdirSync(dirname(file), { recursive: true });
  const { figures, notes, loads } = suite;
  const results = {
    schema: SCHEMA,
    startedAt: startedAt.toISOString(),
    machine: describeMachine(),
    source: describeCommit(ROOT),
    settings: { ...settings, quick: options.quick === true, serverFlags: SERVER_FLAGS },
    figures,
    doubts: Object.fromEntries(chosen.map(({ name }) => [name, suite.doubts(name)])),
    notes,
    failures,
    loads,
  };
  writeFileSync(file, `${JSON.stringify(results, undefined, 1)}\n`);
  process.stdout.write(`\nwritten to ${file}\n`);
  if (failures.length > 0) process.exitCode = 1;
}

function print(suite: Suite, scenarios: readonly Scenario[], failures: readonly string[]): void {
  const { cpu, cores, system, node } = describeMachine();
  process.stdout.write(`\n${cpu}, ${cores} cores, ${system}, Node ${node}\n`);
  for (const { name, title } of scenarios) {
    const figures = suite.figures.filter(({ scenario }) => scenario === name);
    const doubts = suite.doubts(name).map((doubt) => `! ${doubt}: don't trust these figures\n`);
    if (figures.length > 0) process.stdout.write(`\n${name}: ${title}\n${doubts.join('')}${formatTable(figures)}\n`);
  }
  if (suite.notes.length > 0) process.stdout.write(`\nnotes\n${suite.notes.map((note) => `  ${note}`).join('\n')}\n`);
  if (failures.length > 0) process.stdout.write(`\nfailed\n${failures.map((line) => `  ${line}`).join('\n')}\n`);
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new InvalidArgumentError('not a regular expression');
  }
}

function parsePositive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || value > 3600) throw new InvalidArgumentError('a number above 0 and up to 3600 is needed');
  return value;
}

function parsePositiveWhole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100) {
    throw new InvalidArgumentError('a whole number from 1 to 100 is needed');
  }
  return value;
}
