// By hand: what the load generator itself costs and adds, against a server in Go that does nothing, and beside h2load.
//
// npm run bench:client [-- --seconds N --repetitions N]; needs Go, and nghttp2's h2load for the comparison.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { pinned } from '../src/bench/pinning.ts';
import { type Figure, makeFigure } from './harness/figures.ts';
import { typicalAnswer } from './harness/requests.ts';
import { freePort, ServerProcess, stopAllServers } from './harness/server-process.ts';
import { CLIENT_CORE, HOST, SERVER_CORE } from './harness/settings.ts';
import { inTurns, onlyFlow, PEAK_IN_FLIGHT, poisson, Suite } from './harness/suite.ts';
import { formatTable } from './harness/table.ts';

const SOURCE = fileURLToPath(new URL('./servers/null-server', import.meta.url));
const RATE = 8_000;
const MAX_P99_MS = 2;
const MAX_CPU_US = 15;
const MIN_SHARE_OF_H2LOAD = 0.95;
const PREFIX_BYTES = 5;

const options = new Command('bench:client')
  .option('--seconds <n>', 'measured time of one load', Number, 5)
  .option('--repetitions <n>', 'how often each is measured', Number, 5)
  .parse()
  .opts<{ seconds: number; repetitions: number }>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAllServers().then(() => process.exit(130)));
}

const scratch = mkdtempSync(join(tmpdir(), 'scorewire-bench-'));
const suite = new Suite({ seconds: options.seconds, warmUpSeconds: 1, repetitions: options.repetitions });
try {
  const server = await startNullServer();
  const [message] = suite.calls('boosted-trees').messages as [Uint8Array];
  const closedFlow = suite.flow('boosted-trees', { kind: 'closed', inFlight: PEAK_IN_FLIGHT });
  const closed = async () => {
    const report = await suite.load(server, [closedFlow]);
    return { perSecond: onlyFlow(report.flows).answeredPerSecond, cpuUs: report.client.cpuUsPerCall };
  };
  const open = async (repetition: number) => {
    const report = await suite.load(server, [suite.flow('boosted-trees', poisson(RATE, repetition + 1))]);
    return { p99Ms: onlyFlow(report.flows).answers.p99Us / 1000, cpuUs: report.client.cpuUsPerCall };
  };
  const h2load = async () => h2loadPerSecond(server.port, closedFlow.path, message);
  const hasH2load = spawnSync('h2load', ['--version']).status === 0;
  if (!hasH2load) console.log('h2load is not installed (Debian: nghttp2-client): skipped');
  const [ours = [], theirs = []] = await inTurns<{ perSecond: number; cpuUs: number }>(options.repetitions, [
    closed,
    ...(hasH2load ? [async () => ({ perSecond: await h2load(), cpuUs: Number.NaN })] : []),
  ]);
  const [opened = []] = await inTurns(options.repetitions, [open]);

  const figures: Figure[] = [];
  const figure = (...args: [string, string, number[], Parameters<typeof makeFigure>[4]?]): void => {
    figures.push(makeFigure('client', ...args));
  };
  figure(`closed, ${PEAK_IN_FLIGHT} in flight`, 'calls/s', rates(ours));
  if (hasH2load) {
    figure('the same, h2load', 'calls/s', rates(theirs));
    const shares = ours.map(({ perSecond }, index) => perSecond / (theirs[index]?.perSecond ?? Number.NaN));
    figure('ours / h2load', 'ratio', shares, { relation: 'at least', value: MIN_SHARE_OF_H2LOAD });
  }
  const cpu = { relation: 'at most', value: MAX_CPU_US } as const;
  figure(
    'closed, CPU a call',
    'us',
    ours.map(({ cpuUs }) => cpuUs),
    cpu,
  );
  figure(
    `Poisson ${RATE}/s, p99`,
    'ms',
    opened.map(({ p99Ms }) => p99Ms),
    { relation: 'at most', value: MAX_P99_MS },
  );
  console.log(formatTable(figures));
} finally {
  await stopAllServers();
  rmSync(scratch, { recursive: true, force: true });
}

function rates(loads: readonly { perSecond: number }[]): number[] {
  return loads.map(({ perSecond }) => perSecond);
}

async function startNullServer(): Promise<ServerProcess> {
  const program = join(scratch, 'null-server');
  execFileSync('go', ['build', '-o', program, '.'], { cwd: SOURCE, stdio: 'inherit' });
  const port = await freePort();
  const answer = typicalAnswer().toString('base64');
  return ServerProcess.start({
    name: 'null-server',
    port,
    command: [program, String(port), answer],
    core: SERVER_CORE,
    env: { GOMAXPROCS: '1' },
    ready: async (address) => spawnSync('bash', ['-c', `exec 3<>/dev/tcp/${address.replace(':', '/')}`]).status === 0,
  });
}

/** Calls a second that h2load makes, from the client's core, one connection. */
function h2loadPerSecond(port: number, path: string, message: Uint8Array): number {
  const body = join(scratch, 'body');
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  writeFileSync(body, Buffer.concat([prefix, message]));
  const command = [
    ...['h2load', '-t1', '-c1', `-m${PEAK_IN_FLIGHT}`, '-D', String(options.seconds), '--warm-up-time=1'],
    ...['-d', body, '-H', 'content-type: application/grpc', '-H', 'te: trailers', `http://${HOST}:${port}${path}`],
  ];
  const [executable, ...args] = pinned(CLIENT_CORE, command);
  const out = execFileSync(executable as string, args, { encoding: 'utf8' });
  const found = /finished in [^,]+, ([\d.]+) req\/s/.exec(out);
  if (found === null) throw new Error(`h2load says no rate: ${out}`);
  return Number(found[1]);
}
