import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type CloseDecision, type CloseInput, closeBatch } from '../../../src/batching/close-batch.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** 1 ms a batch and 1 ms a row: 10 rows take 11 ms. */
const costMs = (rows: number): number => 1 + rows;

/** At 100 ms, plenty of room, nobody in a hurry, no delay; `due` is in milliseconds from now. */
function input(dueInMs: readonly number[], change: Partial<CloseInput> = {}): CloseInput {
  return {
    nowMs: 100,
    dueMs: dueInMs.map((ms) => 100 + ms),
    rowsUpTo: dueInMs.map((_, i) => i + 1),
    queued: dueInMs.length,
    oldestMs: 100,
    maxRows: 64,
    kneeRows: 64,
    maxDelayMs: 0,
    predictMs: costMs,
    ...change,
  };
}

const relaxed = (rows: number): number[] => new Array(rows).fill(NEVER);

const run = (requests: number): CloseDecision => ({ requests, waitMs: 0 });
const wait = (waitMs: number): CloseDecision => ({ requests: 0, waitMs });

type Case = [name: string, input: CloseInput, expected: CloseDecision];

describe('how many rows', () => {
  const cases: Case[] = [
    ['a single row runs', input(relaxed(1)), run(1)],
    ['all that is queued', input(relaxed(10)), run(10)],
    ['never more than the largest batch', input(relaxed(10), { maxRows: 4 }), run(4)],
    ['never more than the knee', input(relaxed(10), { kneeRows: 3 }), run(3)],
    ['the smaller of the two counts: the largest batch', input(relaxed(10), { maxRows: 2, kneeRows: 3 }), run(2)],
    ['the smaller of the two counts: the knee', input(relaxed(10), { maxRows: 3, kneeRows: 2 }), run(2)],
    ['what lies behind the queued rows is not looked at', input([NEVER, NEVER, 2], { queued: 2 }), run(2)],

    ['a due time that the whole batch holds changes nothing', input([11, ...relaxed(9)]), run(10)],
    ['the oldest row in a hurry sets the size', input([6, ...relaxed(9)]), run(5)],
    ['just short of a row more', input([6.999, ...relaxed(9)]), run(5)],
    ['just enough for a row more', input([7, ...relaxed(9)]), run(6)],
    [
      'a row in the middle in a hurry sets the size, as long as it is in the batch',
      input([NEVER, NEVER, 5, NEVER, NEVER, NEVER]),
      run(4),
    ],
    ['the last row in a hurry is in the smallest batch that it can be in', input([NEVER, NEVER, 4]), run(3)],
    ['of two rows in a hurry the tighter one counts', input([8, 6, ...relaxed(8)]), run(5)],
    ['in any order', input([6, 8, ...relaxed(8)]), run(5)],
    ['a row behind the rows that fit no longer counts', input([6, ...relaxed(5), 2, NEVER]), run(5)],
    ['in time alone, and no longer with company', input([2, ...relaxed(9)]), run(1)],
    ['every row in a hurry, each as long as the batch that ends with it', input([2, 3, 4, 5]), run(1)],
    ['every row with the time of the whole batch', input([5, 5, 5, 5]), run(4)],

    ['a row late even alone holds nobody back', input([1.9, ...relaxed(9)]), run(10)],
    ['a row whose time is over holds nobody back', input([-50, ...relaxed(9)]), run(10)],
    ['all rows late: as many as there are', input([-5, -4, -3, -2]), run(4)],
    ['behind late rows the first that can be in time counts', input([-5, -5, 5, ...relaxed(7)]), run(4)],
    [
      'a row that would be in time alone, but not with all before it, holds nobody back',
      input([NEVER, NEVER, NEVER, 4.9, NEVER]),
      run(5),
    ],
    [
      'late rows at the head, and behind them a row that only a run of its own would save',
      input([0, 0, 0, 0, 2.5, NEVER]),
      run(6),
    ],

    ['requests of many rows, as long as they fit', input(relaxed(4), { rowsUpTo: [20, 40, 64, 65] }), run(3)],
    ["one that doesn't fit beside the first", input(relaxed(2), { rowsUpTo: [40, 70] }), run(1)],
    ['a request of more rows than a batch has, alone', input(relaxed(2), { rowsUpTo: [100, 101] }), run(1)],
    ['a request in a hurry counts all rows before it', input([NEVER, 41, NEVER], { rowsUpTo: [20, 40, 60] }), run(2)],
    ['a full batch is still cut for a row in a hurry', input([3, ...relaxed(9)], { maxRows: 4 }), run(2)],
  ];
  it.each(cases)('%s', (_, given, expected) => {
    expect(closeBatch(given)).toEqual(expected);
  });
});

