import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { CostCurve, curveSizes } from '../../../src/batching/cost-curve.ts';

/** Boosted trees whose data falls out of the cache past 64 rows, as measured. */
const PAST_THE_CACHE_SIZES = [1, 8, 32, 64, 128, 256];
const PAST_THE_CACHE_US = [14, 26, 71, 132, 337, 873];

function curve(runUs: (rows: number) => number, maxRows = 64, overheadUs = 0): CostCurve {
  const sizes = curveSizes(maxRows);
  return new CostCurve(sizes, sizes.map(runUs), overheadUs);
}

/** A run that takes what `runUs` says, and `overheadUs` on top of it. */
function observe(cost: CostCurve, rows: number, runUs: number, overheadUs = 0): void {
  cost.observe(rows, runUs, runUs + overheadUs);
}

/** Numbers in [0, 1), the same in every test. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What runs really take: 15 % up and down, and one in a hundred up to six times as long. */
function noise(random: () => number): () => number {
  return () => 1 + 0.15 * (random() + random() - 1) + (random() < 0.01 ? 5 * random() : 0);
}

const ratio = (found: number, expected: number): number => Math.max(found / expected, expected / found);

describe('the sizes that are measured', () => {
  it.each([
    [1, [1]],
    [2, [1, 2]],
    [3, [1, 2, 3]],
    [64, [1, 2, 4, 8, 16, 32, 64]],
    [100, [1, 2, 4, 8, 16, 32, 64, 100]],
    [4096, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]],
  ])('up to %i rows', (maxRows, sizes) => {
    expect(curveSizes(maxRows)).toEqual(sizes);
  });
});

describe('prediction', () => {
  const cost = new CostCurve([1, 2, 4, 8], [100, 120, 160, 400], 30);

  it.each([
    [1, 100],
    [2, 120],
    [4, 160],
    [8, 400],
  ])('is what was measured, where it was measured: %i rows', (rows, us) => {
    expect(cost.runUs(rows)).toBeCloseTo(us, 9);
  });

  it.each([
    [3, 140],
    [5, 220],
    [6, 280],
    [7, 340],
  ])('lies on a straight line in between: %i rows', (rows, us) => {
    expect(cost.runUs(rows)).toBeCloseTo(us, 9);
  });

  it('goes on straight beyond the end', () => {
    expect(cost.runUs(10)).toBeCloseTo(520, 9);
  });

  it('is in proportion to the rows where only one row was measured', () => {
    expect(new CostCurve([1], [100], 0).runUs(3)).toBeCloseTo(300, 9);
  });

  it('counts the hand-over once, in milliseconds', () => {
    expect(cost.predictMs(1)).toBeCloseTo(0.13, 12);
    expect(cost.predictMs(8)).toBeCloseTo(0.43, 12);
  });

  it('never falls with the rows, whatever was measured', () => {
    const noisy = new CostCurve([1, 2, 4, 8], [100, 90, 50, 120], 0);
    expect([1, 2, 3, 4, 6, 8].map((rows) => noisy.runUs(rows))).toEqual([100, 100, 100, 100, 110, 120]);
  });

  test('stays finite, positive and rising, whatever is observed', () => {
    const us = fc.oneof(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.constantFrom(0, 1e-9, 1e12));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(us, { minLength: 12, maxLength: 12 }),
        fc.array(fc.record({ rows: fc.integer({ min: 1, max: 200 }), us, overheadUs: us }), {
          maxLength: 300,
          size: 'max',
        }),
        (maxRows, measured, observed) => {
          const sizes = curveSizes(maxRows);
          const cost = new CostCurve(sizes, measured.slice(0, sizes.length), 20);
          for (const { rows, us, overheadUs } of observed) {
            observe(cost, Math.min(rows, maxRows), us, overheadUs);
            expect(sizes).toContain(cost.kneeRows);
          }
          let last = 0;
          for (let rows = 1; rows <= maxRows; rows++) {
            const ms = cost.predictMs(rows);
            expect(Number.isFinite(ms)).toBe(true);
            expect(ms).toBeGreaterThanOrEqual(last);
            last = ms;
          }
          expect(cost.runUs(1)).toBeGreaterThan(0);
        },
      ),
    );
  });
});

