// Rows by the million: onnxruntime alone, batches over the socket, a job from file to file; what a job holds in memory; and
// 50,000 customers beside a script of pandas and onnxruntime.

import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pinned } from '../../src/bench/pinning.ts';
import type { FlowPlan } from '../../src/bench/plan.ts';
import { readProcessMemory } from '../../src/bench/process-cpu.ts';
import { batchRequest, goldenRows, SCORE_BATCH_PATH } from '../harness/requests.ts';
import { startScorewire } from '../harness/servers.ts';
import { BENCH_MODELS, EXAMPLE_MODELS, ROOT, SERVER_CORE, SERVER_ENTRY, SERVER_FLAGS } from '../harness/settings.ts';
import { onlyFlow, ratios, type Scenario, type Suite } from '../harness/suite.ts';
import { writeCustomers, writeNumbers } from '../harness/tables.ts';

const FLOOR = fileURLToPath(new URL('../floors/onnxruntime.ts', import.meta.url));
const SCRIPT = fileURLToPath(new URL('../peers/score_table.py', import.meta.url));
const MODEL = join(BENCH_MODELS, 'boosted-trees');
const CHURN = join(EXAMPLE_MODELS, 'churn');
/** As bench/peers/install.sh makes it. */
const PYTHON = join(
  process.env.SCOREWIRE_PEERS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'scorewire-peers'),
  'pandas/bin/python',
);

const SIZES = '64,128,256,512,1024';
const BATCH_ROWS = 4096;
const BATCHES_IN_FLIGHT = 3;
const FEW_ROWS = 10_000;
/** Rows of a job for each second that a load is measured. */
const ROWS_PER_SECOND = 400_000;
const CUSTOMERS = 50_000;
const LIMIT_MS = 300_000;
const MEMORY_EVERY_MS = 20;

const MIN_BULK = 0.85;
const MIN_JOB = 0.6;
const MAX_MIB = 600;

