// What a client goes by: its options where they are given, the defaults where they are not.
import { systemClock } from './system-clock.ts';
import type { Clock, ConnectOptions, RetryOptions } from './types.ts';

export type ClientSettings = {
  deadlineMs: number;
  bulkDeadlineMs: number;
  multiplex: boolean;
  streams: number;
  maxQueued: number;
  /** undefined: nothing is retried. */
  retry: Required<RetryOptions> | undefined;
  clock: Clock;
  random: () => number;
};

/** @throws RangeError for an option that makes no sense */
export function settingsOf(options: ConnectOptions): ClientSettings {
  return {
    deadlineMs: positive('deadlineMs', options.deadlineMs ?? 1_000),
    bulkDeadlineMs: positive('bulkDeadlineMs', options.bulkDeadlineMs ?? 60_000),
    multiplex: options.multiplex ?? true,
    streams: whole('streams', options.streams ?? 2),
    maxQueued: whole('maxQueued', options.maxQueued ?? 10_000),
    retry: options.retry === false ? undefined : retryOf(options.retry ?? {}),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
}

function retryOf(options: RetryOptions): Required<RetryOptions> {
  return {
    maxAttempts: whole('retry.maxAttempts', options.maxAttempts ?? 5),
    initialBackoffMs: positive('retry.initialBackoffMs', options.initialBackoffMs ?? 20),
    maxBackoffMs: positive('retry.maxBackoffMs', options.maxBackoffMs ?? 1_000),
    budgetTokens: positive('retry.budgetTokens', options.budgetTokens ?? 10),
    tokensPerSuccess: positive('retry.tokensPerSuccess', options.tokensPerSuccess ?? 0.1),
  };
}

/** @throws RangeError */
export function positive(name: string, value: number): number {
  if (value > 0) return value;
  throw new RangeError(`${name}: expected a number above 0, found ${value}`);
}

/** @throws RangeError */
export function whole(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new RangeError(`${name}: expected a whole number above 0, found ${value}`);
}