describe('the knee', () => {
  it.each<[string, number, CostCurve]>([
    ['20 ms a row, whatever the batch: rows alone', 1, curve((rows) => 20_000 * rows, 64, 30)],
    ['a fixed part that outweighs the rows: the largest batch', 64, curve((rows) => 1000 + rows)],
    ['nothing but a fixed part', 64, curve(() => 1000)],
    [
      'a fixed part that is soon paid off: where a larger batch saves less than 5 %',
      32,
      curve((rows) => 100 + 50 * rows),
    ],
    ['a cheap model with a hand-over to share', 64, curve((rows) => 3 * rows, 64, 30)],
    ['a model past its cache', 64, new CostCurve(PAST_THE_CACHE_SIZES, PAST_THE_CACHE_US, 30)],
    ['a model of single rows', 1, new CostCurve([1], [14], 30)],
    ['a batch dearer than its rows alone', 1, curve((rows) => 100 * rows ** 1.2)],
  ])('%s', (_, knee, cost) => {
    expect(cost.kneeRows).toBe(knee);
  });

  it('does not move because hand-overs take longer on a busy server', () => {
    const cost = new CostCurve(PAST_THE_CACHE_SIZES, PAST_THE_CACHE_US, 30);
    for (let i = 0; i < 100; i++) observe(cost, 64, 132, 2000);
    expect(cost.predictMs(64)).toBeGreaterThan(1);
    expect(cost.kneeRows).toBe(64);
  });

  it('moves when the model turns out to be another', () => {
    const cost = curve((rows) => 1000 * rows);
    expect(cost.kneeRows).toBe(1);
    const random = sequence(1);
    // Sizes as the load happens to be.
    for (let i = 0; i < 20_000; i++) {
      const rows = 1 + Math.floor(64 * random() ** 2);
      observe(cost, rows, 1000 + 10 * rows);
    }
    expect(cost.kneeRows).toBe(64);
  });
});

describe('correction', () => {
  it('does nothing where the prediction was right', () => {
    const cost = curve((rows) => 100 + 10 * rows, 64, 30);
    for (const rows of [1, 3, 7, 40, 64]) observe(cost, rows, 100 + 10 * rows, 30);
    for (const rows of [1, 3, 7, 40, 64]) expect(cost.predictMs(rows)).toBeCloseTo((130 + 10 * rows) / 1000, 9);
  });

  it.each([
    ['slower', 10],
    ['faster', 0.1],
  ])('finds a machine that is ten times %s within 60 runs', (_, factor) => {
    const cost = curve((rows) => 100 + 10 * rows);
    for (let i = 0; i < 60; i++) observe(cost, 8, factor * 180);
    expect(ratio(cost.runUs(8), factor * 180)).toBeLessThan(1.1);
  });

  it('takes the sizes that are not run now with it', () => {
    const cost = curve((rows) => 100 + 10 * rows);
    for (let i = 0; i < 200; i++) observe(cost, 8, 10 * 180);
    for (const rows of [1, 2, 16, 64]) expect(ratio(cost.runUs(rows), 10 * (100 + 10 * rows))).toBeLessThan(1.15);
  });

  it('finds the shape of a curve that is wrong at some sizes, when all are run', () => {
    const truth = (rows: number): number => 50 + 2 * rows;
    const cost = curve((rows) => truth(rows) * (rows >= 16 ? 3 : 1));
    const random = sequence(2);
    for (let i = 0; i < 20_000; i++) {
      const rows = 1 + Math.floor(64 * random());
      observe(cost, rows, truth(rows));
    }
    for (const rows of [1, 2, 4, 8, 16, 32, 64]) expect(ratio(cost.runUs(rows), truth(rows))).toBeLessThan(1.1);
  });

  it('is hardly moved by one pause, and less where it didn’t happen', () => {
    const cost = curve((rows) => 100 + 10 * rows);
    observe(cost, 8, 1_000_000);
    expect(cost.runUs(8) / 180).toBeLessThan(1.1);
    expect(cost.runUs(64) / 740).toBeLessThan(1.08);
    for (let i = 0; i < 20; i++) observe(cost, 8, 180);
    expect(ratio(cost.runUs(8), 180)).toBeLessThan(1.01);
  });

  it('of a size in between moves the two sizes beside it, the nearer one further, and the others only with the whole', () => {
    const moved = (rows: number): number[] => {
      const cost = curve((size) => 100 * size);
      observe(cost, rows, 200 * rows);
      return [2, 4, 8, 16].map((size) => cost.runUs(size) / size / (cost.runUs(64) / 64));
    };
    const [before, low, high, after] = moved(6) as [number, number, number, number];
    expect([before, after]).toEqual([expect.closeTo(1, 9), expect.closeTo(1, 9)]);
    expect(low).toBeGreaterThan(1.01);
    expect(high).toBeCloseTo(low, 9);
    // Just as far as an observation at one of them would.
    expect(low).toBeCloseTo(moved(8)[2] as number, 9);
    const [, nearer, further] = moved(5) as [number, number, number, number];
    expect(nearer).toBeGreaterThan(further);
    expect(further).toBeGreaterThan(1.001);
  });

  it('leaves 0, where a measurement said so', () => {
    const cost = new CostCurve([1, 2], [0, 0], 0);
    for (let i = 0; i < 300; i++) observe(cost, 1, 1000);
    expect(ratio(cost.runUs(1), 1000)).toBeLessThan(1.05);
  });

  it('follows the hand-over', () => {
    const cost = curve(() => 100, 64, 30);
    for (let i = 0; i < 100; i++) observe(cost, 4, 100, 300);
    expect(cost.predictMs(4)).toBeCloseTo(0.4, 2);
    observe(cost, 4, 100, 1_000_000);
    expect(cost.predictMs(4)).toBeLessThan(0.45);
  });

  it('is not thrown off by a clock that says the run took longer than the whole', () => {
    const cost = curve(() => 100, 64, 30);
    for (let i = 0; i < 100; i++) cost.observe(4, 100, 90);
    expect(cost.predictMs(4)).toBeGreaterThanOrEqual(0.1);
  });
});

