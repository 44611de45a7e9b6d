// Scores from last night and from now, behind one call: `npm run demo`.
//
// Starts a server of the churn model, has its customers scored and stored as a nightly refresh does, then asks for 2,000
// customers one by one, of whom 100 came since; tells the server that one of them has changed; ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connect } from '../src/client/connect.ts';
import type { ScoreResult } from '../src/client/types.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const COMMAND = fileURLToPath(new URL('../bin/scorewire.js', import.meta.url));
const CUSTOMERS = 2000;
const CHANGED = 17;

const server = spawn(
  process.execPath,
  [
    COMMAND,
    'serve',
    '--models',
    'examples/models',
    '--features',
    'examples/features.yaml',
    '--jobs',
    'examples/jobs.yaml',
    '--port',
    '0',
    '--http-port',
    '0',
    '--set',
    'log.format=json',
  ],
  { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
);
process.on('exit', () => server.kill());

try {
  const address = await listening();
  await command('job', 'start', 'nightly', '--watch', '--fresh', '--address', address);
  const client = connect(address, { deadlineMs: 1000 });
  const score = (entityId: number): Promise<ScoreResult> => client.score({ model: 'churn', entityId });

  say(`${CUSTOMERS} customers, one call each:`);
  const origins = new Map<string, number>();
  const times: number[] = [];
  for (let customer = 1; customer <= CUSTOMERS; customer++) {
    const startMs = performance.now();
    const { origin } = await score(customer);
    times.push(performance.now() - startMs);
    origins.set(origin, (origins.get(origin) ?? 0) + 1);
  }
  for (const [origin, found] of origins) say(`  ${origin.padEnd(12)} ${found} (${(100 * found) / CUSTOMERS} %)`);
  times.sort((a, b) => a - b);
  say(`  p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms, one at a time`);

  say(`\nCustomer ${CHANGED}: ${told(await score(CHANGED))}`);
  await command('store', 'invalidate', 'churn', '--entity', String(CHANGED), '--address', address);
  say(`Customer ${CHANGED}, who has changed: ${told(await score(CHANGED))}\n`);
  await command('store', 'stats', 'churn', '--address', address);
  await client.close();
} finally {
  server.kill();
  if (server.exitCode === null) await once(server, 'exit');
}

async function listening(): Promise<string> {
  for await (const line of createInterface(server.stdout)) {
    const { msg, grpc } = JSON.parse(line) as { msg: string; grpc?: string };
    if (grpc !== undefined && msg.includes('SERVING')) {
      server.stdout.resume();
      return grpc;
    }
  }
  throw new Error('the server did not start');
}

async function command(...args: string[]): Promise<void> {
  say(`$ scorewire ${args.slice(0, args.indexOf('--address')).join(' ')}`);
  const [code] = await once(spawn(process.execPath, [COMMAND, ...args], { cwd: ROOT, stdio: 'inherit' }), 'exit');
  if (code !== 0) throw new Error(`it ended with ${code}`);
}

function told({ score, origin, ageMs }: ScoreResult): string {
  return `score ${score.toFixed(3)}, ${origin}${ageMs === undefined ? '' : `, ${Math.round(ageMs)} ms old`}`;
}

function quantile(sorted: readonly number[], part: number): string {
  return (sorted[Math.floor(part * (sorted.length - 1))] as number).toFixed(2);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
