import { expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { toInferError } from '../../../src/inference/infer-error.ts';

test.each([
  ['overloaded', 'QUEUE_FULL', true, '[request id: 7] Exceeds maximum queue size'],
  ['overloaded', 'OVERLOADED', false, '[request id: 7] Exceeds maximum queue size'],
  // The queue says at once that the request's own timeout will pass in it.
  ['overloaded', 'OVERLOADED', true, 'Request timeout expired'],
  ['deadline_exceeded', 'DEADLINE_EXPIRED_IN_QUEUE', true, 'Request timeout expired'],
] as const)('%s, %s, own timeout %s: %s', (kind, reason, timedOut, message) => {
  const error = toInferError(new ScorewireError(kind, reason, 'why'), '7', timedOut);
  expect({ kind: error.kind, reason: error.reason, message: error.message }).toEqual({
    kind: 'unavailable',
    reason,
    message,
  });
  expect(error.details.metadata?.detail).toBe('why');
});

test('a deadline of the call is one', () => {
  const late = new ScorewireError('deadline_exceeded', 'DEADLINE_EXPIRED', 'late');
  expect(toInferError(late, '7', false)).toBe(late);
});
