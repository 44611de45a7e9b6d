import { describe, expect, test } from 'vitest';
import { parseManifest } from '../../../src/models/manifest.ts';
import { MANIFEST, mistakeOf } from './signature-of.ts';

const parse = (text: string) => parseManifest(text, MANIFEST);

test('every key, as it is written', () => {
  const manifest = parse(`
task: binary
description: Who leaves
features:
  - { name: age, type: integer, default: 40 }
  - { name: income, type: number, default: .nan, allow_nan: true }
  - { name: plan, type: text, default: basic }
  - { name: active, type: flag, default: true }
  - { name: rest }
score: { output: probabilities, column: 1 }
label: { threshold: 0.4, names: [stays, leaves] }
segments: [{ name: Low }, { name: High, from: 0.6 }]
latency_budget_ms: 7.5
batching: { enabled: false, max_rows: 32, max_delay_ms: 0.5 }
golden: { file: golden.jsonl, tolerance: 1.0e-4 }
`);
  expect(manifest).toMatchObject({
    file: MANIFEST,
    task: 'binary',
    description: 'Who leaves',
    features: [
      { name: 'age', type: 'integer', default: 40, allowNan: false },
      { name: 'income', type: 'number', default: Number.NaN, allowNan: true },
      { name: 'plan', type: 'text', default: 'basic', allowNan: false },
      { name: 'active', type: 'flag', default: true, allowNan: false },
      { name: 'rest', allowNan: false },
    ],
    scoreOutput: 'probabilities',
    scoreColumn: 1,
    threshold: 0.4,
    labelNames: ['stays', 'leaves'],
    segments: [{ name: 'Low' }, { name: 'High', from: 0.6 }],
    latencyBudgetMs: 7.5,
    batchingEnabled: false,
    maxBatchRows: 32,
    maxDelayMs: 0.5,
    golden: { file: 'golden.jsonl', tolerance: 1e-4 },
  });
});

test.each([
  ['nothing', ''],
  ['a comment', '# later\n'],
  ['an empty map', '{}'],
])('%s says nothing', (_, text) => {
  const manifest = parse(text);
  expect(manifest).toMatchObject({ description: '', batchingEnabled: true });
  expect(manifest.task ?? manifest.features ?? manifest.segments ?? manifest.golden).toBeUndefined();
});

test('the tolerance of golden rows is 1e-5 unless told, and no segments are not the same as none said', () => {
  expect(parse('golden: { file: g.jsonl }').golden).toEqual({ file: 'g.jsonl', tolerance: 1e-5 });
  expect(parse('segments: []').segments).toEqual([]);
});

