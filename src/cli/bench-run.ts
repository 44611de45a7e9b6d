// What `scorewire bench` does. Loaded when it is asked for: a server needs none of it.
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { BenchError } from '../bench/bench-error.ts';
import { APIS, modelCalls, parseRows } from '../bench/calls.ts';
import { type Comparison, compareResults } from '../bench/compare.ts';
import { formatMetric, htmlReport } from '../bench/html-report.ts';
import { describeCommit, describeMachine } from '../bench/machine.ts';
import { formatShare, parseShare, parseSlo } from '../bench/quantity.ts';
import { flowOf } from '../bench/report.ts';
import { type BenchResult, doubtsOf, metricsOf, readResult, SCHEMA } from '../bench/result.ts';
import { callsUnit, describeRpc } from '../bench/rpc.ts';
import { DEFAULT_CONNECTIONS, type RunSettings, runScenario } from '../bench/scenario.ts';
import { SCENARIOS, type ScenarioName } from '../bench/scenario-names.ts';
import { readServerSplit } from '../bench/server-split.ts';
import { brokenBy } from '../bench/slo.ts';
import { median } from '../bench/statistics.ts';
import { SetupError } from '../errors.ts';
import type { BenchFlags } from './bench.ts';
import { positive, whole } from './bench-numbers.ts';
import { BenchProgress } from './bench-progress.ts';
import { checkInFlight, rpcOf } from './bench-rpc.ts';
import { table } from './table.ts';

/** @throws SetupError */
export function runBench(flags: BenchFlags): Promise<void> {
  return asSetupError(() => run(flags));
}

/** @throws SetupError */
export function compareBench(before: string, after: string, maxRegression: string): Promise<void> {
  return asSetupError(async () => compare(before, after, maxRegression));
}

async function asSetupError(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw error instanceof BenchError || error instanceof RangeError ? new SetupError(error.message, error) : error;
  }
}

