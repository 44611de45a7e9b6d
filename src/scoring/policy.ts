// Which answer a call gets, from what is known of it: pure functions, and the only place where that is decided.
import type { ErrorKind } from '../errors.ts';

/** Where scores may come from, in that order. */
export type ScoringPolicy = 'precomputed_first' | 'real_time_only' | 'precomputed_only';

/** What holds for stored scores in one call. */
export type StalenessLimits = {
  /** An older one is no answer, ... */
  freshForMs: number;
  /** ... unless this holds, and the model can't answer in time. */
  staleAllowed: boolean;
};

/** What a look-up leads to. `nothing`: the store was all that was asked, and has no answer. */
export type AfterLookUp = 'precomputed' | 'stale' | 'compute' | 'nothing';

/** What is left where the model gave no answer. */
export type AfterFailure = 'stale' | 'default' | 'error';

/** A row makes it real-time; an entity alone asks the store first. */
export function policyOf(asked: ScoringPolicy | undefined, hasRow: boolean): ScoringPolicy {
  return asked ?? (hasRow ? 'real_time_only' : 'precomputed_first');
}

/**
 * The limits of a call: its own, or the model's. A call that sets its own limit wants nothing older unless it says so.
 * @param maxStalenessMs the call's; undefined: none
 * @param allowStale the call's; undefined: it doesn't say
 */
export function limitsOf(
  model: { freshForMs: number; allowStale: boolean },
  maxStalenessMs: number | undefined,
  allowStale: boolean | undefined,
): StalenessLimits {
  return {
    freshForMs: maxStalenessMs ?? model.freshForMs,
    staleAllowed: allowStale ?? (maxStalenessMs === undefined && model.allowStale),
  };
}

/** @param ageMs of the stored score; undefined: there is none. Where clocks differ it may be below 0, which is fresh. */
export function afterLookUp(
  policy: Exclude<ScoringPolicy, 'real_time_only'>,
  ageMs: number | undefined,
  { freshForMs, staleAllowed }: StalenessLimits,
): AfterLookUp {
  if (ageMs !== undefined && ageMs <= freshForMs) return 'precomputed';
  if (policy === 'precomputed_first') return 'compute';
  // The model is not asked, so it can't answer in time either.
  return ageMs !== undefined && staleAllowed ? 'stale' : 'nothing';
}

/** Failures that an older score or a default may stand in for: not those that the caller or a fault of ours is to blame for. */
const COVERED: readonly ErrorKind[] = ['overloaded', 'unavailable', 'deadline_exceeded'];

/** An entity whose features can't be found is no mistake of the caller. */
const COVERED_REASONS: readonly string[] = ['MISSING_FEATURES', 'NO_FEATURES', 'SCORE_NOT_FOUND'];

/**
 * What a caller is told where the model gave no answer: an entity whose features aren't known may have a stored score all the same, if
 * only the store had answered.
 * @param lookUp why the store did not; undefined: it did
 */
export function blamed<Failure extends { reason: string }>(error: Failure, lookUp: Failure | undefined): Failure {
  return lookUp !== undefined && COVERED_REASONS.includes(error.reason) ? lookUp : error;
}

/**
 * @param error why the model gave no answer
 * @param hasStale whether the store has a score, be it an old one
 * @param hasDefault whether the model has a default score, and the call is about an entity
 */
export function afterFailure(
  error: { kind: ErrorKind; reason: string },
  hasStale: boolean,
  { staleAllowed }: StalenessLimits,
  hasDefault: boolean,
): AfterFailure {
  if (!COVERED.includes(error.kind) && !COVERED_REASONS.includes(error.reason)) return 'error';
  if (hasStale && staleAllowed) return 'stale';
  return hasDefault ? 'default' : 'error';
}
