import { describe, expect, test } from 'vitest';
import { parseRows } from '../../../src/bench/calls.ts';

describe('rows of a file', () => {
  test.each([
    [
      'an array a line',
      '[1, 2]\n[3, null]\n',
      [
        [1, 2],
        [3, null],
      ],
    ],
    ['an object a line', '{"a": 1}\n\n{"a": 2}', [{ a: 1 }, { a: 2 }]],
    ['golden rows', '{"row": [1, 2], "score": 0.5}\n{"row": {"a": 1}}', [[1, 2], { a: 1 }]],
    [
      'one array of rows',
      '[[1, 2],\n [3, 4]]',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['one array of objects', '[{"a": 1}]', [{ a: 1 }]],
    ['one row', '[1, 2]', [[1, 2]]],
  ])('%s', (_, text, rows) => expect(parseRows(text, 'rows.jsonl')).toEqual(rows));

  test.each([
    ['', 'rows.jsonl has no rows'],
    ['[1]\nnonsense', 'rows.jsonl, line 2: not JSON'],
    ['[1]\n3', 'rows.jsonl, row 2: expected an array or an object, found 3'],
  ])('"%s"', (text, message) => expect(() => parseRows(text, 'rows.jsonl')).toThrow(message));
});
