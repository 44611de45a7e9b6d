// More calls than the server can answer: what it still answers, how fast it refuses the rest, and what it holds meanwhile.

import { startScorewire } from '../harness/servers.ts';
import { onlyFlow, PEAK_IN_FLIGHT, poisson, type Scenario, type Suite } from '../harness/suite.ts';

const SLOW_FACTOR = 3;
const CHEAP_FACTOR = 1.3;
const SLOW_PEAK_IN_FLIGHT = 4;
const WARM_UP_FACTOR = 2;
const MIN_GOODPUT_SHARE = 0.85;
const MAX_REFUSAL_P99_MS = 5;
const MIB = 2 ** 20;

export const overload: Scenario = {
  name: 'overload',
  title: 'overload: slow-1ms at 3 x its peak, boosted-trees at 1.3 x its peak',
  async run(suite: Suite) {
    await slowModel(suite);
    await cheapModel(suite);
  },
};

async function slowModel(suite: Suite): Promise<void> {
  const peaks: number[] = [];
  const shares: number[] = [];
  const answersP99Ms: number[] = [];
  const refusalsP99Ms: number[] = [];
  for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
    const server = await startScorewire();
    try {
      const closed = suite.flow('slow-1ms', { kind: 'closed', inFlight: SLOW_PEAK_IN_FLIGHT });
      const peak = onlyFlow((await suite.load(server, [closed])).flows).answeredPerSecond;
      const open = suite.flow('slow-1ms', poisson(SLOW_FACTOR * peak, repetition + 1));
      const flow = onlyFlow((await suite.load(server, [open])).flows);
      suite.addPeak('slow-1ms', peak);
      peaks.push(peak);
      shares.push(flow.answeredPerSecond / peak);
      answersP99Ms.push(flow.answers.p99Us / 1000);
      refusalsP99Ms.push(flow.refusals.p99Us / 1000);
      if (flow.failures.count > 0) suite.note(`other errors than refusals: ${JSON.stringify(flow.errors)}`);
    } finally {
      await server.stop();
    }
  }
  suite.figure('slow-1ms, peak', 'calls/s', peaks);
  suite.figure('slow-1ms at 3 x, goodput / peak', 'share', shares, { relation: 'at least', value: MIN_GOODPUT_SHARE });
  suite.figure('slow-1ms at 3 x, p99 of answers', 'ms', answersP99Ms);
  suite.figure('slow-1ms at 3 x, p99 of refusals', 'ms', refusalsP99Ms, {
    relation: 'at most',
    value: MAX_REFUSAL_P99_MS,
  });
}

async function cheapModel(suite: Suite): Promise<void> {
  const shares: number[] = [];
  const answersP99Ms: number[] = [];
  const refusalsP99Ms: number[] = [];
  const beforeMiB: number[] = [];
  const afterMiB: number[] = [];
  const peakMiB: number[] = [];
  for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) {
    const server = await startScorewire();
    try {
      const closed = suite.flow('boosted-trees', { kind: 'closed', inFlight: PEAK_IN_FLIGHT });
      const warmUpSeconds = WARM_UP_FACTOR * suite.settings.warmUpSeconds;
      const peak = onlyFlow((await suite.load(server, [closed], { warmUpSeconds })).flows).answeredPerSecond;
      const before = server.memory();
      const open = suite.flow('boosted-trees', poisson(CHEAP_FACTOR * peak, repetition + 1));
      const flow = onlyFlow((await suite.load(server, [open])).flows);
      const after = server.memory();
      shares.push(flow.answeredPerSecond / peak);
      answersP99Ms.push(flow.answers.p99Us / 1000);
      refusalsP99Ms.push(flow.refusals.p99Us / 1000);
      if (flow.failures.count > 0) suite.note(`other errors than refusals: ${JSON.stringify(flow.errors)}`);
      if (before === undefined || after === undefined) continue;
      beforeMiB.push(before.residentBytes / MIB);
      afterMiB.push(after.residentBytes / MIB);
      peakMiB.push(after.peakResidentBytes / MIB);
    } finally {
      await server.stop();
    }
  }
  suite.figure('boosted-trees at 1.3 x, goodput / peak', 'share', shares, {
    relation: 'at least',
    value: MIN_GOODPUT_SHARE,
  });
  suite.figure('boosted-trees at 1.3 x, p99 of answers', 'ms', answersP99Ms);
  suite.figure('boosted-trees at 1.3 x, p99 of refusals', 'ms', refusalsP99Ms);
  if (beforeMiB.length === 0) return;
  suite.figure('boosted-trees at 1.3 x, resident before', 'MiB', beforeMiB);
  suite.figure('boosted-trees at 1.3 x, resident after', 'MiB', afterMiB);
  suite.figure('boosted-trees at 1.3 x, resident at most', 'MiB', peakMiB);
}