async function run(flags: BenchFlags): Promise<void> {
  const scenarios = scenarioNames(flags.scenarios);
  const slo = flags.slo === undefined ? undefined : parseSlo(flags.slo, '--slo');
  const api = APIS.find((name) => name === flags.api);
  if (api === undefined) throw new BenchError(`--api: expected ${APIS.join(', ')}, found "${flags.api}"`);
  if (flags.path !== undefined && api !== 'json') throw new BenchError('--path is for --api json');
  if (flags.model === undefined) throw new BenchError('--model: which model? `scorewire models` lists them');
  if (!/:\d+$/.test(flags.address)) throw new BenchError(`--address: expected HOST:PORT, found "${flags.address}"`);
  const rpc = rpcOf(flags);
  const rows = flags.rows === undefined ? undefined : parseRows(await readRows(flags.rows), flags.rows);
  const { address, path, model, modelVersion: version } = flags;
  const [count, seed] = [whole(flags.generated, '--generated', 1), whole(flags.seed, '--seed', 0)];
  const settings: RunSettings = {
    address,
    api,
    rpc,
    model,
    seconds: positive(flags.seconds, '--seconds'),
    warmUpSeconds: Number(flags.warmUp) === 0 ? 0 : positive(flags.warmUp, '--warm-up'),
    repetitions: whole(flags.repetitions, '--repetitions', 1),
    connections:
      flags.connections === undefined
        ? DEFAULT_CONNECTIONS[api === 'json' ? 'http1' : 'grpc']
        : whole(flags.connections, '--connections', 1),
    processes: whole(flags.processes, '--processes', 1),
    ratePerSecond: flags.rate === undefined ? 0 : positive(flags.rate, '--rate'),
    inFlight: whole(flags.inFlight, '--in-flight', 1),
    offlineInFlight: whole(flags.offlineInFlight, '--offline-in-flight', 1),
    bound: parseSlo(flags.bound, '--bound'),
    ceilingPerSecond: positive(flags.ceiling, '--ceiling'),
    precision: Math.max(MIN_PRECISION, parseShare(flags.precision, '--precision')),
    seed,
    cores: flags.cores === undefined ? [] : flags.cores.split(',').map((core) => whole(core, '--cores', 0)),
    serverPids: (flags.serverPid ?? []).map((pid) => whole(pid, '--server-pid', 1)),
    metricsUrl: flags.metricsUrl,
  };
  checkInFlight(settings, scenarios);
  // Before the long work: what could only fail after it.
  for (const [flag, file] of Object.entries({ '--json': flags.json, '--html': flags.html })) checkWritable(flag, file);
  for (const pid of settings.serverPids) checkRunning(pid);
  const calls = await modelCalls({ address, api, rpc, path, model, version, rows, count, seed });
  if (settings.metricsUrl !== undefined && (await readServerSplit(settings.metricsUrl, model)) === undefined) {
    throw new BenchError(`--metrics-url: no metrics of ours at ${settings.metricsUrl}`);
  }

  const startedAt = new Date();
  const progress = new BenchProgress(process.stderr);
  const result: BenchResult = {
    schema: SCHEMA,
    startedAt: startedAt.toISOString(),
    label: flags.label,
    machine: describeMachine(),
    ...(describeCommit(process.cwd()) ?? { commit: undefined, changed: undefined }),
    target: {
      address,
      api,
      model: calls.model,
      version: calls.version,
      digest: calls.digest,
      requestBytes: calls.bytes,
      requestsDigest: calls.requestsDigest,
    },
    settings,
    scenarios: [],
    broken: slo && [],
  };
  // What was measured is kept, whatever ends the run.
  const finish = (): void => {
    progress.stop();
    print(result);
    if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(result, undefined, 1)}\n`);
    if (flags.html !== undefined) writeFileSync(flags.html, htmlReport(result));
    for (const file of [flags.json, flags.html]) if (file !== undefined) console.log(`written to ${file}`);
  };
  const interrupted = (): void => {
    finish();
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  try {
    if (settings.ratePerSecond === 0 && scenarios.some((name) => name === 'server' || name === 'find-max')) {
      settings.ratePerSecond = await halfOfPeak(calls, settings, progress);
    }
    for (const name of scenarios) {
      const outcome = await runScenario(name, calls, settings, (text, seconds) => progress.start(text, seconds));
      progress.stop();
      result.scenarios.push(outcome);
      if (slo === undefined) continue;
      const broken =
        outcome.found === undefined
          ? outcome.reports.flatMap((report) => brokenBy(flowOf(report), slo))
          : outcome.found.ratePerSecond === 0
            ? ['no rate kept the bound']
            : [];
      result.broken?.push(...[...new Set(broken)].map((line) => `${name}: ${line}`));
    }
  } finally {
    process.off('SIGINT', interrupted);
    finish();
  }
  const silent = result.scenarios.filter(({ reports }) =>
    reports.every((report) => flowOf(report).answers.count === 0),
  );
  for (const { name, reports } of silent) {
    const calls = reports.reduce((sum, report) => sum + flowOf(report).calls, 0);
    console.error(`${name}: ${calls === 0 ? 'not one call fell into the measured time' : 'not one call was answered'}`);
  }
  if (silent.length > 0 || (result.broken?.length ?? 0) > 0) process.exitCode = 1;
}

/** Finer than this is beyond what two runs agree in. */
const MIN_PRECISION = 0.001;

function checkWritable(flag: string, file: string | undefined): void {
  if (file === undefined) return;
  try {
    writeFileSync(file, '', { flag: 'a' });
  } catch (error) {
    throw new BenchError(`${flag}: can't write ${file}: ${(error as Error).message}`);
  }
}

function checkRunning(pid: number): void {
  try {
    process.kill(pid, 0);
  } catch {
    throw new BenchError(`--server-pid: there is no process ${pid}`);
  }
}

/** The closed loop's throughput halved: a rate that a server should carry with ease. */
async function halfOfPeak(
  calls: Awaited<ReturnType<typeof modelCalls>>,
  settings: RunSettings,
  progress: BenchProgress,
): Promise<number> {
  const short = { ...settings, seconds: Math.min(3, settings.seconds), repetitions: 1, metricsUrl: undefined };
  const { reports } = await runScenario('closed', calls, short, (_, seconds) =>
    progress.start('looking for the peak, for --rate', seconds),
  );
  const [report] = reports;
  const rate = report === undefined ? 0 : flowOf(report).answeredPerSecond / 2;
  if (rate > 0) return Math.round(rate);
  const errors = report === undefined ? {} : flowOf(report).errorDetails;
  throw new BenchError(`no call was answered: ${JSON.stringify(errors)}`);
}

