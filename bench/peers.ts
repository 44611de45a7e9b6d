// Our server beside its peers: the same model, the same rows, the same arrival times, each alone on the server's core.
//
// npm run bench:peers [-- --only triton --seconds N --repetitions N]; bench/peers/install.sh installs them.

import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { type Api, modelCalls, parseRows } from '../src/bench/calls.ts';
import { describeCommit, describeMachine } from '../src/bench/machine.ts';
import { parseSlo } from '../src/bench/quantity.ts';
import { metricsOf } from '../src/bench/result.ts';
import { type RunSettings, runScenario, type ScenarioResult } from '../src/bench/scenario.ts';
import type { ScenarioName } from '../src/bench/scenario-names.ts';
import { makeFigure } from './harness/figures.ts';
import { freePort, ServerProcess, stopAllServers } from './harness/server-process.ts';
import { startScorewire } from './harness/servers.ts';
import { BENCH_MODELS, CLIENT_CORE, HOST, RESULTS, ROOT, SERVER_CORE } from './harness/settings.ts';
import { formatTable } from './harness/table.ts';

const MODEL = 'boosted-trees';
const FEATURES = 30;
const MODEL_FILE = join(BENCH_MODELS, MODEL, '1', 'model.onnx');
const PEERS =
  process.env.SCOREWIRE_PEERS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'scorewire-peers');
const here = (path: string): string => fileURLToPath(new URL(`./peers/${path}`, import.meta.url));

interface Peer {
  name: string;
  api: Api;
  installed(): boolean;
  /** `scratch`: an empty folder of its own. */
  start(scratch: string): Promise<ServerProcess>;
}

const scorewire: Peer = { name: 'scorewire', api: 'native', installed: () => true, start: () => startScorewire() };

/** The server inside nvidia-pytriton, with its Python backend; no delay, batches of up to 64. */
const triton: Peer = {
  name: 'triton',
  api: 'oip',
  installed: () => existsSync(join(PEERS, 'triton', 'bin', 'python')),
  async start(scratch) {
    const venv = join(PEERS, 'triton');
    const [packages = ''] = globSync(join(venv, 'lib', 'python3*', 'site-packages'));
    const server = join(packages, 'pytriton', 'tritonserver');
    const version = /python(3\.\d+)/.exec(packages)?.[1] ?? '';
    const backend = join(scratch, 'backends', 'python');
    const model = join(scratch, 'models', MODEL);
    mkdirSync(backend, { recursive: true });
    mkdirSync(join(model, '1'), { recursive: true });
    for (const file of ['libtriton_python.so', 'triton_python_backend_utils.py']) {
      copyFileSync(join(server, 'backends', 'python', file), join(backend, file));
    }
    // The stub has to be of the Python that onnxruntime is installed for.
    copyFileSync(
      join(server, 'python_backend_stubs', version, 'triton_python_backend_stub'),
      join(backend, 'triton_python_backend_stub'),
    );
    copyFileSync(MODEL_FILE, join(model, '1', 'model.onnx'));
    copyFileSync(here('triton_model.py'), join(model, '1', 'model.py'));
    writeFileSync(
      join(model, 'config.pbtxt'),
      `name: "${MODEL}"
backend: "python"
max_batch_size: 64
input [ { name: "features" data_type: TYPE_FP32 dims: [ ${FEATURES} ] } ]
output [ { name: "score" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 0 }
`,
    );
    const [port, httpPort] = [await freePort(), await freePort()];
    const libraries = [
      join(packages, 'nvidia_pytriton.libs'),
      pythonLibraries(venv),
      process.env.LD_LIBRARY_PATH ?? '',
    ];
    return ServerProcess.start({
      name: 'triton',
      port,
      command: [
        join(server, 'bin', 'tritonserver'),
        ...[`--model-repository=${join(scratch, 'models')}`, `--backend-directory=${join(scratch, 'backends')}`],
        ...[`--http-address=${HOST}`, `--http-port=${httpPort}`, `--grpc-address=${HOST}`, `--grpc-port=${port}`],
        ...['--allow-metrics=false', '--disable-auto-complete-config', '--model-control-mode=none'],
        ...['--backend-config=python,shm-default-byte-size=8388608', `--cache-directory=${join(server, 'caches')}`],
      ],
      core: SERVER_CORE,
      env: {
        PYTHONPATH: packages,
        PATH: `${join(venv, 'bin')}:${process.env.PATH ?? ''}`,
        LD_LIBRARY_PATH: libraries.join(':'),
        OMP_NUM_THREADS: '1',
      },
      ready: (address) => answers(address, 'oip'),
    });
  },
};

/** Without worker processes, as one core has room for one; adaptive batches of up to 64 within 0.5 ms. */
const mlserver: Peer = {
  name: 'mlserver',
  api: 'oip',
  installed: () => existsSync(join(PEERS, 'mlserver', 'bin', 'mlserver')),
  async start(scratch) {
    const ports = [await freePort(), await freePort(), await freePort()];
    const json = (file: string, value: unknown) => writeFileSync(join(scratch, file), JSON.stringify(value));
    json('settings.json', {
      debug: false,
      host: HOST,
      http_port: ports[0],
      grpc_port: ports[1],
      metrics_port: ports[2],
      parallel_workers: 0,
      metrics_endpoint: null,
    });
    json('model-settings.json', {
      name: MODEL,
      implementation: 'mlserver_model.OnnxModel',
      max_batch_size: 64,
      max_batch_time: 0.0005,
      inputs: [{ name: 'features', datatype: 'FP32', shape: [-1, FEATURES] }],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
      parameters: { uri: MODEL_FILE, version: '1' },
    });
    copyFileSync(here('mlserver_model.py'), join(scratch, 'mlserver_model.py'));
    return ServerProcess.start({
      name: 'mlserver',
      port: ports[1] as number,
      command: [join(PEERS, 'mlserver', 'bin', 'mlserver'), 'start', scratch],
      core: SERVER_CORE,
      env: { PYTHONPATH: scratch, OMP_NUM_THREADS: '1' },
      ready: (address) => answers(address, 'oip'),
    });
  },
};

