import { describe, expect, test } from 'vitest';
import type { RowLayout } from '../../../src/models/model.ts';
import type { ModelDef, ValueDef } from '../../support/onnx-builder.ts';
import { MANIFEST, mistakeOf, signatureOf } from './signature-of.ts';

const numbers: ValueDef = { name: 'numbers', type: 'float32', dims: ['N', 3] };
const age: ValueDef = { name: 'age', type: 'int64', dims: ['N', 1] };
const plan: ValueDef = { name: 'plan', type: 'string', dims: ['N', 1] };
const active: ValueDef = { name: 'active', type: 'bool', dims: [null] };

const taking = (...inputs: ValueDef[]): ModelDef => ({
  inputs,
  outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
  nodes: [{ op: 'Mystery', inputs: inputs.map(({ name }) => name), outputs: ['score'] }],
});

const rowsOf = (inputs: ValueDef[], manifest = ''): RowLayout => signatureOf(taking(...inputs), manifest).rows;
const mistake = (inputs: ValueDef[], manifest: string): string => mistakeOf(() => rowsOf(inputs, manifest));
const named = (...names: string[]): string => `features: [${names.map((name) => `{ name: ${name} }`).join(', ')}]`;

/** Each feature as `name type@input.column`. */
function featuresOf(rows: RowLayout): string[] {
  if (rows.kind !== 'features') throw new Error(`rows are ${rows.kind}`);
  return rows.features.map(({ name, type, input, column }) => `${name} ${type}@${input}.${column}`);
}

describe('without a manifest', () => {
  test('one input of several columns: dense rows, no real names', () => {
    const rows = rowsOf([numbers]);
    expect(rows).toMatchObject({ kind: 'features', dense: true, named: false });
    expect(rows).toMatchObject({ inputs: [{ name: 'numbers', type: 'float32', rowDims: [3], width: 3 }] });
    expect(featuresOf(rows)).toEqual(['f0 number@0.0', 'f1 number@0.1', 'f2 number@0.2']);
  });

  test('inputs of one column each: their names are the features', () => {
    const rows = rowsOf([age, plan, active]);
    expect(rows).toMatchObject({ kind: 'features', dense: false, named: true });
    expect(featuresOf(rows)).toEqual(['age integer@0.0', 'plan text@1.0', 'active flag@2.0']);
    expect(rowsOf([age, active])).toMatchObject({ dense: true, named: true });
    expect(rowsOf([active])).toMatchObject({ inputs: [{ rowDims: [], width: 1 }], named: true });
  });

  test('several wide inputs: named by input and column', () => {
    const rows = rowsOf([age, numbers]);
    expect(rows).toMatchObject({ kind: 'features', dense: true, named: false });
    expect(featuresOf(rows)).toEqual([
      'age integer@0.0',
      'numbers[0] number@1.0',
      'numbers[1] number@1.1',
      'numbers[2] number@1.2',
    ]);
  });

  test('inner dimensions are one row after the other', () => {
    const rows = rowsOf([{ name: 'image', type: 'uint8', dims: ['N', 2, 2] }]);
    expect(rows).toMatchObject({ inputs: [{ rowDims: [2, 2], width: 4 }] });
    expect(featuresOf(rows)).toHaveLength(4);
  });

  test('an input that has an initializer needs no feature', () => {
    const model = {
      ...taking(numbers, age),
      initializers: [{ name: 'age', type: 'int64' as const, dims: [1], data: [7] }],
    };
    const { inputs, rows } = signatureOf(model);
    expect(inputs).toEqual([{ name: 'numbers', type: 'float32', shape: [null, 3] }]);
    expect(featuresOf(rows)).toHaveLength(3);
  });

  test('a single open width: dense rows of any length', () => {
    expect(rowsOf([{ name: 'x', type: 'float32', dims: ['N', 'T'] }])).toEqual({
      kind: 'open',
      input: { name: 'x', type: 'float32', rowDims: [null], width: 0 },
    });
  });
});

