// A call of the client that must fail.
import { ScoreError } from '../../src/client/score-error.ts';

/** What it failed with; fails itself where it didn't. */
export async function scoreFailureOf(call: Promise<unknown>): Promise<ScoreError> {
  const error = await call.then(
    () => new Error('it succeeded, and should have failed'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ScoreError)) throw error;
  return error;
}
