import { expect, test } from 'vitest';
import type { FlowPlan, LoadShape } from '../../../src/bench/plan.ts';
import { Recorder } from '../../../src/bench/recorder.ts';
import { OK, RESOURCE_EXHAUSTED, UNAVAILABLE } from '../../../src/bench/status.ts';

const START_US = 1_000_000;
const END_US = 3_000_000;

function recorder(shape: LoadShape): Recorder {
  const plan: FlowPlan = { name: 'x', path: '/x', messages: [], connections: 1, shape, sampleEvery: 0 };
  return new Recorder(plan, START_US, END_US);
}

const closed: LoadShape = { kind: 'closed', inFlight: 1 };
const open: LoadShape = {
  kind: 'open',
  arrivals: { process: 'even', ratePerSecond: 1 },
  maxInFlight: 1,
};

test('closed loop: calls belong to the time in which they ended', () => {
  const calls = recorder(closed);
  calls.finished(999_000, 1_000_500, OK, '');
  calls.finished(990_000, 999_999, OK, '');
  calls.finished(2_999_999, 3_000_000, OK, '');
  const report = calls.report();
  expect(report.calls).toBe(1);
  expect(report.answeredPerSecond).toBe(0.5);
  expect(report.offeredPerSecond).toBeUndefined();
  expect(report.answers.p50Us).toBeCloseTo(1_500, -1);
});

test('open loop: calls belong to the time in which they were meant to start, throughput to that in which they ended', () => {
  const calls = recorder(open);
  calls.finished(999_999, 1_000_500, OK, '');
  calls.finished(2_999_999, 9_000_000, OK, '');
  const report = calls.report();
  expect(report.calls).toBe(1);
  expect(report.offeredPerSecond).toBe(0.5);
  expect(report.answeredPerSecond).toBe(0.5);
  expect(report.answers.p50Us / 1e6).toBeCloseTo(6, 1);
});

test('answers, refusals and failures are kept apart', () => {
  const calls = recorder(open);
  calls.finished(1_000_000, 1_000_100, OK, '');
  calls.finished(1_000_000, 1_000_200, RESOURCE_EXHAUSTED, 'full');
  calls.finished(1_000_000, 1_000_200, RESOURCE_EXHAUSTED, 'fuller');
  calls.finished(2_000_000, 2_000_300, UNAVAILABLE, 'gone');
  const report = calls.report();
  expect([report.answers.count, report.refusals.count, report.failures.count]).toEqual([1, 2, 1]);
  expect(report.errors).toEqual({ RESOURCE_EXHAUSTED: 2, UNAVAILABLE: 1 });
  expect(report.errorDetails).toEqual({ RESOURCE_EXHAUSTED: 'full', UNAVAILABLE: 'gone' });
  expect(report.perSecond).toEqual([
    { answered: 1, failed: 2, maxUs: 100 },
    { answered: 0, failed: 1, maxUs: 0 },
  ]);
});

test('samples lose the prefix', () => {
  const calls = recorder(closed);
  calls.sampled(7, Uint8Array.from([0, 0, 0, 0, 2, 8, 9]));
  expect(calls.report().samples).toEqual([{ message: 7, answer: Uint8Array.from([8, 9]) }]);
});
