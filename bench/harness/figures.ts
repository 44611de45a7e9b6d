// Figures with their repetitions, and the marks to hold them against.

import { median } from '../../src/bench/statistics.ts';

/** What a figure is held against; `source` says whose mark it is. */
export interface Mark {
  relation: 'at most' | 'at least';
  value: number;
}

export interface Figure {
  scenario: string;
  name: string;
  unit: string;
  /** One a repetition, in their order. */
  values: number[];
  min: number;
  median: number;
  max: number;
  mark: Mark | undefined;
  /** The median keeps to the mark; undefined where there is none. */
  met: boolean | undefined;
}

export function makeFigure(scenario: string, name: string, unit: string, values: number[], mark?: Mark): Figure {
  if (values.length === 0) throw new RangeError(`${scenario}, ${name}: no values`);
  const middle = median(values);
  return {
    scenario,
    name,
    unit,
    values,
    min: Math.min(...values),
    median: middle,
    max: Math.max(...values),
    mark,
    met: mark === undefined ? undefined : keepsTo(middle, mark),
  };
}

function keepsTo(value: number, { relation, value: limit }: Mark): boolean {
  return relation === 'at most' ? value <= limit : value >= limit;
}
