// What one item or row among many failed with.

import { expect, test } from 'vitest';
import { invalidField, ScorewireError } from '../../../src/errors.ts';
import { RowError } from '../../../src/gen/scorewire/v1/scoring.ts';
import { toRowError } from '../../../src/grpc/status.ts';

/** As it arrives. */
const sent = (error: ScorewireError) => RowError.decode(RowError.encode(toRowError(error, 7, '', () => {})).finish());

test('says when to come back, where that is known', () => {
  const full = (retryAfterMs?: number) =>
    sent(new ScorewireError('overloaded', 'QUEUE_FULL', 'full', retryAfterMs === undefined ? {} : { retryAfterMs }));
  expect(full(1020)).toEqual({
    row: 7n,
    code: 8,
    reason: 'QUEUE_FULL',
    field: '',
    message: 'full',
    retryDelay: { seconds: 1n, nanos: 20_000_000 },
  });
  expect(full(0).retryDelay).toEqual({ seconds: 0n, nanos: 0 });
  expect(full().retryDelay).toBeUndefined();
});

test('names the first of the wrong fields', () => {
  const violations = [
    { field: 'row.named.values["a"]', description: 'expected a number' },
    { field: 'row.named.values["b"]', description: 'expected a number' },
  ];
  const error = new ScorewireError('invalid_argument', 'INVALID_ROW', 'a and b are wrong', { violations });
  expect(sent(error)).toMatchObject({ field: 'row.named.values["a"]', message: 'a and b are wrong' });
  expect(sent(invalidField('timeout', 'expected more'))).toMatchObject({
    field: 'timeout',
    message: 'timeout: expected more',
    retryDelay: undefined,
  });
});
