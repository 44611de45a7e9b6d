import { describe, expect, test } from 'vitest';
import { invalidField } from '../../../src/errors.ts';
import { chunkOf, TopRows } from '../../../src/grpc/picked-rows.ts';
import { ScoredChunk } from '../../../src/scoring/scored-chunk.ts';
import { atOnce } from '../../support/at-once.ts';

function chunk(firstRow: number, scores: readonly number[]): ScoredChunk {
  const made = new ScoredChunk(firstRow, scores.length);
  made.scores.set(scores);
  return made;
}

const NO_LIMIT = Number.NEGATIVE_INFINITY;

describe('chunkOf', () => {
  test('all rows, those with errors as NaN', () => {
    const made = chunk(10, [0.5, Number.NaN]);
    made.segments[0] = 2;
    made.labels[0] = 1;
    made.origins[0] = 2;
    expect(chunkOf(made, NO_LIMIT)).toEqual({
      firstRow: 10,
      rows: Uint32Array.of(),
      scores: Float32Array.of(0.5, Number.NaN),
      labels: Int32Array.of(1, -1),
      segments: Int32Array.of(2, -1),
      origins: Uint8Array.of(2, 0),
      errors: [],
    });
  });

  test('only rows strictly above', () => {
    const { rows, scores } = chunkOf(chunk(10, [0.25, 0.5, Number.NaN, 0.75]), 0.25);
    expect({ rows, scores }).toEqual({ rows: Uint32Array.of(1, 3), scores: Float32Array.of(0.5, 0.75) });
  });
});

describe('TopRows', () => {
  test('agrees with sorting all, whatever comes in whatever chunks', () => {
    let state = 7;
    const random = () => {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    for (let round = 0; round < 200; round++) {
      const count = Math.floor(random() * 60);
      // Few values, so that many are equal.
      const all = Array.from({ length: count }, () => Math.floor(random() * 8) / 4 - 1 || (random() < 0.5 ? 0 : -0));
      const limit = 1 + Math.floor(random() * 20);
      const top = new TopRows(limit);
      for (let at = 0; at < count; at += 7) top.take(chunk(at, all.slice(at, at + 7)), NO_LIMIT);
      const expected = all
        .map((score, row) => ({ score, row }))
        .sort((a, b) => b.score - a.score || a.row - b.row)
        .slice(0, limit);
      const { rows, scores } = atOnce(top.chunk());
      expect({ rows: [...rows], scores: [...scores] }).toEqual({
        rows: expected.map(({ row }) => row),
        scores: expected.map(({ score }) => score),
      });
    }
  });

  test('rows without a score are none of the best; their errors come along', () => {
    const top = new TopRows(3);
    const made = chunk(0, [Number.NaN, 0.5]);
    made.errors.push({ row: 0, error: invalidField('x', 'wrong') });
    top.take(made, NO_LIMIT);
    expect(atOnce(top.chunk())).toMatchObject({
      rows: Uint32Array.of(1),
      scores: Float32Array.of(0.5),
      errors: [{ row: 0 }],
    });
  });
});
