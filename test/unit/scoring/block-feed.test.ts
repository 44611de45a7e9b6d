// Rows that come encoded: what becomes of the pieces, of rows that a worker took with it, and of their memory.

import { describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { BlockFeed, type RowPiece } from '../../../src/scoring/block-feed.ts';
import type { ScoredChunk } from '../../../src/scoring/scored-chunk.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';
import type { FakeRun } from '../../support/fake-worker.ts';

const BLOCK = 64;
const WORKER_GONE = new ScorewireError('unavailable', 'WORKER_EXITED', 'the worker went away');

/** Rows with their own numbers as values, in blocks. */
function piece(firstRow: number, rows: number, left: readonly number[] = []): RowPiece {
  const numbers = Array.from({ length: rows }, (_, row) => firstRow + row).filter((row) => !left.includes(row));
  const blocks = [];
  for (let from = 0; from < numbers.length; from += BLOCK) {
    const some = numbers.slice(from, from + BLOCK);
    // An array that is worth giving back.
    const input = new Float32Array(new ArrayBuffer(8192), 0, some.length);
    input.set(some);
    blocks.push({ rows: Int32Array.from(some), inputs: [input], dims: undefined });
  }
  return { firstRow, rows, blocks };
}

function setUp(workers = 1) {
  const s = new FakeScheduling(workers);
  s.addModel({ maxRows: BLOCK, runUs: (rows) => 240 + 15 * rows });
  const scored: ScoredChunk[] = [];
  const failed: ScorewireError[] = [];
  const feed = new BlockFeed(fakeModel(), s.scheduler, {
    scored: (chunk) => scored.push(chunk),
    failed: (error) => failed.push(error),
  });
  return { s, feed, scored, failed };
}

async function nextRun(s: FakeScheduling): Promise<FakeRun> {
  await s.endTurn();
  return s.run();
}

function lengths({ blocks }: RowPiece): number[] {
  return blocks.map(({ inputs }) => (inputs[0] as Float32Array).buffer.byteLength);
}

test('a piece is scored when all of its rows are, and its memory given back', async () => {
  const { s, feed, scored } = setUp();
  const given = piece(100, 100, [103]);
  feed.push(given);
  await s.finish();
  expect(scored).toEqual([]);
  await s.finish();
  const [chunk] = scored as [ScoredChunk];
  expect([chunk.firstRow, chunk.rows, chunk.errors]).toEqual([100, 100, []]);
  expect([...chunk.scores]).toEqual(Array.from({ length: 100 }, (_, row) => (row === 3 ? Number.NaN : 100 + row)));
  expect(lengths(given)).toEqual([0, 0]);
});

test('a piece without a row that can be run is scored at once', () => {
  const { feed, scored } = setUp();
  feed.push(piece(5, 2, [5, 6]));
  expect(scored.map(({ firstRow, rows }) => [firstRow, rows])).toEqual([[5, 2]]);
});

describe('rows that a worker took with it', () => {
  test('are given to another one, once', async () => {
    const { s, feed, scored } = setUp();
    feed.push(piece(0, BLOCK));
    (await nextRun(s)).reject(WORKER_GONE);
    await s.finish();
    expect(scored[0]?.errors).toEqual([]);
    expect(scored[0]?.scores[7]).toBe(7);
  });

  test('and then fail, and the others do not', async () => {
    const { s, feed, scored } = setUp();
    const given = piece(0, 2 * BLOCK);
    feed.push(given);
    (await nextRun(s)).reject(WORKER_GONE);
    (await nextRun(s)).reject(WORKER_GONE);
    await s.finish();
    const [chunk] = scored as [ScoredChunk];
    expect(chunk.errors.map(({ row }) => row)).toEqual(Array.from({ length: BLOCK }, (_, row) => row));
    expect(chunk.errors[0]?.error).toBe(WORKER_GONE);
    expect(chunk.scores[BLOCK]).toBe(BLOCK);
    expect(lengths(given)).toEqual([0, 0]);
  });
});

test('a part that has to be run again finds its inputs, though another part is done', async () => {
  const { s, feed, scored } = setUp(2);
  // Beside single rows blocks are run in parts, here by two workers at a time.
  s.submit();
  await s.finish();
  feed.push(piece(0, BLOCK));
  const [first, second] = s.workers as [(typeof s.workers)[number], (typeof s.workers)[number]];
  await s.endTurn();
  const [early, late] = [first.current, second.current];
  expect(early?.rows[0]).not.toBe(late?.rows[0]);
  for (let rest = 0; rest < 3; rest++) {
    second.current?.finish();
    await s.endTurn();
  }
  early?.fail();
  await s.endTurn();
  while (scored.length === 0) {
    for (const worker of s.workers) worker.current?.finish();
    await s.endTurn();
  }
  const [chunk] = scored as [ScoredChunk];
  expect(chunk.errors).toEqual([]);
  expect([...chunk.scores]).toEqual(Array.from({ length: BLOCK }, (_, row) => row));
});

test('a row that the model refuses fails alone', async () => {
  const { s, feed, scored } = setUp();
  feed.push(piece(0, 4));
  const refuse = async (): Promise<void> => {
    const run = await nextRun(s);
    if (run.rows.includes(2)) run.fail();
    else run.finish();
  };
  while (scored.length === 0) await refuse();
  const [chunk] = scored as [ScoredChunk];
  expect(chunk.errors.map(({ row, error }) => [row, error.reason])).toEqual([[2, 'RUN_FAILED']]);
  expect([...chunk.scores]).toEqual([0, 1, Number.NaN, 3]);
});

test('who gives up hears nothing more', async () => {
  const { s, feed, scored, failed } = setUp();
  feed.push(piece(0, 4 * BLOCK));
  await nextRun(s);
  feed.end();
  await s.finish();
  expect(s.worker.current).toBeUndefined();
  expect([scored, failed]).toEqual([[], []]);
});

test('a server that gives up says so', async () => {
  const { s, feed, failed } = setUp();
  feed.push(piece(0, 4 * BLOCK));
  await nextRun(s);
  const error = new ScorewireError('unavailable', 'DRAINING', 'the server shut down');
  s.scheduler.giveUp(() => error);
  expect(failed).toEqual([error]);
});
