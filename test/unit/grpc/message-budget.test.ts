import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MessageBudget } from '../../../src/grpc/message-budget.ts';

const MIB = 1024 * 1024;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test('takes what there is room for', () => {
  const budget = new MessageBudget(10);
  expect([budget.take(7), budget.take(4), budget.take(3)]).toEqual([true, false, true]);
  budget.giveBack(7);
  expect(budget.take(7)).toBe(true);
});

test('a buffer that came back is lent again, for a message of about its size', () => {
  const budget = new MessageBudget(1024 * MIB);
  const first = budget.lend(50 * MIB + 5);
  expect(first.length).toBeGreaterThanOrEqual(50 * MIB + 5);
  expect(first.length).toBeLessThan(1.13 * 50 * MIB);
  // While it is lent there is another one for others.
  const isFirst = (bytes: number): boolean => budget.lend(bytes) === first;
  expect(isFirst(50 * MIB + 5)).toBe(false);
  budget.return(first);
  expect([2, 49, 49].map((mib) => isFirst(mib * MIB))).toEqual([false, true, false]);
});

test('no more is kept than two of the largest, and nothing for long', () => {
  const budget = new MessageBudget(1024 * MIB);
  const buffers = [0, 1, 2].map(() => budget.lend(64 * MIB));
  for (const buffer of buffers) budget.return(buffer);
  const again = [0, 1, 2].map(() => budget.lend(64 * MIB));
  expect(again.filter((buffer) => buffers.includes(buffer))).toHaveLength(2);
  for (const buffer of again) budget.return(buffer);
  vi.advanceTimersByTime(60_000);
  expect(again.includes(budget.lend(64 * MIB))).toBe(false);
});