// What happens in an hour, or in a minute of a fast model.
describe('over many runs', () => {
  it('single rows with noise leave the larger sizes where they are', () => {
    const cost = curve((rows) => 50 + 2 * rows);
    const noisy = noise(sequence(5));
    for (let i = 0; i < 300_000; i++) observe(cost, 1, 52 * noisy());
    for (const rows of [1, 2, 8, 64]) expect(ratio(cost.runUs(rows), 50 + 2 * rows)).toBeLessThan(1.25);
  });

  it('full batches with noise leave the smaller sizes where they are', () => {
    const cost = curve((rows) => 50 + 2 * rows);
    const noisy = noise(sequence(5));
    for (let i = 0; i < 300_000; i++) observe(cost, 64, 178 * noisy());
    for (const rows of [1, 2, 8, 64]) expect(ratio(cost.runUs(rows), 50 + 2 * rows)).toBeLessThan(1.25);
  });

  /** Share of the runs that the knee was `rows`, when every batch is as large as it allows. */
  function shareAt(rows: number, cost: CostCurve, truth: (rows: number) => number, runs: number): number {
    const noisy = noise(sequence(7));
    let count = 0;
    for (let i = 0; i < runs; i++) {
      const size = cost.kneeRows;
      if (size === rows) count++;
      // The machine is half as fast every other thousand runs.
      observe(cost, size, truth(size) * noisy() * (Math.floor(i / 1000) % 2 === 0 ? 1 : 2), 30);
    }
    return count / runs;
  }

  it('rows that cost the same in any batch go on being run alone', () => {
    const truth = (rows: number): number => 20_000 * rows;
    expect(shareAt(1, curve(truth, 64, 30), truth, 100_000)).toBeGreaterThan(0.95);
  });

  it('a model past its cache keeps its knee', () => {
    const truth = (rows: number): number => PAST_THE_CACHE_US[PAST_THE_CACHE_SIZES.indexOf(rows)] as number;
    const cost = new CostCurve(PAST_THE_CACHE_SIZES, PAST_THE_CACHE_US, 30);
    expect(shareAt(64, cost, truth, 100_000)).toBeGreaterThan(0.95);
  });

  /** How often each size was the knee in 12,801 runs that took just what was predicted. */
  function sizesRun(cost: CostCurve): Record<number, number> {
    const counts: Record<number, number> = {};
    for (let i = 0; i < 12_801; i++) {
      const rows = cost.kneeRows;
      counts[rows] = (counts[rows] ?? 0) + 1;
      observe(cost, rows, cost.runUs(rows));
    }
    return counts;
  }

  it('the sizes beside the knee are tried in one run of 128, in turn', () => {
    const cost = new CostCurve(PAST_THE_CACHE_SIZES, PAST_THE_CACHE_US, 30);
    expect(sizesRun(cost)).toEqual({ 64: 12_701, 32: 50, 128: 50 });
  });

  it('nothing is tried beyond the largest batch', () => {
    expect(sizesRun(curve(() => 100))).toEqual({ 64: 12_751, 32: 50 });
  });

  it('nothing is tried that would keep other models waiting', () => {
    expect(sizesRun(curve((rows) => 20_000 * rows))).toEqual({ 1: 12_801 });
    expect(sizesRun(curve((rows) => 2400 * rows))).toEqual({ 1: 12_751, 2: 50 });
    expect(sizesRun(curve((rows) => 2600 * rows))).toEqual({ 1: 12_801 });
  });

  it.each<[string, (rows: number) => number, number]>([
    ['ten times too dear beyond 32 rows', (rows) => (50 + 2 * rows) * (rows > 32 ? 10 : 1), 32],
    ['never measured, and taken for a row a millisecond', (rows) => 1000 * rows, 1],
  ])('a curve that would never try its better sizes finds them: %s', (_, wrong, knee) => {
    const cost = curve(wrong);
    expect(cost.kneeRows).toBe(knee);
    const noisy = noise(sequence(9));
    for (let i = 0; i < 60_000; i++) {
      const rows = cost.kneeRows;
      observe(cost, rows, (50 + 2 * rows) * noisy());
    }
    expect(cost.kneeRows).toBe(64);
    expect(ratio(cost.runUs(64), 178)).toBeLessThan(1.25);
  });
});
