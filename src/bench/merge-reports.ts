// One report of what several generator processes saw of the same server at the same time.

import { LatencyHistogram, type LatencySummary } from './histogram.ts';
import type { FlowReport, LoadReport, OutcomeReport, SecondReport } from './report.ts';

/** Counts add up, histograms are merged; the server's CPU time is the first one's, which all have seen alike. */
export function mergeReports(reports: readonly LoadReport[]): LoadReport {
  const [first] = reports;
  if (first === undefined) throw new RangeError('no reports to merge');
  if (reports.length === 1) return first;
  const flows = first.flows.map((_, index) => mergeFlows(reports.map(({ flows }) => flows[index] as FlowReport)));
  const ended = flows.reduce((sum, { perSecond }) => sum + perSecond.reduce(endedIn, 0), 0);
  const cpuShare = sum(reports, ({ client }) => client.cpuShare);
  const { server } = first;
  const scale =
    server === undefined || ended === 0 ? 0 : (server.cpuSeconds * 1e6) / ended / (server.cpuUsPerCall || 1);
  return {
    flows,
    seconds: first.seconds,
    client: {
      pid: first.client.pid,
      cpuShare,
      cpuUsPerCall: ended === 0 ? 0 : (cpuShare * first.seconds * 1e6) / ended,
      spins: reports.some(({ client }) => client.spins),
      limited: reports.some(({ client }) => client.limited),
      reasons: [...new Set(reports.flatMap(({ client }) => client.reasons))],
    },
    server: server && {
      ...server,
      cpuUsPerCall: server.cpuUsPerCall * scale,
      cpuUsPerCallByThread: Object.fromEntries(
        Object.entries(server.cpuUsPerCallByThread).map(([thread, us]) => [thread, us * scale]),
      ),
    },
    // The other generators are among the others.
    othersCpuShare:
      first.othersCpuShare === undefined
        ? undefined
        : Math.max(0, first.othersCpuShare - (cpuShare - first.client.cpuShare)),
  };
}

function mergeFlows(flows: readonly FlowReport[]): FlowReport {
  const first = flows[0] as FlowReport;
  const errors: Record<string, number> = {};
  for (const flow of flows) {
    for (const [status, count] of Object.entries(flow.errors)) errors[status] = (errors[status] ?? 0) + count;
  }
  return {
    ...first,
    connections: sum(flows, ({ connections }) => connections),
    calls: sum(flows, ({ calls }) => calls),
    answeredPerSecond: sum(flows, ({ answeredPerSecond }) => answeredPerSecond),
    offeredPerSecond:
      first.offeredPerSecond === undefined ? undefined : sum(flows, ({ offeredPerSecond }) => offeredPerSecond ?? 0),
    answers: mergeOutcomes(flows.map(({ answers }) => answers)),
    refusals: mergeOutcomes(flows.map(({ refusals }) => refusals)),
    failures: mergeOutcomes(flows.map(({ failures }) => failures)),
    errors,
    errorDetails: Object.assign({}, ...flows.map(({ errorDetails }) => errorDetails)),
    lateness: worst(flows.map(({ lateness }) => lateness)),
    heldBack: sum(flows, ({ heldBack }) => heldBack),
    lostConnections: sum(flows, ({ lostConnections }) => lostConnections),
    perSecond: first.perSecond.map((_, second) => mergeSeconds(flows.map(({ perSecond }) => perSecond[second]))),
    samples: flows.flatMap(({ samples }) => samples),
  };
}

function mergeOutcomes(outcomes: readonly OutcomeReport[]): OutcomeReport {
  const merged = new LatencyHistogram();
  for (const { histogram } of outcomes) merged.merge(LatencyHistogram.decode(histogram));
  return { ...merged.summary(), histogram: merged.encoded() };
}

/** No histogram of the lateness leaves a generator: the latest of them is what counts. */
function worst(summaries: readonly (LatencySummary | undefined)[]): LatencySummary | undefined {
  return summaries.reduce((most, summary) => ((summary?.p99Us ?? -1) > (most?.p99Us ?? -1) ? summary : most));
}

function mergeSeconds(seconds: readonly (SecondReport | undefined)[]): SecondReport {
  return {
    answered: sum(seconds, (second) => second?.answered ?? 0),
    failed: sum(seconds, (second) => second?.failed ?? 0),
    maxUs: Math.max(...seconds.map((second) => second?.maxUs ?? 0)),
  };
}

function endedIn(total: number, { answered, failed }: SecondReport): number {
  return total + answered + failed;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
