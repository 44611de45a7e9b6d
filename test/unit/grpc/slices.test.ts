import { expect, test } from 'vitest';
import { inSlices, type Sliced } from '../../../src/grpc/slices.ts';

/** Work that is over once `over` holds, which it looks at now and then. */
function* until(over: () => boolean): Sliced<string> {
  while (!over()) yield;
  return 'done';
}

/** Turns of the event loop, until it is stopped. */
function turns(): { count: number; stop(): void } {
  let going = true;
  const counted = {
    count: 0,
    stop() {
      going = false;
    },
  };
  const turn = (): void => {
    counted.count++;
    if (going) setImmediate(turn);
  };
  setImmediate(turn);
  return counted;
}

const nothing = (): void => {};
const result = <T>(work: Sliced<T>): Promise<T> => new Promise((resolve, reject) => inSlices(work, resolve, reject));

test('what is soon done is done at once', () => {
  const done: string[] = [];
  inSlices(
    until(() => true),
    (value) => done.push(value),
    nothing,
  );
  expect(done).toEqual(['done']);
});

test('what takes long lets others in between', async () => {
  const seen = turns();
  // Without them it would never be over.
  expect(await result(until(() => seen.count >= 5))).toBe('done');
  seen.stop();
});

test('jobs take turns', async () => {
  const seen = turns();
  let shortDone = false;
  const short = until(() => seen.count > 0);
  const long = result(until(() => shortDone));
  await result(short);
  shortDone = true;
  expect(await long).toBe('done');
  seen.stop();
});

test('an error, at once or later', async () => {
  const seen = turns();
  const wrong = function* (after: number): Sliced<never> {
    yield* until(() => seen.count >= after);
    throw new Error(`after ${after}`);
  };
  await expect(result(wrong(0))).rejects.toThrow('after 0');
  await expect(result(wrong(3))).rejects.toThrow('after 3');
  seen.stop();
});

test('of what is cancelled nothing is heard, and the others go on', async () => {
  const seen = turns();
  const heard: string[] = [];
  const note = (text: string) => () => void heard.push(text);
  const first = inSlices(
    until(() => seen.count >= 1),
    note('done'),
    note('failed'),
  );
  const second = result(until(() => seen.count >= 3));
  first.cancel();
  await second;
  expect(heard).toEqual([]);
  seen.stop();
});

test('a job begins another one when it is done', async () => {
  const seen = turns();
  const heard: number[] = [];
  await new Promise<void>((resolve) => {
    const next = (number: number): void => {
      heard.push(number);
      const { count } = seen;
      if (number === 4) resolve();
      else
        inSlices(
          until(() => seen.count > count),
          () => next(number + 1),
          nothing,
        );
    };
    next(0);
  });
  expect(heard).toEqual([0, 1, 2, 3, 4]);
  seen.stop();
});
