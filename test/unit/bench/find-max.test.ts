import { expect, test } from 'vitest';
import { findMax, type Trial } from '../../../src/bench/find-max.ts';

const OPTIONS = { startPerSecond: 1000, ceilingPerSecond: 1e6, repetitions: 3, precision: 0.03 };

/** A server that keeps the bound up to `capacity`, but for the trials that `flips` says. */
function server(capacity: number, flips: (trial: number) => boolean = () => false, limited = false) {
  let count = 0;
  return async (ratePerSecond: number): Promise<Trial> => {
    const kept = ratePerSecond <= capacity !== flips(count++);
    return { ratePerSecond, kept, p99Us: kept ? 1000 : 100_000, errorShare: 0, limited: limited && !kept };
  };
}

test.each([40, 700, 1000, 1001, 5432, 123_456])('a capacity of %i/s, within the precision', async (capacity) => {
  const found = await findMax(server(capacity), OPTIONS);
  expect(found.ratePerSecond).toBeLessThanOrEqual(capacity);
  expect(found.ratePerSecond).toBeGreaterThan(capacity / 1.031);
  expect(found.brokenPerSecond).toBeGreaterThan(capacity);
  expect(found.stoppedBy).toBeUndefined();
});

test('one trial of three that goes wrong changes nothing', async () => {
  const found = await findMax(
    server(5000, (trial) => trial % 3 === 1),
    OPTIONS,
  );
  expect(found.ratePerSecond).toBeGreaterThan(4800);
  expect(found.ratePerSecond).toBeLessThanOrEqual(5000);
});

test('no more trials of a rate than its majority needs', async () => {
  const { trials } = await findMax(server(1500), { ...OPTIONS, precision: 0.5 });
  expect(trials.map(({ ratePerSecond }) => Math.round(ratePerSecond))).toEqual([1000, 1000, 2000, 2000, 1414, 1414]);
});

test('the ceiling is said where it is what stopped', async () => {
  const found = await findMax(server(1e9), { ...OPTIONS, ceilingPerSecond: 3000 });
  expect(found).toMatchObject({ ratePerSecond: 3000, brokenPerSecond: undefined, stoppedBy: 'ceiling' });
});

test('the generator is said where it is what stopped', async () => {
  expect((await findMax(server(4000, undefined, true), OPTIONS)).stoppedBy).toBe('client');
});

test('a server that keeps the bound at no rate', async () => {
  const found = await findMax(server(0), OPTIONS);
  expect(found.ratePerSecond).toBe(0);
  expect(found.trials.length).toBeLessThan(20);
});
