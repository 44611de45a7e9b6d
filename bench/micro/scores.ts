// What stored scores in memory cost: bytes, look-ups, puts, and what puts do to everybody else on the event loop.
//
// npm run bench:scores [-- --sizes 1000,2000000]
//
// One process a size, with the server's flags; in it a store is filled to its limit, asked, and then put to for some seconds
// while it is full, so that each new entry drives another out.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { MemoryStore } from '../../src/scores/memory-store.ts';
import type { ScorePut, ScoreScope } from '../../src/scores/score-store.ts';

const FLAGS = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../bin/node-flags.json', import.meta.url)), 'utf8'),
) as string[];
const SELF = fileURLToPath(import.meta.url);

const LOOK_UPS = 200_000;
const SLICE_MS = 0.3;
const PUTS_A_SECOND = 20_000;
const STEADY_SECONDS = 3;

let puts = 0;

type Holds = { worstPutUs: number; p999PutUs: number; longestHoldMs: number; longestGcMs: number };

type Result = {
  entries: number;
  bytesEach: number;
  /** Of these, what is in use: the others V8 keeps for what comes. */
  usedEach: number;
  fillSeconds: number;
  hitNs: number;
  missNs: number;
  filling: Holds;
  steady: Holds;
};

const options = new Command('bench:scores')
  .description('Measures the store of scores in memory.')
  .option('--sizes <list>', 'entries, by commas', '1000,100000,1000000,2000000')
  .option('--one <entries>', 'one size, in this process; prints JSON')
  .parse()
  .opts<{ sizes: string; one?: string }>();

if (options.one !== undefined) console.log(JSON.stringify(await measure(Number(options.one))));
else printTable(options.sizes.split(',').map((size) => inProcess(Number(size))));

function inProcess(entries: number): Result {
  const args = [...FLAGS, '--expose-gc', SELF, '--one', String(entries)];
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`The process for ${entries} entries ended with ${status}.`);
  return JSON.parse(stdout) as Result;
}

async function measure(entries: number): Promise<Result> {
  const scope: ScoreScope = { model: 'churn', version: 1, digest: 'd1', view: 'v1' };
  const store = new MemoryStore({ maxEntries: entries, maxBytes: 64 * 2 ** 30 });
  await warmUp();
  const before = await restingBytes();
  const fillBegan = performance.now();
  const filling = await watched(async (took) => {
    let sliceEnd = performance.now() + SLICE_MS;
    for (let number = 0; number < entries; number++) {
      const began = performance.now();
      if (began > sliceEnd) {
        await setImmediate();
        sliceEnd = performance.now() + SLICE_MS;
      }
      putTimed(store, scope, number, took);
    }
  }, entries);
  const fillSeconds = (performance.now() - fillBegan) / 1000;
  const after = await restingBytes();
  const textBytes = entries * entityOf(0).length;
  const hitNs = lookUp(store, scope, (number) => entityOf(Math.floor(random(number) * entries)));
  const missNs = lookUp(store, scope, (number) => `unknown-${String(number).padStart(8, '0')}`);
  const steady = await watched(async (took) => {
    const began = performance.now();
    for (let done = 0; done < PUTS_A_SECOND * STEADY_SECONDS; ) {
      const due = ((performance.now() - began) / 1000) * PUTS_A_SECOND;
      // Every other one is new.
      for (; done < due; done++) {
        putTimed(store, scope, done % 2 === 0 ? entries + done : Math.floor(random(done) * entries), took);
      }
      await setTimeout(1);
    }
  }, PUTS_A_SECOND * STEADY_SECONDS);
  await store.close();
  const each = (bytes: number) => (bytes - textBytes) / entries;
  const bytesEach = each(after.resident - before.resident);
  const usedEach = each(after.used - before.used);
  return { entries, bytesEach, usedEach, fillSeconds, hitNs, missNs, filling, steady };
}

