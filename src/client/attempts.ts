import type { Retries } from './retries.ts';
import { ScoreError } from './score-error.ts';
import type { Clock } from './types.ts';

/** Called once, with an error or a value, and not before the function returns that takes it. */
export type Done<T> = (error: ScoreError | undefined, value?: T) => void;

/** Tries once, with so many milliseconds left; returns what gives the attempt up, after which `done` may still be called. */
export type Attempt<T> = (deadlineMs: number, done: Done<T>) => () => void;

export type Limits = { deadlineMs: number; signal?: AbortSignal | undefined };

/** Tries until it goes well, must not be retried, is given up, or the deadline is there. Rejects with a ScoreError. */
export function attempts<T>(attempt: Attempt<T>, limits: Limits, retries: Retries, clock: Clock): Promise<T> {
  const { deadlineMs, signal } = limits;
  if (signal?.aborted) return Promise.reject(ScoreError.aborted(signal.reason));
  return new Promise((resolve, reject) => {
    const deadlineAtMs = clock.nowMs() + deadlineMs;
    let settled = false;
    let made = 0;
    let last: ScoreError | undefined;
    let giveUp = (): void => {};

    const settle = (error: ScoreError | undefined, value?: T): void => {
      settled = true;
      stopTimer();
      signal?.removeEventListener('abort', onAbort);
      if (error === undefined) resolve(value as T);
      else reject(error);
    };
    const stop = (error: ScoreError): void => {
      if (settled) return;
      settle(error);
      giveUp();
    };
    const onAbort = (): void => stop(ScoreError.aborted(signal?.reason));
    const start = (): void => {
      made++;
      giveUp = attempt(deadlineAtMs - clock.nowMs(), (error, value) => {
        if (settled) return;
        if (error === undefined) {
          retries.succeeded();
          settle(undefined, value);
          return;
        }
        last = error;
        const waitMs = retries.waitMs(error, made, deadlineAtMs);
        if (waitMs === undefined) settle(error);
        else giveUp = clock.after(waitMs, start);
      });
    };

    const stopTimer = afterMs(clock, deadlineMs, () => stop(tooLate(deadlineMs, last)));
    signal?.addEventListener('abort', onAbort);
    start();
  });
}

/** The error of a call whose time is over. `last` is what an earlier attempt failed with. */
export function tooLate(deadlineMs: number, last: ScoreError | undefined): ScoreError {
  const before = last === undefined ? '' : `; an attempt before: ${last.code}: ${last.message}`;
  return new ScoreError('DEADLINE_EXCEEDED', `no answer within ${deadlineMs} ms${before}`, {
    reason: 'CLIENT_DEADLINE',
    cause: last,
  });
}

/** Node's timers take no more than this; who has so much time needs no timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

function afterMs(clock: Clock, ms: number, callback: () => void): () => void {
  return ms > MAX_TIMER_MS ? () => {} : clock.after(ms, callback);
}
