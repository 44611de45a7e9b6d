import { expect, test } from 'vitest';
import { table } from '../../../src/cli/table.ts';

test('columns are as wide as their widest cell, and lines end where their text does', () => {
  expect(
    table(
      ['model', 'rows'],
      [
        ['a', '1'],
        ['longer name', ''],
      ],
    ),
  ).toBe('model        rows\na            1\nlonger name\n');
});

test('no rows: the titles', () => {
  expect(table(['model', 'rows'], [])).toBe('model  rows\n');
});