describe('features of a manifest', () => {
  test('go by name where they are called like the inputs, in any order', () => {
    const rows = rowsOf([age, plan, active], named('plan', 'active', 'age'));
    expect(rows).toMatchObject({ named: true, dense: false });
    expect(featuresOf(rows)).toEqual(['plan text@1.0', 'active flag@2.0', 'age integer@0.0']);
  });

  test('are else laid over the inputs in order', () => {
    const rows = rowsOf([age, numbers], named('years', 'height', 'weight', 'pulse'));
    expect(rows).toMatchObject({ named: true, dense: true });
    expect(featuresOf(rows)).toEqual([
      'years integer@0.0',
      'height number@1.0',
      'weight number@1.1',
      'pulse number@1.2',
    ]);
  });

  test('give an open or undeclared width', () => {
    const manifest = named('a', 'b');
    for (const dims of [['N', 'T'], undefined]) {
      const { rows, batching } = signatureOf(taking({ name: 'x', type: 'float32', dims }), manifest);
      expect(rows).toMatchObject({ kind: 'features', inputs: [{ rowDims: [2], width: 2 }] });
      expect(batching).toEqual({ supported: true, reason: '' });
    }
    expect(rowsOf([{ name: 'x', type: 'string', dims: ['N', null] }], manifest)).toMatchObject({ dense: false });
  });

  test('carry defaults and NaN, integers as bigints', () => {
    const manifest = `features:
  - { name: age, default: 40 }
  - { name: height, allow_nan: true, default: .nan }
  - { name: weight, default: 70 }
  - { name: smokes, type: flag, default: false }`;
    const rows = rowsOf([age, numbers], manifest);
    expect(rows.kind === 'features' && rows.features).toMatchObject([
      { default: 40n, allowNan: false },
      { default: Number.NaN, allowNan: true },
      { default: 70, allowNan: false },
      { default: false, type: 'flag', dataType: 'float32', allowNan: false },
    ]);
    expect(rowsOf([age], named('age'))).toMatchObject({
      features: [{ name: 'age', type: 'integer', dataType: 'int64', input: 0, column: 0, allowNan: false }],
    });
  });

  test.each([
    [
      [numbers],
      named('a', 'b'),
      ': features: found 2 (a, b); allowed is a list of 3, as many as the inputs have columns (numbers: 3)',
    ],
    [
      [age, numbers],
      named('a', 'b', 'c', 'd', 'e'),
      ': features: found 5 (a, b, c, d, e); allowed is a list of 4, as many as the inputs have columns (age: 1, numbers: 3)',
    ],
    [
      [age, plan],
      named('age', 'plam'),
      ': features[1].name: found "plam"; allowed is the name of an input, such as "plan"',
    ],
    [
      [age, plan, active],
      named('age', 'plan'),
      ': features: found age, plan; allowed is a list with all 3 inputs; missing: active',
    ],
    [
      [numbers],
      'features: [{ name: a, type: text }, { name: b }, { name: c }]',
      ': features[0].type: found "text"; allowed is number or flag, as input "numbers" is float32',
    ],
    [
      [age],
      'features: [{ name: age, type: number }]',
      ': features[0].type: found "number"; allowed is integer or flag, as input "age" is int64',
    ],
    [
      [plan],
      'features: [{ name: plan, type: flag }]',
      ': features[0].type: found "flag"; allowed is text, as input "plan" is string',
    ],
    [
      [active],
      'features: [{ name: active, type: integer }]',
      ': features[0].type: found "integer"; allowed is flag, as input "active" is bool',
    ],
    [
      [age],
      'features: [{ name: age, allow_nan: true }]',
      ': features[0].allow_nan: found true; allowed is false, as input "age" is int64',
    ],
    [
      [age],
      'features: [{ name: age, default: 1.5 }]',
      ': features[0].default: found 1.5; allowed is a whole number (below 2^53), as input "age" is int64',
    ],
    [
      [{ name: 'b', type: 'uint8', dims: ['N', 1] }],
      'features: [{ name: b, default: 256 }]',
      ': features[0].default: found 256; allowed is 0 to 255, as input "b" is uint8',
    ],
    [
      [{ name: 'b', type: 'int8', dims: ['N', 1] }],
      'features: [{ name: b, type: integer, default: -129 }]',
      ': features[0].default: found -129; allowed is -128 to 127, as input "b" is int8',
    ],
  ] satisfies [ValueDef[], string, string][])('that do not fit: %#', (inputs, manifest, message) => {
    expect(mistake(inputs, manifest).replace(/(yaml):1/, '$1')).toBe(`${MANIFEST}${message}`);
  });
});