export const jobs: Scenario = {
  name: 'jobs',
  title: 'boosted-trees: a million rows over the socket and from file to file, one worker, beside onnxruntime alone',
  async run(suite: Suite) {
    const folder = mkdtempSync(join(tmpdir(), 'scorewire-bench-jobs-'));
    try {
      await rates(suite, folder);
      await customers(suite, folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function rates(suite: Suite, folder: string): Promise<void> {
  const columns = (goldenRows('boosted-trees')[0] as { row: number[] }).row.length;
  const many = join(folder, 'many.parquet');
  const few = join(folder, 'few.parquet');
  const rows = Math.round(ROWS_PER_SECOND * suite.settings.seconds);
  await writeNumbers(join(MODEL, 'golden.jsonl'), columns, rows, many);
  await writeNumbers(join(MODEL, 'golden.jsonl'), columns, FEW_ROWS, few);
  const alone: number[] = [];
  const bulk: number[] = [];
  const job: number[] = [];
  const fewMiB: number[] = [];
  const manyMiB: number[] = [];
  for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
    alone.push(await onnxruntimeAlone(suite));
    bulk.push(await overTheSocket(suite));
    const ran = await runJob(suite, 'boosted-trees', BENCH_MODELS, many, join(folder, 'scores.parquet'), undefined);
    job.push(ran.rows / ran.seconds);
    manyMiB.push(ran.peakMiB);
    fewMiB.push(
      (await runJob(suite, 'boosted-trees', BENCH_MODELS, few, join(folder, 'few.out.parquet'), undefined)).peakMiB,
    );
  }
  suite.figure('onnxruntime alone, one thread, its best batch', 'rows/s', alone);
  suite.figure(`batches of ${BATCH_ROWS} over the socket`, 'rows/s', bulk);
  suite.figure('batches / onnxruntime alone', 'ratio', ratios(bulk, alone), { relation: 'at least', value: MIN_BULK });
  suite.figure(`a job, Parquet to Parquet, ${rows.toLocaleString('en-US')} rows`, 'rows/s', job);
  suite.figure('a job / onnxruntime alone', 'ratio', ratios(job, alone), { relation: 'at least', value: MIN_JOB });
  suite.figure(`memory of a job of ${FEW_ROWS.toLocaleString('en-US')} rows, at most`, 'MiB', fewMiB);
  suite.figure(`memory of a job of ${rows.toLocaleString('en-US')} rows, at most`, 'MiB', manyMiB, {
    relation: 'at most',
    value: MAX_MIB,
  });
}

async function onnxruntimeAlone(suite: Suite): Promise<number> {
  const floor = [
    FLOOR,
    join(MODEL, '1', 'model.onnx'),
    String(suite.settings.seconds / 5),
    SIZES,
    join(MODEL, 'golden.jsonl'),
  ];
  const [command, ...args] = pinned(SERVER_CORE, [process.execPath, ...floor]);
  const { stdout } = await promisify(execFile)(command as string, args, { timeout: LIMIT_MS });
  const runsUs = JSON.parse(stdout) as Record<string, number>;
  const rates = Object.entries(runsUs).map(([rows, us]) => [Number(rows), (1e6 * Number(rows)) / us] as const);
  const [rows, best] = rates.reduce((a, b) => (b[1] > a[1] ? b : a));
  suite.progress(`onnxruntime alone: ${Math.round(best)} rows/s in runs of ${rows}`);
  return best;
}

/** The worker may have a core for itself: the I/O thread shares the other one with the client. */
async function overTheSocket(suite: Suite): Promise<number> {
  const server = await startScorewire({ core: undefined, set: ['workers.count=1'] });
  try {
    const flow: FlowPlan = {
      ...suite.flow('boosted-trees', { kind: 'closed', inFlight: BATCHES_IN_FLIGHT }),
      name: 'batches',
      path: SCORE_BATCH_PATH,
      rpc: { kind: 'bulk', rows: BATCH_ROWS },
      messages: [batchRequest('boosted-trees', BATCH_ROWS)],
      sampleEvery: 0,
    };
    const report = await suite.load(server, [flow], { warmUpSeconds: 2 * suite.settings.warmUpSeconds });
    return BATCH_ROWS * onlyFlow(report.flows).answeredPerSecond;
  } finally {
    await server.stop();
  }
}

interface JobRun {
  rows: number;
  /** Of the job, reading and writing included; without the start of the process. */
  seconds: number;
  /** Of the process, from its start to its end. */
  wallSeconds: number;
  peakMiB: number;
}

async function runJob(
  suite: Suite,
  model: string,
  models: string,
  input: string,
  output: string,
  core: number | undefined,
): Promise<JobRun> {
  const [command, ...args] = pinned(core, [
    process.execPath,
    ...SERVER_FLAGS,
    SERVER_ENTRY,
    ...['job', 'run', '--models', models, '--workers', '1', '--model', model],
    ...['--input', input, '--output', output, '--json'],
  ]);
  const startedAt = performance.now();
  const child = spawn(command as string, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, readProcessMemory(child.pid ?? -1)?.peakResidentBytes ?? 0);
  }, MEMORY_EVERY_MS);
  let stdout = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(timer);
  const wallSeconds = (performance.now() - startedAt) / 1000;
  if (code !== 0) throw new Error(`a job of ${model} ended with ${code}`);
  const { rows, scored, seconds } = JSON.parse(stdout) as { rows: number; scored: number; seconds: number };
  if (scored !== rows) throw new Error(`a job of ${model} scored ${scored} of ${rows} rows`);
  const peakMiB = peakBytes / 2 ** 20;
  suite.progress(`job of ${model}: ${rows} rows in ${seconds.toFixed(2)} s, ${Math.round(peakMiB)} MiB at most`);
  return { rows, seconds, wallSeconds, peakMiB };
}

async function customers(suite: Suite, folder: string): Promise<void> {
  const input = join(folder, 'customers.parquet');
  await writeCustomers(join(CHURN, 'golden.jsonl'), CUSTOMERS, input);
  const [job, script]: [number[], number[]] = [[], []];
  for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
    const output = join(folder, 'customers.scores.parquet');
    job.push((await runJob(suite, 'churn', EXAMPLE_MODELS, input, output, SERVER_CORE)).wallSeconds);
    if (!existsSync(PYTHON)) continue;
    const startedAt = performance.now();
    const [command, ...args] = pinned(SERVER_CORE, [
      PYTHON,
      SCRIPT,
      join(CHURN, '1', 'model.onnx'),
      input,
      join(folder, 'py.parquet'),
    ]);
    await promisify(execFile)(command as string, args, { timeout: LIMIT_MS });
    script.push((performance.now() - startedAt) / 1000);
  }
  const name = `${CUSTOMERS.toLocaleString('en-US')} customers, Parquet to Parquet, one core, start included`;
  suite.figure(`${name}: a job`, 's', job);
  if (script.length > 0) suite.figure(`${name}: pandas and onnxruntime`, 's', script);
  else suite.note('no pandas beside it: bench/peers/install.sh pandas');
}
