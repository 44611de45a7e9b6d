// Scopes and stored scores for tests that care about some of their fields.
import type { ScoreScope, StoredScore } from '../../src/scores/score-store.ts';

export function aScope(fields: Partial<ScoreScope> = {}): ScoreScope {
  return { model: 'churn', version: 1, digest: 'd1', view: 'v1', ...fields };
}

export function aScore(fields: Partial<StoredScore> = {}): StoredScore {
  return {
    score: 0.5,
    label: -1,
    outputs: undefined,
    scoredAtMs: 0,
    featuresAsOfMs: 0,
    keptUntilMs: Number.MAX_SAFE_INTEGER,
    job: '',
    ...fields,
  };
}
