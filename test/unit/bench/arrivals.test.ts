import { expect, test } from 'vitest';
import { type Arrivals, drawArrivals, randomFrom } from '../../../src/bench/arrivals.ts';

const SECONDS = 50;
const poisson: Arrivals = { process: 'poisson', ratePerSecond: 2_000, seed: 1 };
const bursts: Arrivals = { process: 'bursts', ratePerSecond: 2_000, onMs: 20, offMs: 60, seed: 1 };

function gaps(times: Float64Array): Float64Array {
  return times.slice(1).map((time, index) => time - (times[index] as number));
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Variance of the counts in windows, over their mean: 1 for Poisson arrivals, more for bursts. */
function dispersion(times: Float64Array, windowUs: number): number {
  const counts = new Float64Array(Math.floor((SECONDS * 1e6) / windowUs));
  for (const time of times) {
    const window = Math.floor(time / windowUs);
    if (window < counts.length) counts[window] = (counts[window] as number) + 1;
  }
  const middle = mean(counts);
  return mean(counts.map((count) => (count - middle) ** 2)) / middle;
}

test.each([poisson, bursts])('$process: ascending, inside the run, at the mean rate', (arrivals) => {
  const times = drawArrivals(arrivals, SECONDS);
  expect(Math.abs(times.length / SECONDS / arrivals.ratePerSecond - 1)).toBeLessThan(0.1);
  expect(gaps(times).every((gap) => gap >= 0)).toBe(true);
  expect(times.at(0)).toBeGreaterThan(0);
  expect(times.at(-1)).toBeLessThan(SECONDS * 1e6);
});

test('Poisson gaps are exponential: their deviation equals their mean', () => {
  const found = gaps(drawArrivals(poisson, SECONDS));
  const middle = mean(found);
  expect(middle).toBeCloseTo(500, -1);
  expect(Math.sqrt(mean(found.map((gap) => (gap - middle) ** 2))) / middle).toBeCloseTo(1, 1);
});

test('bursts are burstier than Poisson', () => {
  expect(dispersion(drawArrivals(poisson, SECONDS), 50_000)).toBeLessThan(1.3);
  expect(dispersion(drawArrivals(bursts, SECONDS), 50_000)).toBeGreaterThan(10);
});

test('the seed decides', () => {
  expect(drawArrivals(poisson, 1)).toEqual(drawArrivals(poisson, 1));
  expect(drawArrivals(poisson, 1)).not.toEqual(drawArrivals({ ...poisson, seed: 2 }, 1));
});

test('even arrivals', () => {
  expect([...drawArrivals({ process: 'even', ratePerSecond: 4 }, 1)]).toEqual([0, 250_000, 500_000, 750_000]);
});

test('refuses what can not be', () => {
  expect(() => drawArrivals({ ...poisson, ratePerSecond: 0 }, 1)).toThrow(RangeError);
  expect(() => drawArrivals({ ...poisson, ratePerSecond: 1e9 }, 10)).toThrow(RangeError);
  expect(() => drawArrivals({ ...bursts, onMs: 0 } as Arrivals, 1)).toThrow(RangeError);
});

test('random numbers fill [0, 1) evenly', () => {
  const random = randomFrom(42);
  const counts = new Float64Array(10);
  for (let draw = 0; draw < 100_000; draw++) {
    const bin = Math.floor(10 * random());
    counts[bin] = (counts[bin] as number) + 1;
  }
  expect(counts.every((count) => Math.abs(count - 10_000) < 500)).toBe(true);
});
