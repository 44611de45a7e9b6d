import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, Retries } from '../../../src/client/retries.ts';
import { RetryBudget } from '../../../src/client/retry-budget.ts';
import { ScoreError } from '../../../src/client/score-error.ts';
import { settingsOf } from '../../../src/client/settings.ts';
import type { RetryOptions, StatusName } from '../../../src/client/types.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const NEVER = Number.POSITIVE_INFINITY;

function retries(options: RetryOptions | false = {}, random = 1): { retries: Retries; clock: FakeClock } {
  const clock = new FakeClock();
  return { retries: new Retries(settingsOf({ retry: options }).retry, clock, () => random), clock };
}

const failure = (code: StatusName, retryAfterMs?: number) => new ScoreError(code, 'no', { retryAfterMs });

describe('the budget', () => {
  test('allows retries until half of it is gone', () => {
    const budget = new RetryBudget(10, 0.1);
    const allowed = Array.from({ length: 7 }, () => {
      budget.failed();
      return budget.allows;
    });
    expect(allowed).toEqual([true, true, true, true, false, false, false]);
  });

  test('fills up by successes, and no further than it was', () => {
    const budget = new RetryBudget(4, 0.5);
    for (let i = 0; i < 100; i++) budget.succeeded();
    budget.failed();
    expect(budget.allows).toBe(true);
    budget.failed();
    expect(budget.allows).toBe(false);
    budget.succeeded();
    expect(budget.allows).toBe(true);
  });

  test('never owes anything: it recovers from any number of failures alike', () => {
    const budget = new RetryBudget(2, 1);
    for (let i = 0; i < 1000; i++) budget.failed();
    budget.succeeded();
    expect(budget.allows).toBe(false);
    budget.succeeded();
    expect(budget.allows).toBe(true);
  });
});

describe('the backoff', () => {
  const limits = { initialBackoffMs: 20, maxBackoffMs: 1000 };

  test('doubles up to its limit', () => {
    expect([1, 2, 3, 6, 7, 50].map((attempt) => backoffMs(attempt, limits, 1))).toEqual([20, 40, 80, 640, 1000, 1000]);
  });

  test('is between half of its step and all of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
        const stepMs = backoffMs(attempt, limits, 1);
        const waitMs = backoffMs(attempt, limits, random);
        return waitMs >= stepMs / 2 && waitMs <= stepMs;
      }),
    );
    expect(backoffMs(1, limits, 0)).toBe(10);
  });
});

describe('retries', () => {
  test.each<[StatusName, boolean]>([
    ['UNAVAILABLE', true],
    ['RESOURCE_EXHAUSTED', false],
    ['INVALID_ARGUMENT', false],
    ['NOT_FOUND', false],
    ['FAILED_PRECONDITION', false],
    ['DEADLINE_EXCEEDED', false],
    ['CANCELLED', false],
    ['UNIMPLEMENTED', false],
    ['INTERNAL', false],
    ['UNKNOWN', false],
  ])('%s: %s', (code, retried) => {
    expect(retries().retries.waitMs(failure(code), 1, NEVER) !== undefined).toBe(retried);
  });

  test('wait as long as the server says, also where it is overloaded', () => {
    expect(retries().retries.waitMs(failure('RESOURCE_EXHAUSTED', 70), 1, NEVER)).toBe(70);
    expect(retries().retries.waitMs(failure('UNAVAILABLE', 0), 3, NEVER)).toBe(0);
    expect(retries().retries.waitMs(failure('INVALID_ARGUMENT', 70), 1, NEVER)).toBeUndefined();
  });

  test('are not made where the server wants none', () => {
    expect(retries().retries.waitMs(failure('UNAVAILABLE', NEVER), 1, NEVER)).toBeUndefined();
  });

  test('end before the deadline', () => {
    const { retries: made, clock } = retries();
    clock.skip(1000);
    expect(made.waitMs(failure('UNAVAILABLE'), 1, 1021)).toBe(20);
    expect(made.waitMs(failure('UNAVAILABLE'), 1, 1020)).toBeUndefined();
  });

  test('end after so many attempts', () => {
    const { retries: made } = retries({ maxAttempts: 3 });
    expect(made.waitMs(failure('UNAVAILABLE'), 2, NEVER)).toBe(40);
    expect(made.waitMs(failure('UNAVAILABLE'), 3, NEVER)).toBeUndefined();
  });

  test('end with the budget, and begin again after successes', () => {
    const { retries: made } = retries({ budgetTokens: 4, tokensPerSuccess: 1 });
    expect(made.waitMs(failure('UNAVAILABLE'), 1, NEVER)).toBeDefined();
    expect(made.waitMs(failure('UNAVAILABLE'), 1, NEVER)).toBeUndefined();
    made.succeeded();
    made.succeeded();
    expect(made.waitMs(failure('UNAVAILABLE'), 1, NEVER)).toBeDefined();
  });

  test('a failure that many calls share counts once', () => {
    const { retries: made } = retries({ budgetTokens: 4 });
    const shared = failure('UNAVAILABLE');
    for (let i = 0; i < 100; i++) expect(made.waitMs(shared, 1, NEVER)).toBeDefined();
    expect(made.waitMs(failure('UNAVAILABLE'), 1, NEVER)).toBeUndefined();
  });

  test('what must not be retried takes nothing from the budget', () => {
    const { retries: made } = retries({ budgetTokens: 4 });
    for (let i = 0; i < 100; i++) made.waitMs(failure('INVALID_ARGUMENT'), 1, NEVER);
    expect(made.waitMs(failure('UNAVAILABLE'), 1, NEVER)).toBeDefined();
  });

  test('can be switched off', () => {
    expect(retries(false).retries.waitMs(failure('UNAVAILABLE'), 1, NEVER)).toBeUndefined();
  });
});