describe('a mistake names file, line, key, what was found and what is allowed:', () => {
  const text = 'text (in quotes where it looks like a number)';
  test.each([
    ['task: regresion', ':1: task: found "regresion"; allowed is binary, multiclass or regression'],
    ['\ndescription: 5', ':2: description: found 5; allowed is text'],
    ['features: age', ':1: features: found "age"; allowed is a list of features'],
    ['features: []', ':1: features: found []; allowed is at least one feature'],
    [
      'features: [age]',
      ':1: features[0]: found "age"; allowed is a map with name, type, default, allow_nan, source and max_age_seconds',
    ],
    ['features: [{ type: text }]', `:1: features[0].name: found nothing; allowed is ${text}`],
    ['features: [{ name: 1 }]', `:1: features[0].name: found 1; allowed is ${text}`],
    ['features: [{ name: "" }]', ':1: features[0].name: found ""; allowed is a name'],
    [
      'features:\n  - { name: a, type: float }',
      ':2: features[0].type: found "float"; allowed is number, integer, text or flag',
    ],
    [
      'features:\n  - { name: a }\n  - { name: b }\n  - { name: a }',
      ':4: features[2].name: found "a"; allowed is a name that isn\'t taken: entry 0 has it',
    ],
    [
      'features: [{ name: a, type: integer, default: 1.5 }]',
      ':1: features[0].default: found 1.5; allowed is a whole number (below 2^53), as the type is integer',
    ],
    [
      'features: [{ name: a, type: number, default: low }]',
      ':1: features[0].default: found "low"; allowed is a number, as the type is number',
    ],
    [
      'features: [{ name: a, type: number, default: .nan }]',
      ':1: features[0].default: found NaN; allowed is a number (.nan only beside allow_nan: true), as the type is number',
    ],
    [
      'features: [{ name: a, type: text, default: 5 }]',
      ':1: features[0].default: found 5; allowed is text (in quotes where it looks like something else), as the type is text',
    ],
    [
      'features: [{ name: a, type: flag, default: 1 }]',
      ':1: features[0].default: found 1; allowed is true or false, as the type is flag',
    ],
    [
      'features: [{ name: a, default: [1] }]',
      ':1: features[0].default: found [1]; allowed is a number, text, true or false',
    ],
    ['features: [{ name: a, allow_nan: 1 }]', ':1: features[0].allow_nan: found 1; allowed is true or false'],
    [
      'features: [{ name: a, type: text, allow_nan: true }]',
      ':1: features[0].allow_nan: found true; allowed is false, as the type is text',
    ],
    ['score: 1', ':1: score: found 1; allowed is a map with output and column'],
    ['score: { output: 1 }', `:1: score.output: found 1; allowed is ${text}`],
    ['score: { column: -1 }', ':1: score.column: found -1; allowed is a column from 0 on, or predicted'],
    ['score: { column: last }', ':1: score.column: found "last"; allowed is a column from 0 on, or predicted'],
    ['label: { threshold: half }', ':1: label.threshold: found "half"; allowed is a number'],
    ['label: { threshold: .inf }', ':1: label.threshold: found Infinity; allowed is a number'],
    ['label: { names: yes }', ':1: label.names: found "yes"; allowed is a list of names'],
    ['label:\n  names:\n    - a\n    - 1', `:4: label.names[1]: found 1; allowed is ${text}`],
    ['label: { names: [a, a] }', ':1: label.names[1]: found "a"; allowed is a name that isn\'t taken: entry 0 has it'],
    ['segments: [Low]', ':1: segments[0]: found "Low"; allowed is a map with name and from'],
    [
      'segments: [{ name: Low, from: 0 }]',
      ':1: segments[0].from: found 0; allowed is nothing: the first segment has no lower bound',
    ],
    ['segments: [{ name: Low }, { name: High }]', ':1: segments[1].from: found nothing; allowed is a number'],
    [
      'segments:\n  - { name: A }\n  - { name: B, from: 0.6 }\n  - { name: C, from: 0.3 }',
      ':4: segments[2].from: found 0.3; allowed is a number above 0.6, where the segment before it begins',
    ],
    [
      // Different numbers, but one and the same float32.
      'segments: [{ name: A }, { name: B, from: 0.6 }, { name: C, from: 0.60000000001 }]',
      ':1: segments[2].from: found 0.60000000001; allowed is a number above 0.6, where the segment before it begins',
    ],
    [
      'segments: [{ name: A }, { name: A, from: 1 }]',
      ':1: segments[1].name: found "A"; allowed is a name that isn\'t taken: entry 0 has it',
    ],
    ['latency_budget_ms: 0', ':1: latency_budget_ms: found 0; allowed is a number of milliseconds above 0'],
    ['latency_budget_ms: 10ms', ':1: latency_budget_ms: found "10ms"; allowed is a number of milliseconds above 0'],
    ['batching: off', ':1: batching: found "off"; allowed is a map with enabled, max_rows and max_delay_ms'],
    ['batching: { enabled: no }', ':1: batching.enabled: found "no"; allowed is true or false'],
    ['batching: { max_rows: 0 }', ':1: batching.max_rows: found 0; allowed is a whole number from 1 on'],
    ['batching: { max_rows: 1.5 }', ':1: batching.max_rows: found 1.5; allowed is a whole number from 1 on'],
    [
      'batching: { max_delay_ms: -1 }',
      ':1: batching.max_delay_ms: found -1; allowed is a number of milliseconds, 0 or more',
    ],
    ['golden: golden.jsonl', ':1: golden: found "golden.jsonl"; allowed is a map with file and tolerance'],
    ['golden: { tolerance: 0.1 }', ':1: golden.file: found nothing; allowed is a path'],
    ['golden: { file: g, tolerance: -1 }', ':1: golden.tolerance: found -1; allowed is a number, 0 or more'],
    ['- task: binary', ': found [{"task":"binary"}]; allowed is a map of keys'],
    ['just text', ': found "just text"; allowed is a map of keys'],
    ['task: binary\ntask: binary', ':2: not valid YAML: Map keys must be unique'],
  ])('%s', (manifest, message) => {
    expect(mistakeOf(() => parse(manifest))).toBe(`${MANIFEST}${message}`);
  });

  test('an unknown key with the nearest known one', () => {
    expect(mistakeOf(() => parse('description: x\ntreshold: 1'))).toMatch(
      `${MANIFEST}:2: treshold: no such key; did you mean `,
    );
    expect(mistakeOf(() => parse('label: { treshold: 1 }'))).toBe(
      `${MANIFEST}:1: label.treshold: no such key; did you mean label.threshold? Allowed are threshold, names`,
    );
    expect(mistakeOf(() => parse('features:\n  - { name: a }\n  - { name: b, defualt: 1 }'))).toBe(
      `${MANIFEST}:3: features[1].defualt: no such key; did you mean features[1].default? ` +
        'Allowed are name, type, default, allow_nan, source, max_age_seconds',
    );
  });

  test('all of them, one a line, in the order of the file', () => {
    expect(
      mistakeOf(() => parse('tasks: binary\nlabel: { threshold: x }\nbatching: { max_row: 1 }')).split('\n'),
    ).toEqual([
      expect.stringMatching(/:1: tasks: no such key; did you mean task\?/),
      expect.stringMatching(/:2: label\.threshold: found "x"; allowed is a number$/),
      expect.stringMatching(/:3: batching\.max_row: no such key; did you mean batching\.max_rows\?/),
    ]);
  });
});

test('a later mistake, found against the graph, reads the same', () => {
  const manifest = parse('task: binary\nscore:\n  column: 7\n');
  expect(manifest.mistake(['score', 'column'], '0 to 2').message).toBe(
    `${MANIFEST}:3: score.column: found 7; allowed is 0 to 2`,
  );
  expect(manifest.mistake(['score', 'output'], 'a name').message).toBe(
    `${MANIFEST}:3: score.output: found nothing; allowed is a name`,
  );
  expect(manifest.mistake(['features'], 'a list', 'three').message).toBe(
    `${MANIFEST}: features: found three; allowed is a list`,
  );
});
