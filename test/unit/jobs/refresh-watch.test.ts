// Jobs that a server runs by itself, and those that are late, on a clock of the test's.
import { describe, expect, it } from 'vitest';
import type { JobDefinition } from '../../../src/config/job-definition.ts';
import { ScorewireError } from '../../../src/errors.ts';
import type { JobRuns } from '../../../src/jobs/job-runs.ts';
import { RefreshWatch } from '../../../src/jobs/refresh-watch.ts';
import { Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { testLog } from '../../support/test-server.ts';

const MINUTE = 60_000;

function setUp(definition: Partial<JobDefinition>) {
  let nowMs = 1_000_000_000_000;
  let look = (): void => {};
  const state = {
    succeededMs: 0,
    started: 0,
    running: false,
    last: undefined as { state: string; message: string } | undefined,
  };
  const runs = {
    start: () => {
      if (state.running) throw new ScorewireError('failed_precondition', 'JOB_RUNNING', 'it is running');
      state.started++;
    },
    succeededMs: () => state.succeededMs,
    list: () => [{ name: 'nightly', last: state.last }],
  } as unknown as JobRuns;
  const metrics = createMetrics(new Registry());
  const { log, lines } = testLog();
  const clock = {
    now: () => nowMs,
    every: (_ms: number, callback: () => void) => {
      look = callback;
      return () => {
        look = () => {};
      };
    },
  };
  const jobs = new Map([
    ['nightly', { everySeconds: undefined, lateAfterSeconds: undefined, ...definition } as JobDefinition],
  ]);
  const watch = new RefreshWatch(jobs, runs, metrics, log, clock);
  const pass = (ms: number): void => {
    nowMs += ms;
    look();
  };
  const late = (): number => [...metrics.jobLate.observers()].map(({ read }) => read())[0] ?? 0;
  return { watch, state, pass, lines, late, succeed: () => Object.assign(state, { succeededMs: nowMs }) };
}

describe('a job with an interval', () => {
  it('runs at start, and then as often as it says', () => {
    const { state, pass } = setUp({ everySeconds: 900, lateAfterSeconds: 1800 });
    expect(state.started).toBe(1);
    pass(14 * MINUTE);
    expect(state.started).toBe(1);
    pass(MINUTE);
    expect(state.started).toBe(2);
    pass(15 * MINUTE);
    expect(state.started).toBe(3);
  });

  it('is not run beside itself, and the server goes on', () => {
    const { state, pass, lines } = setUp({ everySeconds: 900, lateAfterSeconds: 1800 });
    state.running = true;
    pass(15 * MINUTE);
    expect(lines.at(-1)).toMatchObject({ level: 'warn', msg: 'job nightly could not be started' });
    state.running = false;
    pass(15 * MINUTE);
    expect(state.started).toBe(2);
  });

  it('runs no more once the watch ended', () => {
    const { state, watch, pass } = setUp({ everySeconds: 900, lateAfterSeconds: 1800 });
    watch.end();
    pass(60 * MINUTE);
    expect(state.started).toBe(1);
  });
});

describe('a job that is late', () => {
  it('shows in health, metric and, once, the log, until it succeeds', () => {
    const { watch, pass, lines, late, succeed } = setUp({ lateAfterSeconds: 3600 });
    pass(60 * MINUTE);
    expect([watch.problems(), late()]).toEqual([[], 0]);
    pass(MINUTE);
    pass(MINUTE);
    expect(watch.problems()).toEqual([
      'job nightly is late: 62 min since the server started, without a success; at most 60 min are expected',
    ]);
    expect(late()).toBe(1);
    expect(lines.filter(({ msg }) => msg.startsWith('job nightly is late'))).toHaveLength(1);
    succeed();
    pass(MINUTE);
    expect([watch.problems(), late()]).toEqual([[], 0]);
    pass(60 * MINUTE);
    expect(watch.problems()).toEqual([
      'job nightly is late: 61 min since its last success; at most 60 min are expected',
    ]);
  });

  it('that failed says why, be it that nobody expects it at a time', () => {
    const { watch, state } = setUp({});
    state.last = { state: 'failed', message: 'input: customers.parquet: no such file' };
    expect(watch.problems()).toEqual(['job nightly: its last run failed: input: customers.parquet: no such file']);
  });
});
