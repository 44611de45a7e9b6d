import { describe, expect, test } from 'vitest';
import { compareResults, welchInterval } from '../../../src/bench/compare.ts';
import { closedResult } from '../../support/bench-result.ts';

describe("Welch's interval", () => {
  test('of two samples: t = 2.46 with 24.99 degrees of freedom, rounded down to 24', () => {
    const a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4];
    const b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4];
    const [low, high] = welchInterval(a, b) as [number, number];
    expect(low).toBeCloseTo(0.345, 3);
    expect(high).toBeCloseTo(3.988, 3);
  });

  test('none of one value', () => expect(welchInterval([1], [1, 2])).toBeUndefined());
});

test('the same twice: nothing is worse', () => {
  const result = closedResult([1000, 1010, 990], [500, 505, 495]);
  const { comparisons, missing, warnings } = compareResults(result, result, 0.1);
  expect(comparisons.filter(({ regressed }) => regressed)).toEqual([]);
  expect([missing, warnings]).toEqual([[], []]);
});

test('slower by 20 % beyond doubt: throughput and latency are worse', () => {
  const before = closedResult([1000, 1010, 990], [500, 505, 495]);
  const after = closedResult([800, 808, 792], [600, 606, 594]);
  const worse = compareResults(before, after, 0.1).comparisons.filter(({ regressed }) => regressed);
  expect(worse.map(({ metric }) => metric.name)).toEqual(['throughput', 'p50', 'p99', 'server CPU a call']);
  const [throughput] = worse;
  expect(throughput?.worseBy).toBeCloseTo(0.2, 2);
  expect(throughput?.interval?.[0]).toBeGreaterThan(0.17);
  expect(throughput?.interval?.[1]).toBeLessThan(0.23);
});

test('slower by 20 % that may be chance is not', () => {
  const before = closedResult([1000, 1600, 700], [500, 900, 300]);
  const after = closedResult([800, 1300, 600], [600, 1100, 350]);
  expect(compareResults(before, after, 0.1).comparisons.some(({ regressed }) => regressed)).toBe(false);
});

test('measured once each: by the figures alone', () => {
  const { comparisons } = compareResults(closedResult([1000], [500]), closedResult([850], [500]), 0.1);
  const throughput = comparisons.find(({ metric }) => metric.name === 'throughput');
  expect(throughput).toMatchObject({ interval: undefined, regressed: true });
});

test('faster is not worse', () => {
  const { comparisons } = compareResults(
    closedResult([1000, 1001], [500, 501]),
    closedResult([2000, 2002], [250, 251]),
    0,
  );
  expect(comparisons.some(({ regressed }) => regressed)).toBe(false);
});

test('more errors are worse, in points and not by ratio', () => {
  const before = closedResult([1000, 1000], [500, 500]);
  const { comparisons } = compareResults(before, closedResult([1000, 1000], [500, 500], 0.02), 0.5);
  expect(comparisons.filter(({ regressed }) => regressed).map(({ metric }) => metric.name)).toEqual(['errors']);
});

test('a scenario that is gone, and what makes two runs incomparable', () => {
  const before = closedResult([1000], [500]);
  const after = { ...closedResult([1000], [500]), scenarios: [] };
  after.target = { ...after.target, model: 'another' };
  after.settings = { ...after.settings, inFlight: 8 };
  const { missing, warnings } = compareResults(before, after, 0.1);
  expect(missing).toEqual(['closed']);
  expect(warnings).toEqual(['not the same model: "churn" and "another"', 'not the same inFlight: 64 and 8']);
});

test('other calls than before: said, also of a result that is older than the choice', () => {
  const [unary, old, items] = [closedResult([1000], [500]), closedResult([1000], [500]), closedResult([1000], [500])];
  unary.settings = { ...unary.settings, rpc: { kind: 'unary' } };
  items.settings = { ...items.settings, rpc: { kind: 'stream', streams: 1, items: 4 } };
  expect(compareResults(old, unary, 0.1).warnings).toEqual([]);
  expect(compareResults(old, items, 0.1).warnings).toEqual([
    'not the same rpc: {"kind":"unary"} and {"kind":"stream","streams":1,"items":4}',
  ]);
});

test('nothing was answered any more: the figures that are gone are named', () => {
  const { missing } = compareResults(closedResult([1000, 1000], [500, 500]), closedResult([0, 0], [500, 500], 1), 0.1);
  expect(missing).toEqual(['closed, p50', 'closed, p99', 'closed, p99.9']);
});

test('what speaks against either side is said', () => {
  const after = closedResult([1000], [500]);
  const [report] = after.scenarios[0]?.reports ?? [];
  if (report !== undefined) report.client = { ...report.client, reasons: ['used 95 % of a core'] };
  expect(compareResults(closedResult([1000], [500]), after, 0.1).warnings).toEqual([
    'after, closed: the client is the limit: used 95 % of a core',
  ]);
});

test('latencies under different rates are not judged', () => {
  const server = (rate: number, latencyUs: number) => {
    const result = closedResult([rate], [latencyUs]);
    const scenarios = result.scenarios.map((scenario) => ({ ...scenario, name: 'server' as const }));
    return { ...result, settings: { ...result.settings, ratePerSecond: rate }, scenarios };
  };
  expect(compareResults(server(100, 100), server(50, 900), 0.1).comparisons.some(({ regressed }) => regressed)).toBe(
    false,
  );
  expect(compareResults(server(50, 100), server(50, 900), 0.1).comparisons.some(({ regressed }) => regressed)).toBe(
    true,
  );
});