/** What runs for the first time is slow, and takes memory. */
async function warmUp(): Promise<void> {
  const store = new MemoryStore({ maxEntries: 20_000, maxBytes: 2 ** 30 });
  const scope: ScoreScope = { model: 'warm', version: 1, digest: 'd1', view: 'v1' };
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 25_000; number++) store.putOne(scope, putOf(number));
    for (let number = 0; number < 25_000; number++) store.peek(scope, entityOf(number));
  }
  await store.close();
}

function putTimed(store: MemoryStore, scope: ScoreScope, number: number, took: Float64Array): void {
  const put = putOf(number);
  const began = performance.now();
  store.putOne(scope, put);
  took[puts++] = performance.now() - began;
}

/** Runs the puts; `took` gets milliseconds of each. */
async function watched(run: (took: Float64Array) => Promise<void>, count: number): Promise<Holds> {
  let longestGcMs = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestGcMs = Math.max(longestGcMs, duration);
  });
  observer.observe({ entryTypes: ['gc'] });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const took = new Float64Array(count + PUTS_A_SECOND);
  puts = 0;
  await setTimeout(10);
  delay.enable();
  await run(took);
  await setTimeout(10);
  delay.disable();
  observer.disconnect();
  const sorted = took.subarray(0, puts).sort();
  return {
    worstPutUs: 1000 * (sorted.at(-1) as number),
    p999PutUs: 1000 * (sorted[Math.floor(puts * 0.999)] as number),
    // Its timer's own millisecond is in it.
    longestHoldMs: delay.max / 1e6 - 1,
    longestGcMs,
  };
}

/** Nanoseconds a look-up, of entities that V8 has not seen before, as those of calls are. */
function lookUp(store: MemoryStore, scope: ScoreScope, entity: (number: number) => string): number {
  const entities = Array.from({ length: LOOK_UPS }, (_, number) => Buffer.from(entity(number)).toString());
  let found = 0;
  const began = performance.now();
  for (const each of entities) if (store.peek(scope, each) !== undefined) found++;
  const ns = ((performance.now() - began) * 1e6) / LOOK_UPS;
  if (found !== 0 && found !== LOOK_UPS) throw new Error(`${found} of ${LOOK_UPS} entities were found.`);
  return ns;
}

function putOf(number: number): ScorePut {
  const now = Date.now();
  return {
    entity: entityOf(number),
    stored: {
      score: random(number),
      label: number & 1,
      outputs: undefined,
      scoredAtMs: now,
      featuresAsOfMs: now,
      keptUntilMs: now + 86_400_000,
      job: 'nightly',
    },
  };
}

function entityOf(number: number): string {
  return `customer-${String(number).padStart(8, '0')}`;
}

/** In [0, 1); the same for the same number. */
function random(number: number): number {
  const mixed = Math.imul(number ^ 0x5bd1_e995, 0x85eb_ca6b);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
}

async function restingBytes(): Promise<{ resident: number; used: number }> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await setTimeout(50);
  }
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { resident: rss, used: heapUsed + arrayBuffers };
}

function printTable(results: readonly Result[]): void {
  const rows = results.map((result) => ({
    entries: result.entries.toLocaleString('en'),
    'resident bytes each*': Math.round(result.bytesEach),
    'used*': Math.round(result.usedEach),
    'filled in s': result.fillSeconds.toFixed(2),
    'hit ns': Math.round(result.hitNs),
    'miss ns': Math.round(result.missNs),
    ...holdColumns('fill', result.filling),
    ...holdColumns('20k/s', result.steady),
  }));
  console.table(rows);
  console.log('* beside the text of the entity; of a few entries all is hidden by what else changes in a process');
}

function holdColumns(phase: string, holds: Holds): Record<string, string> {
  return {
    [`${phase}: p99.9 put us`]: holds.p999PutUs.toFixed(1),
    [`${phase}: worst put ms`]: (holds.worstPutUs / 1000).toFixed(2),
    [`${phase}: hold ms`]: holds.longestHoldMs.toFixed(1),
    [`${phase}: GC ms`]: holds.longestGcMs.toFixed(1),
  };
}