const ALL: readonly Peer[] = [scorewire, triton, mlserver];

/** The folder of libpython, which Triton's stub is linked against. */
function pythonLibraries(venv: string): string {
  const config = readFileSync(join(venv, 'pyvenv.cfg'), 'utf8');
  const home = /^home = (.*)$/m.exec(config)?.[1] ?? '/usr/bin';
  return join(dirname(home), 'lib');
}

async function answers(address: string, api: Api): Promise<boolean> {
  const options = { address, api, model: MODEL, version: undefined, rows: undefined, count: 1, seed: 1 };
  return modelCalls(options).then(
    () => true,
    () => false,
  );
}

const options = new Command('bench:peers')
  .description('Our server beside its peers, each alone on one core. Installed by bench/peers/install.sh.')
  .option('--only <names>', `some of ${ALL.map(({ name }) => name).join(', ')}`)
  .option('--seconds <n>', 'measured time of one load', Number, 4)
  .option('--repetitions <n>', 'how often each server is started and measured, in the order A B C C B A', Number, 2)
  .parse()
  .opts<{ only?: string; seconds: number; repetitions: number }>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAllServers().then(() => process.exit(130)));
}

const asked = ALL.filter(({ name }) => options.only?.split(',').includes(name) ?? true);
const peers = asked.filter((peer) => peer.installed());
for (const { name } of asked.filter((peer) => !peers.includes(peer))) {
  console.log(`skipped: ${name} is not in ${PEERS}; bench/peers/install.sh ${name} installs it`);
}

interface Outcome {
  peer: string;
  startedMs: number;
  peakMiB: number;
  scenarios: ScenarioResult[];
}
const outcomes: Outcome[] = [];
try {
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    for (const peer of repetition % 2 === 0 ? peers : peers.toReversed()) outcomes.push(await measure(peer));
  }
} finally {
  await stopAllServers();
}
report();

async function measure(peer: Peer): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), 'scorewire-peer-'));
  const server = await peer.start(scratch);
  try {
    const file = join(BENCH_MODELS, MODEL, 'golden.jsonl');
    const address = `${HOST}:${server.port}`;
    const rows = parseRows(readFileSync(file, 'utf8'), file);
    const calls = await modelCalls({
      address,
      api: peer.api,
      model: MODEL,
      version: undefined,
      rows,
      count: 0,
      seed: 1,
    });
    const settings: RunSettings = {
      address,
      api: peer.api,
      model: MODEL,
      seconds: options.seconds,
      warmUpSeconds: 2,
      repetitions: 1,
      connections: 1,
      processes: 1,
      ratePerSecond: 1000,
      inFlight: 64,
      offlineInFlight: 512,
      bound: parseSlo('p99=10ms,errors=0.1%', '--bound'),
      ceilingPerSecond: 100_000,
      precision: 0.05,
      seed: 1,
      cores: [CLIENT_CORE],
      serverPids: server.pids(),
      metricsUrl: undefined,
    };
    const scenarios: ScenarioResult[] = [];
    const names: ScenarioName[] = ['closed', 'single-stream', 'find-max'];
    for (const name of names) {
      const progress = (text: string) => process.stderr.write(`[${peer.name}] ${text}\n`);
      scenarios.push(await runScenario(name, calls, settings, progress));
    }
    return { peer: peer.name, startedMs: server.startedInMs, peakMiB: server.peakMiB(), scenarios };
  } finally {
    await server.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

function report(): void {
  const figures = peers.flatMap(({ name }) => {
    const own = outcomes.filter(({ peer }) => peer === name);
    const of = (scenario: ScenarioName, metric: string): number[] =>
      own.flatMap(({ scenarios }) =>
        scenarios
          .filter((result) => result.name === scenario)
          .flatMap((result) => metricsOf(result).find((found) => found.name === metric)?.values ?? []),
      );
    const rows: [string, string, number[]][] = [
      ['highest Poisson rate, p99 <= 10 ms', 'calls/s', of('find-max', 'highest rate')],
      ['64 in flight, throughput', 'calls/s', of('closed', 'throughput')],
      ['64 in flight, CPU a call', 'us', of('closed', 'server CPU a call')],
      ['1 in flight, p50', 'us', of('single-stream', 'p50')],
      ['start to first answer', 'ms', own.map(({ startedMs }) => startedMs)],
      ['memory at most', 'MiB', own.map(({ peakMiB }) => peakMiB)],
    ];
    return rows
      .filter(([, , values]) => values.length > 0)
      .map(([what, unit, values]) => makeFigure(name, `${name}: ${what}`, unit, values));
  });
  const { cpu, cores, system, node } = describeMachine();
  console.log(`\n${cpu}, ${cores} cores, ${system}, Node ${node}\n\n${formatTable(figures)}`);
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `peers-${new Date().toISOString().replaceAll(':', '-')}.json`);
  const result = {
    schema: 'scorewire-peers/1',
    machine: describeMachine(),
    source: describeCommit(ROOT),
    figures,
    outcomes,
  };
  writeFileSync(file, `${JSON.stringify(result, undefined, 1)}\n`);
  console.log(`\nwritten to ${file}`);
}
