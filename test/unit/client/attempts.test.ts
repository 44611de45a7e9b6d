import { beforeEach, describe, expect, test } from 'vitest';
import { type Attempt, attempts, type Done } from '../../../src/client/attempts.ts';
import { Retries } from '../../../src/client/retries.ts';
import { ScoreError } from '../../../src/client/score-error.ts';
import { settingsOf } from '../../../src/client/settings.ts';
import { FakeClock } from '../../support/fake-clock.ts';

let clock: FakeClock;
/** What was tried: how much time it had, and how to answer it. */
let tried: { deadlineMs: number; done: Done<string>; givenUp: boolean }[];

beforeEach(() => {
  clock = new FakeClock(500);
  tried = [];
});

const attempt: Attempt<string> = (deadlineMs, done) => {
  const made = { deadlineMs, done, givenUp: false };
  tried.push(made);
  return () => {
    made.givenUp = true;
  };
};

function start(deadlineMs = 1000, signal?: AbortSignal): Promise<string> {
  const retries = new Retries(settingsOf({}).retry, clock, () => 1);
  const call = attempts(attempt, { deadlineMs, signal }, retries, clock);
  // It may fail before the test looks.
  call.catch(() => {});
  return call;
}

/** What it failed with; fails itself where it didn't. */
async function failureOf(call: Promise<unknown>): Promise<ScoreError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ScoreError);
  return error as ScoreError;
}

const unavailable = () => new ScoreError('UNAVAILABLE', 'draining');

test('an answer ends it, and leaves no timer behind', async () => {
  const call = start();
  tried[0]?.done(undefined, 'a score');
  expect(await call).toBe('a score');
  expect(clock.nextTimerMs).toBeUndefined();
  expect(tried).toMatchObject([{ deadlineMs: 1000, givenUp: false }]);
});

test('what is unavailable is tried again after a while, with the time that is left', async () => {
  const call = start();
  clock.skip(100);
  tried[0]?.done(unavailable());
  expect(tried).toHaveLength(1);
  await clock.advance(19);
  expect(tried).toHaveLength(1);
  await clock.advance(1);
  expect(tried).toMatchObject([{}, { deadlineMs: 880 }]);
  tried[1]?.done(undefined, 'a score');
  expect(await call).toBe('a score');
});

test('other errors end it', async () => {
  const call = start();
  tried[0]?.done(new ScoreError('NOT_FOUND', 'no such model'));
  expect(await failureOf(call)).toMatchObject({ code: 'NOT_FOUND' });
  expect(clock.nextTimerMs).toBeUndefined();
});

test('after so many attempts the last error stands', async () => {
  const call = start();
  for (let made = 1; made <= 5; made++) {
    tried[made - 1]?.done(new ScoreError('UNAVAILABLE', `attempt ${made}`));
    await clock.advance(200);
  }
  expect(await failureOf(call)).toMatchObject({ code: 'UNAVAILABLE', message: 'attempt 5' });
  expect(tried).toHaveLength(5);
});

describe('the deadline', () => {
  test('ends it, gives the attempt up, and a late answer is dropped', async () => {
    const call = start(50);
    await clock.advance(50);
    expect(await failureOf(call)).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: 'no answer within 50 ms' });
    expect(tried).toMatchObject([{ givenUp: true }]);
    tried[0]?.done(undefined, 'too late');
    tried[0]?.done(unavailable());
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('names what an attempt before failed with', async () => {
    const call = start(50);
    tried[0]?.done(unavailable());
    await clock.advance(50);
    expect((await failureOf(call)).message).toBe('no answer within 50 ms; an attempt before: UNAVAILABLE: draining');
    expect(tried).toHaveLength(2);
  });

  test('is not waited for where a retry would come too late', async () => {
    const call = start(20);
    tried[0]?.done(unavailable());
    expect(await failureOf(call)).toMatchObject({ code: 'UNAVAILABLE' });
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('need not be', async () => {
    const call = start(Number.POSITIVE_INFINITY);
    await clock.advance(1e12);
    tried[0]?.done(undefined, 'at last');
    expect(await call).toBe('at last');
  });
});

describe('a signal', () => {
  test('gives the attempt up', async () => {
    const user = new AbortController();
    const call = start(1000, user.signal);
    user.abort(new Error('enough'));
    expect(await failureOf(call)).toMatchObject({
      code: 'CANCELLED',
      reason: 'ABORTED',
      cause: new Error('enough'),
    });
    expect(tried).toMatchObject([{ givenUp: true }]);
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('ends the wait for a retry', async () => {
    const user = new AbortController();
    const call = start(1000, user.signal);
    tried[0]?.done(unavailable());
    user.abort();
    expect(await failureOf(call)).toMatchObject({ code: 'CANCELLED' });
    await clock.advance(1000);
    expect(tried).toHaveLength(1);
  });

  test('that came before lets nothing begin', async () => {
    expect(await failureOf(start(1000, AbortSignal.abort()))).toMatchObject({ code: 'CANCELLED' });
    expect(tried).toEqual([]);
  });

  test('that comes after the answer changes nothing', async () => {
    const user = new AbortController();
    const call = start(1000, user.signal);
    tried[0]?.done(undefined, 'a score');
    user.abort();
    expect(await call).toBe('a score');
    expect(tried).toMatchObject([{ givenUp: false }]);
  });
});
