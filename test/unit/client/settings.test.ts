import { expect, test } from 'vitest';
import { settingsOf } from '../../../src/client/settings.ts';
import type { ConnectOptions } from '../../../src/client/types.ts';

test('what is not said has a default', () => {
  expect(settingsOf({ streams: 4 })).toMatchObject({
    deadlineMs: 1000,
    bulkDeadlineMs: 60_000,
    multiplex: true,
    streams: 4,
    maxQueued: 10_000,
    retry: { maxAttempts: 5, initialBackoffMs: 20, maxBackoffMs: 1000, budgetTokens: 10, tokensPerSuccess: 0.1 },
  });
  expect(settingsOf({ retry: false }).retry).toBeUndefined();
  expect(settingsOf({ retry: { maxAttempts: 2 } }).retry).toMatchObject({ maxAttempts: 2, initialBackoffMs: 20 });
  expect(settingsOf({ deadlineMs: Number.POSITIVE_INFINITY }).deadlineMs).toBe(Number.POSITIVE_INFINITY);
});

test.each<[string, ConnectOptions]>([
  ['deadlineMs', { deadlineMs: 0 }],
  ['deadlineMs', { deadlineMs: Number.NaN }],
  ['bulkDeadlineMs', { bulkDeadlineMs: -1 }],
  ['streams', { streams: 0 }],
  ['streams', { streams: 1.5 }],
  ['maxQueued', { maxQueued: 0 }],
  ['retry.maxAttempts', { retry: { maxAttempts: 0 } }],
  ['retry.budgetTokens', { retry: { budgetTokens: 0 } }],
])('%s that makes no sense', (name, options) => {
  expect(() => settingsOf(options)).toThrow(RangeError);
  expect(() => settingsOf(options)).toThrow(new RegExp(`^${name.replace('.', '\\.')}: expected a `));
});
