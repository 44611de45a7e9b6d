// What stored scores in Redis cost: `node bench/micro/redis-store.ts`, with a redis-server of its own. Not a part of any gate.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { RedisStore } from '../../src/scores/redis-store.ts';

const ENTITIES = 100_000;
const AT_ONCE = 64;
const LOOK_UPS = 300_000;
const ALONE = 10_000;
const WITHIN_MS = 5000;

const port = await freePort();
const arguments_ = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
const server = spawn('redis-server', arguments_, { stdio: 'ignore' });
const link = new RedisLink({ url: `redis://127.0.0.1:${port}`, prefix: 'bench', reason: 'STORE_UNAVAILABLE' });
const store = new RedisStore(link);
try {
  if (!(await link.whenConnected(WITHIN_MS))) throw new Error('no redis-server');
  await measure();
} finally {
  await store.close();
  server.kill();
}

async function measure(): Promise<void> {
  const scope = { model: 'churn', version: 1, digest: 'd', view: 'v' };
  const nowMs = Date.now();
  const entities = Array.from({ length: ENTITIES }, (_, i) => `customer-${i}`);
  const stored = {
    score: 0.25,
    label: 0,
    outputs: undefined,
    scoredAtMs: nowMs,
    featuresAsOfMs: nowMs,
    keptUntilMs: nowMs + 3_600_000,
    job: 'nightly',
  };
  const puts = entities.map((entity) => ({ entity, stored }));
  for (const what of ['new', 'again']) {
    const beganMs = performance.now();
    const cpu = process.cpuUsage();
    for (let from = 0; from < ENTITIES; from += 10_000) await store.put(scope, puts.slice(from, from + 10_000));
    const seconds = (performance.now() - beganMs) / 1000;
    print(`puts, ${what}`, `${Math.round(ENTITIES / seconds)} a second, ${perUnit(cpu, ENTITIES)} us CPU each`);
  }
  const memory = String(await link.call(['info', 'memory'], WITHIN_MS));
  print('memory of Redis', `${Math.round(Number(/used_memory:(\d+)/.exec(memory)?.[1]) / ENTITIES)} bytes an entry`);
  const [figures] = await store.stats();
  print('memory as estimated', `${Math.round((figures?.bytes ?? 0) / (figures?.entries ?? 1))} bytes an entry`);

  let next = 0;
  const lane = async (until: number) => {
    while (next < until) {
      const [found] = await store.fetch(scope, [entities[next++ % ENTITIES] as string], WITHIN_MS);
      if (found === undefined) throw new Error('it was put');
    }
  };
  for (const round of ['warm-up', 'measured']) {
    next = 0;
    const beganMs = performance.now();
    const cpu = process.cpuUsage();
    await Promise.all(Array.from({ length: AT_ONCE }, () => lane(LOOK_UPS)));
    const rate = Math.round(LOOK_UPS / ((performance.now() - beganMs) / 1000));
    if (round === 'measured')
      print(`look-ups, ${AT_ONCE} at once`, `${rate} a second, ${perUnit(cpu, LOOK_UPS)} us CPU each`);
  }
  const thousand = entities.slice(0, 1000);
  const cpu = process.cpuUsage();
  for (let i = 0; i < 200; i++) await store.fetch(scope, thousand, WITHIN_MS);
  print('look-ups of 1,000', `${perUnit(cpu, 200_000)} us CPU an entity`);

  const fetchMs = await median((i) => store.fetch(scope, [entities[i] as string], WITHIN_MS));
  const pingMs = await median(() => link.call(['ping'], WITHIN_MS));
  print('a look-up alone, p50', `${microseconds(fetchMs)} us; a PING ${microseconds(pingMs)} us`);
}

async function median(call: (i: number) => Promise<unknown>): Promise<number> {
  const tookMs = new Float64Array(ALONE);
  for (let i = 0; i < ALONE; i++) {
    const beganMs = performance.now();
    await call(i);
    tookMs[i] = performance.now() - beganMs;
  }
  return tookMs.sort()[ALONE / 2] as number;
}

function perUnit(since: NodeJS.CpuUsage, count: number): string {
  const { user, system } = process.cpuUsage(since);
  return ((user + system) / count).toFixed(2);
}

function microseconds(ms: number): number {
  return Math.round(ms * 1000);
}

function print(what: string, figure: string): void {
  console.log(`${what.padEnd(26)}${figure}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, '127.0.0.1', () => {
      const { port: found } = probe.address() as { port: number };
      probe.close(() => resolve(found));
    });
  });
}
