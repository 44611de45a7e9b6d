// Our server beside its peers: the same model, the same rows, the same arrival times, each alone on the server's core.
//
// npm run bench:peers [-- --only triton --seconds N --repetitions N]; bench/peers/install.sh installs them.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { describeCommit, describeMachine } from '../src/bench/machine.ts';
import { parseSlo } from '../src/bench/quantity.ts';
import { doubtsOf, metricsOf } from '../src/bench/result.ts';
import { DEFAULT_CONNECTIONS, type RunSettings, runScenario, type ScenarioResult } from '../src/bench/scenario.ts';
import type { ScenarioName } from '../src/bench/scenario-names.ts';
import { makeFigure } from './harness/figures.ts';
import { goldenRows } from './harness/requests.ts';
import { stopAllServers } from './harness/server-process.ts';
import { startScorewire } from './harness/servers.ts';
import { CLIENT_CORE, HOST, RESULTS, ROOT } from './harness/settings.ts';
import { formatTable } from './harness/table.ts';
import { checkAnswers } from './peers/check-answers.ts';
import { MODEL, PEERS, type Peer, peerCalls } from './peers/peer.ts';
import { fastapi, kserve, mlserver } from './peers/python-servers.ts';
import { triton } from './peers/triton.ts';

const scorewire: Peer = { name: 'scorewire', api: 'native', installed: () => true, start: () => startScorewire() };

const ALL: readonly Peer[] = [scorewire, triton, mlserver, kserve, fastapi];

const command = new Command('bench:peers')
  .description('Our server beside its peers, each alone on one core. Installed by bench/peers/install.sh.')
  .option('--only <names>', `some of ${ALL.map(({ name }) => name).join(', ')}`)
  .option('--seconds <n>', 'measured time of one load', Number, 4)
  .option('--repetitions <n>', 'how often each server is started and measured, in the order A B C C B A', Number, 2)
  .parse();
const options = command.opts<{ only?: string; seconds: number; repetitions: number }>();

let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    void stopAllServers().then(() => process.exit(130));
  });
}

const unknown = options.only?.split(',').find((only) => !ALL.some(({ name }) => name === only));
if (unknown !== undefined) command.error(`--only: there is no peer "${unknown}"`);
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
/** Why a peer has no figures, by its name: one that fails doesn't take the others' along. */
const failed = new Map<string, string>();
try {
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    for (const peer of repetition % 2 === 0 ? peers : peers.toReversed()) {
      if (failed.has(peer.name)) continue;
      try {
        outcomes.push(await measure(peer));
      } catch (error) {
        if (interrupted) throw error;
        failed.set(peer.name, (error as Error).message);
      }
    }
  }
} finally {
  await stopAllServers();
}
report();

async function measure(peer: Peer): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), 'scorewire-peer-'));
  const server = await peer.start(scratch);
  try {
    const address = `${HOST}:${server.port}`;
    const golden = goldenRows(MODEL);
    const rows = golden.map(({ row }) => row);
    const calls = await peerCalls(address, peer.api, rows);
    const progress = (text: string) => process.stderr.write(`[${peer.name}] ${text}\n`);
    const scores = golden.map(({ score }) => score);
    progress(`${await checkAnswers(peer.api, server.port, calls, scores)} answers, all of them right`);
    const settings: RunSettings = {
      address,
      api: peer.api,
      model: MODEL,
      seconds: options.seconds,
      warmUpSeconds: 2,
      repetitions: 1,
      connections: DEFAULT_CONNECTIONS[calls.protocol],
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
    const own = failed.has(name) ? [] : outcomes.filter(({ peer }) => peer === name);
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
  console.log(`\n${cpu}, ${cores} cores, ${system}, Node ${node}\n\n${formatTable(figures)}\n`);
  const doubts = outcomes.flatMap(({ peer, scenarios }) =>
    scenarios.flatMap((scenario) => doubtsOf(scenario).map((doubt) => `! ${peer}, ${scenario.name}: ${doubt}`)),
  );
  for (const doubt of new Set(doubts)) console.log(doubt);
  for (const [name, reason] of failed) console.log(`! ${name} has no figures: ${reason}`);
  if (failed.size > 0) process.exitCode = 1;
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
  console.log(`written to ${file}`);
}
