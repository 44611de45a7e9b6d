// The table of cases: what a call gets by what is known of it.
import { describe, expect, it } from 'vitest';
import type { ErrorKind } from '../../../src/errors.ts';
import {
  type AfterFailure,
  type AfterLookUp,
  afterFailure,
  afterLookUp,
  limitsOf,
  policyOf,
  type ScoringPolicy,
} from '../../../src/scoring/policy.ts';

const HOUR = 3_600_000;

describe('where a score may come from', () => {
  it.each<[ScoringPolicy | undefined, boolean, ScoringPolicy]>([
    [undefined, true, 'real_time_only'],
    [undefined, false, 'precomputed_first'],
    ['precomputed_first', true, 'precomputed_first'],
    ['precomputed_only', true, 'precomputed_only'],
    ['real_time_only', false, 'real_time_only'],
    ['precomputed_only', false, 'precomputed_only'],
  ])('asked %s, with a row %s: %s', (asked, hasRow, expected) => {
    expect(policyOf(asked, hasRow)).toBe(expected);
  });
});

describe('limits', () => {
  it.each<[string, number | undefined, boolean | undefined, boolean, number, boolean]>([
    ['the model allows stale', undefined, undefined, true, 12 * HOUR, true],
    ['the model does not', undefined, undefined, false, 12 * HOUR, false],
    ['a limit of the call means no', HOUR, undefined, true, HOUR, false],
    ['unless it says so beside it', HOUR, true, false, HOUR, true],
    ['the call allows what the model does not', undefined, true, false, 12 * HOUR, true],
    ['the call forbids what the model allows', undefined, false, true, 12 * HOUR, false],
    ['no age at all', 0, undefined, false, 0, false],
  ])('%s', (_, maxStalenessMs, allowStale, modelAllows, freshForMs, staleAllowed) => {
    const model = { freshForMs: 12 * HOUR, allowStale: modelAllows };
    expect(limitsOf(model, maxStalenessMs, allowStale)).toEqual({ freshForMs, staleAllowed });
  });
});

describe('after the look-up', () => {
  it.each<[Exclude<ScoringPolicy, 'real_time_only'>, string, number | undefined, boolean, AfterLookUp]>([
    ['precomputed_first', 'fresh', HOUR, false, 'precomputed'],
    ['precomputed_first', 'as old as it may be', 12 * HOUR, false, 'precomputed'],
    ['precomputed_first', 'from a clock that is ahead', -5, false, 'precomputed'],
    ['precomputed_first', '13 h old, limit 12 h', 13 * HOUR, false, 'compute'],
    ['precomputed_first', 'old, and allowed to be', 13 * HOUR, true, 'compute'],
    ['precomputed_first', 'absent', undefined, true, 'compute'],
    ['precomputed_only', 'fresh', HOUR, false, 'precomputed'],
    ['precomputed_only', 'old', 13 * HOUR, false, 'nothing'],
    ['precomputed_only', 'old, and allowed to be', 13 * HOUR, true, 'stale'],
    ['precomputed_only', 'absent', undefined, true, 'nothing'],
  ])('%s, %s', (policy, _, ageMs, staleAllowed, expected) => {
    expect(afterLookUp(policy, ageMs, { freshForMs: 12 * HOUR, staleAllowed })).toBe(expected);
  });
});

describe('where the model gave no answer', () => {
  const error = (kind: ErrorKind, reason = '') => ({ kind, reason });

  it.each<[string, ReturnType<typeof error>, boolean, boolean, boolean, AfterFailure]>([
    ['overload, an old score that is allowed', error('overloaded'), true, true, true, 'stale'],
    ['overload, an old score that is not', error('overloaded'), true, false, true, 'default'],
    ['overload, nothing stored', error('overloaded'), false, true, true, 'default'],
    ['overload, nothing at all', error('overloaded'), false, true, false, 'error'],
    ['overload, an old score that is not allowed, no default', error('overloaded'), true, false, false, 'error'],
    ['out of time', error('deadline_exceeded'), true, true, false, 'stale'],
    ['a worker or the features gone', error('unavailable'), true, true, false, 'stale'],
    ['features missing', error('invalid_argument', 'MISSING_FEATURES'), false, false, true, 'default'],
    ['no score stored', error('not_found', 'SCORE_NOT_FOUND'), false, false, true, 'default'],
    ['no such model', error('not_found', 'MODEL_NOT_FOUND'), true, true, true, 'error'],
    ['a wrong request', error('invalid_argument', 'INVALID_FIELD'), true, true, true, 'error'],
    ['a fault of ours', error('internal', 'FAULT'), true, true, true, 'error'],
    ['a caller who left', error('cancelled'), true, true, true, 'error'],
  ])('%s', (_, failure, hasStale, staleAllowed, hasDefault, expected) => {
    expect(afterFailure(failure, hasStale, { freshForMs: 0, staleAllowed }, hasDefault)).toBe(expected);
  });
});
