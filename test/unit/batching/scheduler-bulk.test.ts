// Work in bulk beside single rows: who comes first, and how long the others' runs are.

import { expect, test } from 'vitest';
import type { BulkBlock, BulkSource } from '../../../src/batching/bulk-lane.ts';
import { FakeScheduling } from '../../support/fake-scheduling.ts';

const BLOCK_ROWS = 64;

/** Blocks without end. */
class Endless implements BulkSource {
  readonly session = 1;

  next(): BulkBlock {
    return {
      rows: BLOCK_ROWS,
      inputs: [new Float32Array(BLOCK_ROWS).fill(1000)],
      dims: undefined,
      outputNames: ['score'],
      done() {},
      failed() {},
    };
  }

  giveUp(): void {}
}

/** A model of which a block takes more than a caller of a single row should wait for, and a worker has no two of them. */
function setUp(): FakeScheduling {
  const s = new FakeScheduling();
  s.addModel({ maxRows: BLOCK_ROWS, runUs: (rows) => 240 + 15 * rows });
  return s;
}

test('blocks are run whole where there are no single rows', async () => {
  const s = setUp();
  s.scheduler.addBulk(new Endless());
  await s.finish();
  expect(s.run().rows).toHaveLength(BLOCK_ROWS);
});

test('where one came they are short, until none has come for a second', async () => {
  const s = setUp();
  s.submit();
  await s.finish();
  s.scheduler.addBulk(new Endless());
  for (let part = 0; part < 4; part++) {
    expect((await s.finish()).rows).toHaveLength(16);
  }
  const brief = await s.finish();
  expect(brief.rows).toHaveLength(16);
  await s.clock.advance(1000);
  // The one under way was given before.
  await s.finish();
  expect((await s.finish()).rows.length).toBeGreaterThan(16);
  expect((await s.finish()).rows).toHaveLength(BLOCK_ROWS);
});
