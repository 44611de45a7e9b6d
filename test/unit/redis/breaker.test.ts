import { expect, test } from 'vitest';
import { Breaker, type BreakerState } from '../../../src/redis/breaker.ts';

const RULE = { failures: 3, openForMs: 100, openForAtMostMs: 350 };

function breakerAt(clock: { ms: number }) {
  const states: BreakerState[] = [];
  return {
    breaker: new Breaker(
      RULE,
      () => clock.ms,
      (state) => states.push(state),
    ),
    states,
  };
}

function fail(breaker: Breaker, times: number): void {
  for (let i = 0; i < times; i++) breaker.failed();
}

test('opens after failures in a row, and not before', () => {
  const { breaker } = breakerAt({ ms: 0 });
  fail(breaker, 2);
  expect(breaker.allows()).toBe(true);
  fail(breaker, 1);
  expect(breaker.allows()).toBe(false);
});

test('a success in between begins the count anew', () => {
  const { breaker } = breakerAt({ ms: 0 });
  fail(breaker, 2);
  breaker.succeeded();
  fail(breaker, 2);
  expect(breaker.allows()).toBe(true);
});

test('after a while one call goes, and no other until it is known how that went', () => {
  const clock = { ms: 0 };
  const { breaker } = breakerAt(clock);
  fail(breaker, 3);
  clock.ms = 99;
  expect(breaker.allows()).toBe(false);
  clock.ms = 100;
  expect(breaker.allows()).toBe(true);
  expect(breaker.allows()).toBe(false);
  clock.ms = 10_000;
  expect(breaker.allows()).toBe(false);
});

test('a probe that succeeds closes it, one that fails keeps it open for twice as long, up to the most', () => {
  const clock = { ms: 0 };
  const { breaker, states } = breakerAt(clock);
  fail(breaker, 3);
  const openForMs: number[] = [];
  for (let probe = 0; probe < 4; probe++) {
    const openedMs = clock.ms;
    while (!breaker.allows()) clock.ms++;
    openForMs.push(clock.ms - openedMs);
    breaker.failed();
  }
  expect(openForMs).toEqual([100, 200, 350, 350]);
  clock.ms += 350;
  breaker.allows();
  breaker.succeeded();
  expect(breaker.allows()).toBe(true);
  expect(states.slice(0, 3)).toEqual(['open', 'half-open', 'open']);
  expect(states.at(-1)).toBe('closed');
  // As long as at first, the next time.
  fail(breaker, 3);
  clock.ms += 100;
  expect(breaker.allows()).toBe(true);
});

test('what was sent before it opened and fails later does not put the probe off', () => {
  const clock = { ms: 0 };
  const { breaker } = breakerAt(clock);
  fail(breaker, 3);
  clock.ms = 60;
  fail(breaker, 5);
  clock.ms = 100;
  expect(breaker.allows()).toBe(true);
});

test('an answer that comes late closes it', () => {
  const { breaker } = breakerAt({ ms: 0 });
  fail(breaker, 3);
  breaker.succeeded();
  expect(breaker.allows()).toBe(true);
});
