import { describe, expect, it } from 'vitest';
import {
  CounterFamily,
  GaugeFamily,
  HistogramFamily,
  MAX_CELLS,
  OVERFLOW_ATTRIBUTES,
  Registry,
} from '../../../src/telemetry/instruments.ts';

describe('a histogram', () => {
  it('counts values up to and including each bound, and sums them', () => {
    const cell = new HistogramFamily('h', 's', '', [1, 2]).cell();
    for (const value of [0.5, 1, 1.5, 2, 2.5, -1]) cell.record(value);
    expect([...cell.counts]).toEqual([3, 2, 1]);
    expect(cell.count).toBe(6);
    expect(cell.sum).toBe(6.5);
  });

  it('leaves NaN out', () => {
    const cell = new HistogramFamily('h', 's', '', [1]).cell();
    cell.record(Number.NaN);
    expect(cell.count).toBe(0);
    expect(cell.sum).toBe(0);
  });
});

describe('a family', () => {
  it('has one cell for the same attributes, in any order', () => {
    const family = new CounterFamily('c', '1', '');
    family.cell({ a: '1', b: '2' }).add();
    family.cell({ b: '2', a: '1' }).add(2);
    family.cell({ a: '12' }).add();
    expect(Array.from(family.cells(), ({ attributes, value }) => [attributes, value])).toEqual([
      [{ a: '1', b: '2' }, 3],
      [{ a: '12' }, 1],
    ]);
  });

  it('gives what exceeds its limit to one common cell', () => {
    const family = new CounterFamily('c', '1', '');
    for (let i = 0; i < MAX_CELLS + 500; i++) family.cell({ model: `${i}` }).add();
    const cells = [...family.cells()];
    expect(cells).toHaveLength(MAX_CELLS);
    const overflow = cells.filter(({ attributes }) => 'otel.metric.overflow' in attributes);
    expect(overflow.map(({ value }) => value)).toEqual([501]);
    expect(family.cell({ model: '0' })).not.toBe(family.cell(OVERFLOW_ATTRIBUTES));
  });

  it('forgets a cell that is removed', () => {
    const family = new CounterFamily('c', '1', '');
    family.cell({ model: 'a' }).add();
    family.remove({ model: 'a' });
    expect([...family.cells()]).toEqual([]);
    expect(family.cell({ model: 'a' }).value).toBe(0);
  });
});

it('a gauge asks its observers until they are removed', () => {
  const family = new GaugeFamily('g', '1', '');
  const remove = family.observe({ worker: '1' }, () => 7);
  expect(Array.from(family.observers(), ({ read }) => read())).toEqual([7]);
  remove();
  expect([...family.observers()]).toEqual([]);
});

it('a registry has a name only once', () => {
  const registry = new Registry();
  registry.add(new CounterFamily('c', '1', ''));
  expect(() => registry.add(new GaugeFamily('c', '1', ''))).toThrow('c is registered twice');
});
