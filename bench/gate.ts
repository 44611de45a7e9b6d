// The benchmark gate: fails when a call costs our server more CPU than it did, beside the echo in the same run.
//
// npm run bench:gate [-- --planted 15%] [--json FILE]
//
// CPU time by the operating system's account, since it suffers least from what else runs on the machine; beside the echo,
// since machines differ; in short loads that take turns (A B B A), since a machine differs from minute to minute.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { parseShare } from '../src/bench/quantity.ts';
import { mean } from '../src/bench/statistics.ts';
import { type ServerProcess, stopAllServers } from './harness/server-process.ts';
import { startEcho, startScorewire } from './harness/servers.ts';
import { onlyFlow, PEAK_IN_FLIGHT, Suite } from './harness/suite.ts';

const BASELINE = fileURLToPath(new URL('./gate.json', import.meta.url));
const PLANTED_DELAY = fileURLToPath(new URL('./servers/planted-delay.ts', import.meta.url));

interface Baseline {
  /** Our server's CPU microseconds a call over the echo's, 64 in flight. */
  ratio: number;
  /** How much more it may be, as a share. */
  maxRegression: number;
}

interface Options {
  planted: string;
  pairs: number;
  json?: string;
  update?: boolean;
}

const options = new Command('bench:gate')
  .description('Compares the CPU of a call with that of the echo, and with what bench/gate.json says of it.')
  .option('--planted <share>', 'make our server slower by so much of its own cost: the gate has to see it', '0')
  .option('--pairs <n>', 'loads of each server', Number, 16)
  .option('--json <file>', 'write what was measured')
  .option('--update', 'write the measured ratio to bench/gate.json')
  .parse()
  .opts<Options>();

const SECONDS = 0.6;
const WARM_UP_SECONDS = 4;

const suite = new Suite({ seconds: SECONDS, warmUpSeconds: 0.1, repetitions: 1 });
const baseline = JSON.parse(readFileSync(BASELINE, 'utf8')) as Baseline;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAllServers().then(() => process.exit(130)));
}

/** CPU microseconds a call, by load. */
type Loads = { ours: readonly number[]; echo: readonly number[] };

const LIMIT = baseline.ratio * (1 + baseline.maxRegression);
const planted = parseShare(options.planted, '--planted');
try {
  const echo = await startEcho();
  const ours = await startScorewire(
    planted === 0 ? {} : { nodeFlags: ['--import', PLANTED_DELAY], env: { PLANTED_SHARE: String(planted) } },
  );
  for (const server of [echo, ours]) await cpuOf(server, WARM_UP_SECONDS);
  const cpuUs = { ours: [] as number[], echo: [] as number[] };
  const measure = async (): Promise<void> => {
    for (let pair = 0; pair < options.pairs; pair++) {
      const order = pair % 2 === 0 ? (['ours', 'echo'] as const) : (['echo', 'ours'] as const);
      for (const name of order) cpuUs[name].push(await cpuOf(name === 'ours' ? ours : echo, SECONDS));
    }
  };
  await measure();
  if (ratioOf(cpuUs) > LIMIT) {
    console.log(
      `ours / echo: ${ratioOf(cpuUs).toFixed(3)} is above ${LIMIT.toFixed(3)}: measured once more, and all judged together`,
    );
    await measure();
  }
  judge(cpuUs);
} finally {
  await stopAllServers();
}

/** CPU microseconds a call, 64 in flight. */
async function cpuOf(server: ServerProcess, seconds: number): Promise<number> {
  const flow = suite.flow('boosted-trees', { kind: 'closed', inFlight: PEAK_IN_FLIGHT });
  const { server: cpu, flows } = await suite.load(server, [flow], { seconds });
  if (cpu === undefined) throw new Error('this system has no /proc to read CPU time from');
  if (onlyFlow(flows).answers.count === 0) throw new Error(`${server.name} answered nothing`);
  return cpu.cpuUsPerCall;
}

/** The mean of the lower half: what else runs on a machine only ever adds. */
function typical(cpuUs: readonly number[]): number {
  return mean([...cpuUs].sort((a, b) => a - b).slice(0, Math.ceil(cpuUs.length / 2)));
}

function ratioOf({ ours, echo }: Loads): number {
  return typical(ours) / typical(echo);
}

function judge({ ours, echo }: Loads): void {
  const ratio = ratioOf({ ours, echo });
  const shown = (cpuUs: readonly number[]) =>
    `${typical(cpuUs).toFixed(1)} us (${Math.min(...cpuUs).toFixed(1)} to ${Math.max(...cpuUs).toFixed(1)})`;
  console.log(`CPU a call, 64 in flight: ours ${shown(ours)}, echo ${shown(echo)}, ${ours.length} loads each`);
  console.log(
    `ours / echo: ${ratio.toFixed(3)}, at most ${LIMIT.toFixed(3)} (${baseline.ratio} + ${100 * baseline.maxRegression} %)`,
  );
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ ratio, limit: LIMIT, planted, ours, echo })}\n`);
  }
  if (options.update === true) {
    const next: Baseline = { ...baseline, ratio: Number(ratio.toFixed(3)) };
    writeFileSync(BASELINE, `${JSON.stringify(next, undefined, 2)}\n`);
    console.log(`written to ${BASELINE}`);
  } else if (ratio > LIMIT) {
    console.log('a call costs more than it did');
    process.exitCode = 1;
  }
}
