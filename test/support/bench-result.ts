// A result as a run leaves it, made up.
import { LatencyHistogram } from '../../src/bench/histogram.ts';
import type { FlowReport, LoadReport, OutcomeReport } from '../../src/bench/report.ts';
import type { BenchResult } from '../../src/bench/result.ts';

const CALLS = 1000;

export function outcome(latencyUs: number, count: number): OutcomeReport {
  const histogram = new LatencyHistogram();
  for (let i = 0; i < count; i++) histogram.record(latencyUs);
  return { ...histogram.summary(), histogram: histogram.encoded() };
}

export function loadReport(perSecond: number, latencyUs: number, errors = 0): LoadReport {
  const failed = Math.round(errors * CALLS);
  const flow: FlowReport = {
    name: 'closed',
    path: '/scorewire.v1.ScoringService/Score',
    shape: { kind: 'closed', inFlight: 64 },
    connections: 1,
    calls: CALLS,
    answeredPerSecond: perSecond,
    offeredPerSecond: undefined,
    answers: outcome(latencyUs, CALLS - failed),
    refusals: outcome(1, failed),
    failures: outcome(1, 0),
    errors: failed === 0 ? {} : { RESOURCE_EXHAUSTED: failed },
    errorDetails: {},
    lateness: undefined,
    heldBack: 0,
    lostConnections: 0,
    perSecond: [{ answered: CALLS - failed, failed, maxUs: latencyUs }],
    samples: [],
  };
  return {
    flows: [flow],
    seconds: 1,
    client: { pid: 1, cpuShare: 0.1, cpuUsPerCall: 2, spins: false, limited: false, reasons: [] },
    server: {
      cpuSeconds: 0.1,
      cpuShare: 0.1,
      cpuUsPerCall: latencyUs / 10,
      cpuUsPerCallByThread: { main: latencyUs / 10 },
    },
    othersCpuShare: 0,
  };
}

/** A result of the scenario `closed`: throughput and latency by repetition. */
export function closedResult(perSecond: number[], latencyUs: number[], errors = 0): BenchResult {
  return {
    schema: 'scorewire-bench/1',
    startedAt: '2026-11-22T12:00:00.000Z',
    label: '',
    machine: { cpu: 'CPU', cores: 2, memoryGiB: 4, system: 'linux', node: 'v24', pinned: true },
    commit: undefined,
    changed: undefined,
    target: {
      address: '127.0.0.1:8001',
      api: 'native',
      model: 'churn',
      version: '1',
      digest: 'ab12',
      requestBytes: 100,
      requestsDigest: 'ef',
    },
    settings: {
      seconds: 1,
      warmUpSeconds: 0,
      repetitions: perSecond.length,
      connections: 1,
      processes: 1,
      ratePerSecond: 0,
      inFlight: 64,
      offlineInFlight: 512,
      bound: { latencyUs: [{ percentile: 99, limitUs: 10_000 }], errorShare: 0.001 },
      ceilingPerSecond: 1e5,
      precision: 0.03,
      seed: 1,
      cores: [],
      serverPids: [],
      metricsUrl: undefined,
    },
    scenarios: [
      {
        name: 'closed',
        reports: perSecond.map((rate, index) => loadReport(rate, latencyUs[index] as number, errors)),
        found: undefined,
        split: undefined,
      },
    ],
    broken: undefined,
  };
}
