import { expect, it } from 'vitest';
import { HistogramFamily } from '../../../src/telemetry/instruments.ts';
import { Recent } from '../../../src/telemetry/recent.ts';

function setUp() {
  const family = new HistogramFamily('h', 's', '', [0.001, 0.01, 0.1]);
  const time = { ms: 0 };
  const recent = new Recent(
    () => family.cells(),
    () => time.ms,
  );
  return { family, time, recent };
}

it('has nothing to say before the first calls', () => {
  const { time, recent } = setUp();
  time.ms = 5000;
  expect(recent.read()).toEqual({ perSecond: 0, p50Seconds: undefined, p99Seconds: undefined });
});

it('counts what came since the reading before, over all cells', () => {
  const { family, time, recent } = setUp();
  for (let i = 0; i < 97; i++) family.cell({ status: 'OK' }).record(0.0005);
  for (let i = 0; i < 3; i++) family.cell({ status: 'INTERNAL' }).record(0.05);
  time.ms = 2000;
  expect(recent.read()).toEqual({ perSecond: 50, p50Seconds: 0.001, p99Seconds: 0.1 });
  family.cell({ status: 'OK' }).record(7);
  time.ms = 4000;
  expect(recent.read()).toEqual({ perSecond: 0.5, p50Seconds: Infinity, p99Seconds: Infinity });
});

it('shows the same to all who look within a second', () => {
  const { family, time, recent } = setUp();
  family.cell().record(0.005);
  time.ms = 1000;
  const figures = recent.read();
  family.cell().record(0.005);
  time.ms = 1900;
  expect(recent.read()).toBe(figures);
});

it('does not count backwards when a cell goes', () => {
  const { family, time, recent } = setUp();
  family.cell().record(0.005);
  time.ms = 1000;
  recent.read();
  family.remove({});
  time.ms = 2000;
  expect(recent.read()).toEqual({ perSecond: 0, p50Seconds: undefined, p99Seconds: undefined });
});
