// What is made of the reports: merged over processes, held against limits, shown.
import { describe, expect, test } from 'vitest';
import { htmlReport } from '../../../src/bench/html-report.ts';
import { mergeReports } from '../../../src/bench/merge-reports.ts';
import { parseSlo } from '../../../src/bench/quantity.ts';
import { flowOf } from '../../../src/bench/report.ts';
import { doubtsOf, metricsOf } from '../../../src/bench/result.ts';
import { partOf, trialOf } from '../../../src/bench/scenario.ts';
import { brokenBy } from '../../../src/bench/slo.ts';
import { closedResult, loadReport } from '../../support/bench-result.ts';

test('two processes: counts add up, histograms merge, the server was one', () => {
  const [fast, slow] = [loadReport(1000, 100), loadReport(500, 900, 0.1)];
  const merged = mergeReports([fast, slow]);
  const flow = flowOf(merged);
  expect(flow).toMatchObject({
    calls: 2000,
    answeredPerSecond: 1500,
    errors: { RESOURCE_EXHAUSTED: 100 },
    connections: 2,
  });
  expect(flow.answers.count).toBe(1900);
  expect(flow.answers.p50Us).toBeCloseTo(100, 0);
  expect(flow.answers.p99Us).toBeGreaterThan(895);
  expect(merged.client.cpuShare).toBeCloseTo(0.2);
  // 0.1 s of CPU over 2,000 calls.
  expect(merged.server?.cpuUsPerCall).toBeCloseTo(50);
});

test('one process is its report', () => {
  const report = loadReport(1000, 100);
  expect(mergeReports([report])).toBe(report);
});

describe('parts of a load', () => {
  test('calls in flight add up', () => {
    const parts = [0, 1, 2].map((index) => partOf({ kind: 'closed', inFlight: 64 }, index, 3));
    expect(parts.map((part) => part.kind === 'closed' && part.inFlight)).toEqual([22, 21, 21]);
  });

  test('calls that go together stay together', () => {
    const parts = [0, 1, 2].map((index) => partOf({ kind: 'closed', inFlight: 70 }, index, 3, 16));
    expect(parts.map((part) => part.kind === 'closed' && part.inFlight)).toEqual([32, 16, 16]);
  });

  test('rates add up, and no two have the same arrivals', () => {
    const shape = {
      kind: 'open',
      arrivals: { process: 'poisson', ratePerSecond: 900, seed: 1 },
      maxInFlight: 10,
    } as const;
    const parts = [0, 1, 2].map((index) => partOf(shape, index, 3));
    expect(parts.map((part) => part.kind === 'open' && part.arrivals.ratePerSecond)).toEqual([300, 300, 300]);
    expect(
      new Set(parts.map((part) => part.kind === 'open' && 'seed' in part.arrivals && part.arrivals.seed)).size,
    ).toBe(3);
  });
});

describe('limits', () => {
  const slo = parseSlo('p99=1ms,errors=1%', '--slo');

  test('kept', () => expect(brokenBy(flowOf(loadReport(1000, 900)), slo)).toEqual([]));

  test('broken, each with what was found and what is allowed', () => {
    expect(brokenBy(flowOf(loadReport(1000, 2000, 0.05)), slo)).toEqual([
      expect.stringMatching(/^p99: 2\.00 ms, at most 1\.00 ms allowed$/),
      'errors: 5.0 %, at most 1.0 % allowed (50 RESOURCE_EXHAUSTED)',
    ]);
  });

  test('no answer breaks every latency', () => {
    expect(brokenBy(flowOf(loadReport(0, 100, 1)), slo)[0]).toBe('p99: no answer at all, at most 1.00 ms allowed');
  });
});

test('what speaks against a figure', () => {
  const [scenario] = closedResult([1000], [500]).scenarios;
  if (scenario === undefined) throw new Error('one scenario expected');
  expect(doubtsOf(scenario)).toEqual([]);
  const [report] = scenario.reports as [(typeof scenario.reports)[number]];
  report.client = { ...report.client, limited: true, reasons: ['used 95 % of a core'] };
  report.othersCpuShare = 0.5;
  expect(doubtsOf(scenario)).toEqual([
    'the client is the limit: used 95 % of a core',
    'other work took up to 50 % of a core',
  ]);
});