describe('how long it waits', () => {
  const delay = (maxDelayMs: number, rest: Partial<CloseInput> = {}): Partial<CloseInput> => ({ maxDelayMs, ...rest });
  const cases: Case[] = [
    ['not where the next request would not fit anyway', input(relaxed(2), delay(5, { rowsUpTo: [40, 70] })), run(1)],
    ['for requests that leave room', input(relaxed(2), delay(5, { rowsUpTo: [20, 40] })), wait(5)],
    ['never with delay 0, however empty the batch', input(relaxed(1), { oldestMs: 100 }), run(1)],
    ['the whole delay for a row that just came', input(relaxed(1), delay(5)), wait(5)],
    ['what is left of it', input(relaxed(3), delay(5, { oldestMs: 97 })), wait(2)],
    ['no longer once the oldest has waited enough', input(relaxed(3), delay(5, { oldestMs: 95 })), run(3)],
    ['nor once it has waited more than that', input(relaxed(3), delay(5, { oldestMs: 50 })), run(3)],
    ['not once the largest batch is full', input(relaxed(4), delay(5, { maxRows: 4 })), run(4)],
    ['not once the batch is as large as it is worth', input(relaxed(4), delay(5, { kneeRows: 4 })), run(4)],
    ['not with more rows than fit', input(relaxed(9), delay(5, { maxRows: 4 })), run(4)],
    ['one short of full it waits', input(relaxed(3), delay(5, { maxRows: 4 })), wait(5)],
    ['a model of single rows never waits', input(relaxed(1), delay(5, { maxRows: 1 })), run(1)],
    ['until a due time with one row more would be lost', input([NEVER, 6], delay(5)), wait(2)],
    ['not at all if it would be lost at once', input([NEVER, 4], delay(5)), run(2)],
    ['nor for one that is already lost with another row', input([NEVER, 3.5], delay(5)), run(2)],
    ['the delay, where that is shorter than the time left', input([NEVER, 60], delay(5)), wait(5)],
    ['not where a due time has cut the batch', input([NEVER, 4, NEVER, NEVER], delay(5)), run(3)],
    ['a row that is late anyway does not wait on top of that', input([1], delay(5)), run(1)],
    ['nor one whose time is over', input([-3, NEVER], delay(5)), run(2)],
    ['nor one in time alone that is not in time with those before it', input([NEVER, NEVER, 3], delay(5)), run(3)],
  ];
  it.each(cases)('%s', (_, given, expected) => {
    expect(closeBatch(given)).toEqual(expected);
  });
});

describe('for any queue', () => {
  // Whole numbers, so that sums are exact.
  const queue = fc.record({
    dueInMs: fc.array(fc.oneof({ weight: 4, arbitrary: fc.integer({ min: -5, max: 80 }) }, fc.constant(NEVER)), {
      minLength: 1,
      maxLength: 40,
      size: 'max',
    }),
    maxRows: fc.integer({ min: 1, max: 48 }),
    kneeRows: fc.integer({ min: 1, max: 48 }),
    waitedMs: fc.integer({ min: 0, max: 10 }),
    maxDelayMs: fc.constantFrom(0, 1, 5, 20),
    // A fixed part, a part for each row, and now and then a step, as a cache has them.
    fixedMs: fc.integer({ min: 0, max: 10 }),
    rowMs: fc.integer({ min: 0, max: 3 }),
    stepRows: fc.integer({ min: 1, max: 48 }),
    stepMs: fc.constantFrom(0, 7),
  });

  test('no row comes late that the batch ending with it would have answered in time', () => {
    fc.assert(
      fc.property(queue, ({ dueInMs, maxRows, kneeRows, waitedMs, maxDelayMs, fixedMs, rowMs, stepRows, stepMs }) => {
        const predictMs = (rows: number): number => fixedMs + rowMs * rows + (rows >= stepRows ? stepMs : 0);
        const given = input(dueInMs, { maxRows, kneeRows, maxDelayMs, oldestMs: 100 - waitedMs, predictMs });
        const { requests: rows, waitMs } = closeBatch(given);
        const most = Math.min(dueInMs.length, maxRows, kneeRows);
        const slackMs = (i: number): number => (given.dueMs[i] as number) - given.nowMs;
        if (rows === 0) {
          expect(maxDelayMs).toBeGreaterThan(0);
          expect(waitMs).toBeGreaterThan(0);
          expect(waitMs).toBeLessThanOrEqual(maxDelayMs - waitedMs);
          for (let i = 0; i < most; i++) expect(slackMs(i) - waitMs).toBeGreaterThanOrEqual(predictMs(1));
          return;
        }
        expect(waitMs).toBe(0);
        expect(rows).toBeLessThanOrEqual(most);
        const saved = (size: number): number[] =>
          Array.from({ length: size }, (_, i) => i).filter(
            (i) => predictMs(i + 1) <= slackMs(i) && predictMs(size) > slackMs(i),
          );
        expect(saved(rows)).toEqual([]);
        // And it is the largest such batch.
        for (let more = rows + 1; more <= most; more++) expect(saved(more)).not.toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });
});
