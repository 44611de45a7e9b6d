// A fast and a slow model on one worker: how much of the slow one's time the fast one's callers feel.

import { median } from '../../src/bench/statistics.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startScorewire } from '../harness/servers.ts';
import { onlyFlow, poisson, type Scenario, type Suite } from '../harness/suite.ts';

const FAST_PER_SECOND = 500;
const SLOW_IN_FLIGHT = [1, 2];
/** So few calls a second need a longer time for a p99. */
const SECONDS_FACTOR = 2;
const WARM_UP_CALLS_IN_FLIGHT = 64;

export const neighbours: Scenario = {
  name: 'neighbours',
  title: 'boosted-trees at 500/s on one worker, alone and beside slow-20ms',
  async run(suite: Suite) {
    const aloneMs: number[] = [];
    const slowRunMs: number[] = [];
    const besideMs = new Map<number, number[]>(SLOW_IN_FLIGHT.map((inFlight) => [inFlight, []]));
    for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
      const server = await startScorewire();
      try {
        const one = await measure(suite, server, repetition + 1);
        aloneMs.push(one.aloneMs);
        slowRunMs.push(one.slowRunMs);
        for (const [inFlight, p99Ms] of one.besideMs) besideMs.get(inFlight)?.push(p99Ms);
      } finally {
        await server.stop();
      }
    }
    suite.figure('fast alone, p99', 'ms', aloneMs);
    suite.figure('slow, one call at a time, p50', 'ms', slowRunMs);
    const value = median(aloneMs) + median(slowRunMs);
    for (const [inFlight, p99Ms] of besideMs) {
      suite.figure(`fast beside slow (${inFlight} in flight), p99`, 'ms', p99Ms, { relation: 'at most', value });
    }
  },
};

interface Repetition {
  aloneMs: number;
  slowRunMs: number;
  besideMs: [inFlight: number, p99Ms: number][];
}

async function measure(suite: Suite, server: ServerProcess, seed: number): Promise<Repetition> {
  const { warmUpSeconds } = suite.settings;
  const seconds = SECONDS_FACTOR * suite.settings.seconds;
  const warmUp = suite.flow('boosted-trees', { kind: 'closed', inFlight: WARM_UP_CALLS_IN_FLIGHT });
  await suite.load(server, [warmUp], { warmUpSeconds: 0, seconds: 2 * warmUpSeconds });

  const fast = suite.flow('boosted-trees', poisson(FAST_PER_SECOND, seed));
  const alone = onlyFlow((await suite.load(server, [fast], { seconds })).flows);
  const slowAlone = await suite.load(server, [suite.flow('slow-20ms', { kind: 'closed', inFlight: 1 })]);
  const besideMs: [number, number][] = [];
  for (const inFlight of SLOW_IN_FLIGHT) {
    const slow = suite.flow('slow-20ms', { kind: 'closed', inFlight });
    const { flows } = await suite.load(server, [fast, slow], { seconds });
    const beside = flows.find(({ name }) => name === 'boosted-trees');
    besideMs.push([inFlight, (beside?.answers.p99Us ?? Number.NaN) / 1000]);
  }
  return {
    aloneMs: alone.answers.p99Us / 1000,
    slowRunMs: onlyFlow(slowAlone.flows).answers.p50Us / 1000,
    besideMs,
  };
}