describe('calls that the server did not let start', () => {
  test('an open loop: their share, and what helps', () => {
    const [scenario] = closedResult([1000], [500]).scenarios;
    const flow = flowOf(scenario?.reports[0] as never);
    const arrivals = { process: 'poisson', ratePerSecond: 1000, seed: 1 } as const;
    Object.assign(flow, { shape: { kind: 'open', arrivals, maxInFlight: 10 }, heldBack: 500 });
    expect(doubtsOf(scenario as never)).toEqual([
      "50 % of the calls waited for a free stream: the server's limit on streams; give it more than 1 connection (--connections)",
    ]);
  });

  test('HTTP/1.1: a connection is what they waited for', () => {
    const [scenario] = closedResult([1000], [500]).scenarios;
    Object.assign(flowOf(scenario?.reports[0] as never), busyHttp1(8, 1000));
    expect(doubtsOf(scenario as never)).toEqual([
      '50 % of the calls waited for a free connection: one call at a time on each; give it more than 8 connections (--connections)',
    ]);
  });

  test.each([
    ['the connections', 8, 1000, true],
    ['a server that needs more than the bound for as many', 256, 1000, false],
    ['a server that answers nothing', 256, 0, false],
  ])('find-max, HTTP/1.1: the limit is %s', (_, connections, answeredPerSecond, limited) => {
    const report = loadReport(1000, 20_000);
    Object.assign(flowOf(report), busyHttp1(connections, answeredPerSecond));
    expect(trialOf(2000, report, parseSlo('p99=10ms', '--bound'))).toMatchObject({ kept: false, limited });
  });

  /** An open loop over HTTP/1.1 half of whose calls found every connection busy. */
  function busyHttp1(connections: number, answeredPerSecond: number): object {
    const arrivals = { process: 'poisson', ratePerSecond: 2000, seed: 1 };
    const shape = { kind: 'open', arrivals, maxInFlight: 10 };
    return { protocol: 'http1', shape, heldBack: 500, connections, answeredPerSecond };
  }

  test('items of streams: windows are what they waited for', () => {
    const [scenario] = closedResult([1000], [500]).scenarios;
    const flow = flowOf(scenario?.reports[0] as never);
    const arrivals = { process: 'poisson', ratePerSecond: 1000, seed: 1 } as const;
    const rpc = { kind: 'stream', streams: 1, items: 1 };
    Object.assign(flow, { rpc, shape: { kind: 'open', arrivals, maxInFlight: 10 }, heldBack: 500 });
    expect(doubtsOf(scenario as never)).toEqual([
      "50 % of the items waited for a window: the server's flow control; give it more than 1 connection (--connections)",
    ]);
  });

  test('a closed loop: how many were in flight indeed', () => {
    const [scenario] = closedResult([1000], [500]).scenarios;
    Object.assign(flowOf(scenario?.reports[0] as never), {
      shape: { kind: 'closed', inFlight: 3000 },
      answeredPerSecond: 100_000,
    });
    expect(doubtsOf(scenario as never)[0]).toMatch(/^only about 50 of 3000 calls were in flight/);
  });
});

test('figures by scenario', () => {
  const [scenario] = closedResult([1000, 1100], [500, 510]).scenarios;
  expect(metricsOf(scenario as never).map(({ name, values }) => [name, values.length])).toEqual([
    ['throughput', 2],
    ['p50', 2],
    ['p99', 2],
    ['p99.9', 2],
    ['server CPU a call', 2],
    ['errors', 2],
  ]);
});

test('batches: rows a second beside calls a second, of a search too', () => {
  const [scenario] = closedResult([10, 20], [500, 510]).scenarios;
  for (const report of scenario?.reports ?? []) flowOf(report).rpc = { kind: 'bulk', rows: 1000 };
  const figures = metricsOf(scenario as never).map(({ name, unit, values }) => ({ name, unit, values }));
  expect(figures.slice(0, 2)).toEqual([
    { name: 'throughput', unit: 'calls/s', values: [10, 20] },
    { name: 'rows', unit: 'rows/s', values: [10_000, 20_000] },
  ]);
  const found = { ratePerSecond: 12, brokenPerSecond: undefined, stoppedBy: undefined, trials: [] };
  expect(metricsOf({ ...scenario, found } as never).map(({ values }) => values)).toEqual([[12], [12_000]]);
});

describe('the report as HTML', () => {
  const result = closedResult([1000, 1100], [500, 510]);
  result.label = '<script>alert(1)</script>';
  const [scenario] = result.scenarios;
  if (scenario === undefined) throw new Error('one scenario expected');
  scenario.split = {
    parts: [
      {
        name: 'rows a batch',
        count: 20,
        mean: 1.5,
        buckets: [
          [1, 10],
          [2, 10],
          [null, 0],
        ],
      },
    ],
  };
  scenario.found = undefined;
  const html = htmlReport(result);

  test('needs nothing from anywhere, and shows names as text', () => {
    expect(html).not.toMatch(/<script|src=|href=|@import|url\(/);
    expect(html).toContain('&#60;script&#62;');
  });

  test('figures and curves', () => {
    expect(html.match(/<svg/g)).toHaveLength(2);
    for (const text of [
      'throughput',
      '1,050 calls/s',
      'Latency of the answers by percentile',
      'rows a batch: how often',
    ]) {
      expect(html).toContain(text);
    }
    expect(html).not.toContain('NaN');
  });

  test('a search: every rate that was tried', () => {
    const found = {
      ratePerSecond: 2000,
      brokenPerSecond: 2060,
      stoppedBy: undefined,
      trials: [
        { ratePerSecond: 1000, kept: true, p99Us: 900, errorShare: 0, limited: false },
        { ratePerSecond: 4000, kept: false, p99Us: 90_000, errorShare: 0, limited: false },
      ],
    };
    const searched = htmlReport({ ...result, scenarios: [{ ...scenario, name: 'find-max', found }] });
    expect(searched).toContain('Latency against throughput');
    expect(searched).toContain('2,000 calls/s');
  });
});