function print(result: BenchResult): void {
  const { scenarios, broken, target, settings } = result;
  const model = [target.model, target.version].filter((part) => part !== '').join(' ');
  const how = [target.api, describeRpc(settings.rpc)].filter((part) => part !== '').join(', ');
  console.log(`${model} at ${target.address} (${how})`);
  for (const scenario of scenarios) {
    const { name, found } = scenario;
    const load =
      name === 'server'
        ? `, ${Math.round(settings.ratePerSecond)} ${callsUnit(settings.rpc)}`
        : name === 'closed'
          ? `, ${settings.inFlight} in flight`
          : '';
    console.log(`\n${name}${load}`);
    for (const doubt of doubtsOf(scenario)) console.log(`! ${doubt}`);
    const metrics = metricsOf(scenario).filter(({ values }) => values.length > 0);
    process.stdout.write(
      table(
        ['', 'median', 'least', 'most', 'n'],
        metrics.map(({ name: metric, unit, values }) => {
          const shown = [median(values), Math.min(...values), Math.max(...values)];
          return [metric, ...shown.map((value) => formatMetric(value, unit)), String(values.length)];
        }),
      ),
    );
    if (found?.brokenPerSecond !== undefined) {
      console.log(`broke at ${Math.round(found.brokenPerSecond)} ${callsUnit(settings.rpc)}`);
    }
    const parts = scenario.split?.parts.map(({ name: part, mean }) =>
      part === 'rows a batch' ? `${part} ${mean.toFixed(1)}` : `${part} ${formatMetric(mean * 1e6, 'us')}`,
    );
    if (parts !== undefined) console.log(`the server's means: ${parts.join(', ')}`);
    const [first] = scenario.reports.map(flowOf);
    for (const [status, detail] of Object.entries(first?.errorDetails ?? {})) console.log(`${status}: ${detail}`);
  }
  if (broken !== undefined) {
    console.log(
      broken.length === 0 ? '\nkept every limit' : `\nbroken:\n${broken.map((line) => `  ${line}`).join('\n')}`,
    );
  }
}

function compare(before: string, after: string, maxRegression: string): void {
  const limit = parseShare(maxRegression, '--max-regression');
  const { comparisons, missing, warnings } = compareResults(readResult(before), readResult(after), limit);
  for (const warning of warnings) console.log(`! ${warning}`);
  process.stdout.write(
    table(
      ['', 'before', 'after', 'worse by', '95 % interval', ''],
      comparisons.map((comparison) => [
        `${comparison.scenario}, ${comparison.metric.name}`,
        formatMetric(comparison.before, comparison.metric.unit),
        formatMetric(comparison.after, comparison.metric.unit),
        signed(comparison.worseBy),
        comparison.interval === undefined ? '-' : comparison.interval.map(signed).join(' to '),
        verdict(comparison),
      ]),
    ),
  );
  for (const name of missing) console.log(`${name}: not in ${after}`);
  const worse = comparisons.filter(({ regressed }) => regressed).length;
  console.log(
    worse === 0 && missing.length === 0
      ? `nothing is worse by more than ${formatShare(limit)}`
      : `${worse} of ${comparisons.length} figures are worse by more than ${formatShare(limit)}${missing.length > 0 ? `, ${missing.length} are missing` : ''}`,
  );
  if (worse > 0 || missing.length > 0) process.exitCode = 1;
}

function verdict({ regressed, metric, worseBy, interval }: Comparison): string {
  if (regressed) return 'WORSE';
  if (!metric.judged) return 'not judged';
  return worseBy < 0 && interval !== undefined && interval[1] < 0 ? 'better' : '';
}

function signed(share: number): string {
  return `${share < 0 ? '-' : '+'}${(100 * Math.abs(share)).toFixed(1)} %`;
}

function scenarioNames(text: string): ScenarioName[] {
  return text.split(',').map((name) => {
    const found = SCENARIOS.find((scenario) => scenario === name.trim());
    if (found === undefined) throw new BenchError(`--scenarios: expected ${SCENARIOS.join(', ')}, found "${name}"`);
    return found;
  });
}

async function readRows(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new BenchError(`--rows: can't read ${file}: ${(error as Error).message}`);
  }
}