describe('rows that no input can take', () => {
  test.each([
    [
      'float16',
      { name: 'x', type: 'float16', dims: ['N', 2] },
      'input "x" is float16, for which there are no rows; send tensors instead of rows',
    ],
    [
      'a scalar',
      { name: 'x', type: 'float32', dims: [] },
      'input "x" is a scalar, which is not of a row; send tensors instead of rows',
    ],
    [
      'a fixed number of rows',
      { name: 'x', type: 'float32', dims: [16, 2] },
      'input "x" takes exactly 16 rows: its first dimension is fixed; export it with an open first dimension',
    ],
    [
      'no shape',
      { name: 'x', type: 'float32' },
      `input "x" declares no shape; set features in ${MANIFEST}, or send tensors instead of rows`,
    ],
    [
      'texts of any number',
      { name: 'x', type: 'string', dims: ['N', 'T'] },
      `input "x" has an open width; set features in ${MANIFEST}, or send tensors instead of rows`,
    ],
    [
      'two open dimensions',
      { name: 'x', type: 'float32', dims: ['N', 'T', 4] },
      'input "x" has an open dimension beside the first one; send tensors instead of rows',
    ],
  ] satisfies [string, ValueDef, string][])('%s', (_, input, problem) => {
    const { rows, inputs } = signatureOf(taking(input));
    expect(rows).toEqual({ kind: 'unknown', problem });
    expect(inputs).toHaveLength(1);
  });

  test('an open width beside other inputs; no inputs', () => {
    expect(rowsOf([age, { name: 'x', type: 'float32', dims: ['N', 'T'] }])).toMatchObject({
      kind: 'unknown',
      problem: 'input "x" has an open dimension beside the first one; send tensors instead of rows',
    });
    expect(rowsOf([])).toEqual({ kind: 'unknown', problem: 'the graph has no inputs' });
  });
});

describe('batches', () => {
  const batching = (inputs: ValueDef[], manifest = '') => signatureOf(taking(...inputs), manifest).batching;

  test('are taken where the first dimension of every input is open', () => {
    expect(batching([numbers, age, active])).toEqual({ supported: true, reason: '' });
  });

  test.each([
    [[{ ...numbers, dims: [1, 3] }], 'input "numbers" takes one row at a time: its first dimension is fixed at 1'],
    [[numbers, { ...age, dims: [1, 1] }], 'input "age" takes one row at a time: its first dimension is fixed at 1'],
    [[{ ...numbers, dims: [8, 3] }], 'input "numbers" takes exactly 8 rows: its first dimension is fixed'],
    [[{ ...numbers, dims: [] }], 'input "numbers" is a scalar'],
    [[{ name: 'x', type: 'float32' }], 'input "x" declares no shape'],
    [[], 'the graph has no inputs'],
  ] satisfies [ValueDef[], string][])('are not: %#', (inputs, reason) => {
    expect(batching(inputs)).toEqual({ supported: false, reason });
  });

  test('one row at a time still has rows', () => {
    expect(rowsOf([{ ...numbers, dims: [1, 3] }])).toMatchObject({
      kind: 'features',
      inputs: [{ rowDims: [3], width: 3 }],
    });
  });

  test('are not taken where the manifest says so, or where 8-bit scales are taken over the batch', () => {
    expect(batching([numbers], 'batching: { enabled: false }')).toEqual({
      supported: false,
      reason: `batching.enabled is false in ${MANIFEST}`,
    });
    const quantized: ModelDef = {
      ...taking(numbers),
      nodes: [{ op: 'DynamicQuantizeLinear', inputs: ['numbers'], outputs: ['q', 's', 'z'] }],
    };
    expect(signatureOf(quantized).batching).toEqual({
      supported: false,
      reason: expect.stringContaining('over the whole batch (DynamicQuantizeLinear)'),
    });
  });
});
