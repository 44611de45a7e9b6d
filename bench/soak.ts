// By hand: our server at half of its peak for ten minutes; what its memory does meanwhile.
//
// node bench/soak.ts [--seconds N] [--rate CALLS_PER_SECOND]

import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { readProcessMemory } from '../src/bench/process-cpu.ts';
import { median } from '../src/bench/statistics.ts';
import { type ServerProcess, stopAllServers } from './harness/server-process.ts';
import { startScorewire } from './harness/servers.ts';
import { HOST } from './harness/settings.ts';
import { onlyFlow, PEAK_IN_FLIGHT, poisson, Suite } from './harness/suite.ts';

const PEAK_SHARE = 0.5;
const SAMPLE_SECONDS = 10;
/** Memory that the first minute takes is taken once; the slope is of the rest. */
const SETTLE_SECONDS = 60;
const MIB = 2 ** 20;

interface MemorySample {
  seconds: number;
  residentMiB: number;
  /** Of the main thread; undefined where the server doesn't say. */
  heapMiB: number | undefined;
}

const options = new Command('soak')
  .option('--seconds <n>', 'how long', Number, 600)
  .option('--rate <n>', 'calls a second (default: half of the closed-loop peak)', Number)
  .parse()
  .opts<{ seconds: number; rate?: number }>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAllServers().then(() => process.exit(130)));
}

const suite = new Suite({ seconds: 5, warmUpSeconds: 3, repetitions: 1 });
const server = await startScorewire();
try {
  const closed = suite.flow('boosted-trees', { kind: 'closed', inFlight: PEAK_IN_FLIGHT });
  const peak = onlyFlow((await suite.load(server, [closed])).flows).answeredPerSecond;
  const ratePerSecond = options.rate ?? PEAK_SHARE * peak;
  suite.progress(`${Math.round(ratePerSecond)} calls/s for ${options.seconds} s`);

  const samples: MemorySample[] = [];
  const watch = new AbortController();
  const watching = watchMemory(server, samples, watch.signal);
  const flow = suite.flow('boosted-trees', poisson(ratePerSecond, 1));
  await suite.load(server, [flow], { warmUpSeconds: 1, seconds: options.seconds });
  watch.abort();
  await watching;
  printSlope('resident', samples, ({ residentMiB }) => residentMiB);
  printSlope('heap', samples, ({ heapMiB }) => heapMiB);
} finally {
  await server.stop();
}

async function watchMemory(watched: ServerProcess, samples: MemorySample[], signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  while (!signal.aborted) {
    await sleep(1000 * SAMPLE_SECONDS, undefined, { signal }).catch(() => {});
    const memory = readProcessMemory(watched.pid);
    if (memory === undefined) return;
    const sample: MemorySample = {
      seconds: (performance.now() - startedAt) / 1000,
      residentMiB: memory.residentBytes / MIB,
      heapMiB: await heapMiB(watched),
    };
    samples.push(sample);
    const heap = sample.heapMiB === undefined ? '' : `  heap ${sample.heapMiB.toFixed(1)} MiB`;
    process.stdout.write(
      `${sample.seconds.toFixed(0).padStart(5)} s  resident ${sample.residentMiB.toFixed(1)} MiB${heap}\n`,
    );
  }
}

async function heapMiB({ httpPort }: ServerProcess): Promise<number | undefined> {
  try {
    const response = await fetch(`http://${HOST}:${httpPort}/metrics`, { signal: AbortSignal.timeout(2_000) });
    const found = /^v8js_memory_heap_used(?:_bytes)?(?:\{[^}]*\})? (\S+)/m.exec(await response.text());
    return found === null ? undefined : Number(found[1]) / MIB;
  } catch {
    return undefined;
  }
}

/** The median of the slopes between all pairs of samples (Theil and Sen): a collection or two don't bend it. */
function printSlope(
  name: string,
  samples: readonly MemorySample[],
  of: (sample: MemorySample) => number | undefined,
): void {
  const points = samples
    .filter(({ seconds }) => seconds >= SETTLE_SECONDS)
    .map((sample) => ({ seconds: sample.seconds, value: of(sample) }))
    .filter((point): point is { seconds: number; value: number } => point.value !== undefined);
  const slopes = points.flatMap((from, index) =>
    points.slice(index + 1).map((to) => (to.value - from.value) / (to.seconds - from.seconds)),
  );
  if (slopes.length === 0) return;
  process.stdout.write(
    `${name}: ${(60 * median(slopes)).toFixed(3)} MiB a minute after the first ${SETTLE_SECONDS} s\n`,
  );
}
