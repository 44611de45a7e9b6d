import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseGolden, readGolden } from '../../../src/models/golden.ts';
import { mistakeOf } from './signature-of.ts';
import { tempRepository } from './temp-repository.ts';

test('rows, dense or by name, with what was expected of them', () => {
  const rows = parseGolden(
    [
      '{"row": [1, 2.5, null], "score": 0.25, "label": 0, "outputs": {"p": [0.75, null], "t": ["a"]}}',
      '',
      '{"row": {"age": 40, "plan": "basic", "active": true, "income": null}, "score": 1}\r',
    ].join('\n'),
    'golden.jsonl',
  );
  expect(rows).toEqual([
    {
      line: 1,
      row: [1, 2.5, Number.NaN],
      score: 0.25,
      label: 0,
      outputs: new Map<string, (number | string)[]>([
        ['p', [0.75, Number.NaN]],
        ['t', ['a']],
      ]),
    },
    {
      line: 3,
      row: new Map<string, number | string | boolean>([
        ['age', 40],
        ['plan', 'basic'],
        ['active', true],
        ['income', Number.NaN],
      ]),
      score: 1,
      outputs: new Map(),
    },
  ]);
});

describe('a mistake names file and line:', () => {
  test.each([
    ['{"row": [1]', /^g\.jsonl:2: not valid JSON: /],
    ['[1, 2]', /^g\.jsonl:2: found \[1,2\]; allowed is an object with row, score, label and outputs$/],
    [
      '{"score": 1}',
      /^g\.jsonl:2: row: found nothing; allowed is a list of numbers or a map of values by feature name$/,
    ],
    ['{"row": "1,2", "score": 1}', /^g\.jsonl:2: row: found "1,2"; allowed is a list of numbers or a map/],
    ['{"row": [1, "2"], "score": 1}', /^g\.jsonl:2: row: found \[1,"2"\]; allowed is a list of numbers or a map/],
    ['{"row": [1], "score": "high"}', /^g\.jsonl:2: score: found "high"; allowed is a number$/],
    ['{"row": [1], "label": -1}', /^g\.jsonl:2: label: found -1; allowed is a class index$/],
    ['{"row": [1], "label": 0.5}', /^g\.jsonl:2: label: found 0.5; allowed is a class index$/],
    [
      '{"row": [1], "outputs": [1]}',
      /^g\.jsonl:2: outputs: found \[1\]; allowed is a map of lists of numbers or texts, by output name$/,
    ],
    ['{"row": [1], "scores": 1}', /^g\.jsonl:2: scores: no such key; allowed are row, score, label and outputs$/],
    ['{"row": [1]}', /^g\.jsonl:2: expects nothing; allowed are score, label and outputs beside the row$/],
  ])('%s', (line, message) => {
    expect(mistakeOf(() => parseGolden(`{"row": [1], "score": 1}\n${line}`, 'g.jsonl'))).toMatch(message);
  });

  test('no rows, no file', async () => {
    expect(mistakeOf(() => parseGolden('\n\n', 'g.jsonl'))).toBe(
      'g.jsonl has no rows; expected is a line such as {"row": [1, 2], "score": 0.5}',
    );
    const directory = await tempRepository({ 'golden.jsonl': '{"row": [1], "score": 1}\n' });
    expect(await readGolden(join(directory, 'golden.jsonl'))).toHaveLength(1);
    await expect(readGolden(join(directory, 'none.jsonl'))).rejects.toThrow(`${directory}/none.jsonl can't be read: `);
  });
});
