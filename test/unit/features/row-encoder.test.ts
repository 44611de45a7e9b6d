import { describe, expect, it } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { EncodedRow, Row, RowValue } from '../../../src/features/row.ts';
import { rowEncoder } from '../../../src/features/row-encoder.ts';
import type { Feature, RowInput, RowLayout } from '../../../src/models/model.ts';
import type { DataType } from '../../../src/tensor.ts';

const dense = (...values: number[]): Row => ({ form: 'dense', values });
const named = (values: Record<string, RowValue | undefined>): Row => ({
  form: 'named',
  values: new Map(Object.entries(values)),
});

function feature(name: string, type: Feature['type'], dataType: DataType, place: Partial<Feature> = {}): Feature {
  return { name, type, dataType, input: 0, column: 0, allowNan: false, ...place };
}

function input(name: string, type: DataType, width: number): RowInput {
  return { name, type, rowDims: [width], width };
}

function featuresLayout(features: Feature[], inputs: RowInput[]): RowLayout {
  return { kind: 'features', features, inputs, dense: inputs.every(({ type }) => type !== 'string'), named: true };
}

/** One float32 input of the given columns. */
function floats(...columns: (string | Partial<Feature>)[]): RowLayout {
  const features = columns.map((column, index) => {
    const change = typeof column === 'string' ? { name: column } : column;
    return feature(change.name ?? `f${index}`, 'number', 'float32', { ...change, column: index });
  });
  return featuresLayout(features, [input('x', 'float32', columns.length)]);
}

/** A single input of one value. */
function single(type: Feature['type'], dataType: DataType, change: Partial<Feature> = {}): RowLayout {
  return featuresLayout([feature('v', type, dataType, change)], [input('x', dataType, 1)]);
}

function encode(layout: RowLayout, row: Row): EncodedRow {
  return rowEncoder('churn', layout)(row);
}

/** What the encoder throws; fails the test where it doesn't. */
function refusal(layout: RowLayout, row: Row): ScorewireError {
  try {
    encode(layout, row);
  } catch (error) {
    if (error instanceof ScorewireError) return error;
    throw error;
  }
  throw new Error('the row was taken');
}

/** The single field at fault. */
function violation(layout: RowLayout, row: Row): string {
  const { kind, reason, details } = refusal(layout, row);
  expect([kind, reason]).toEqual(['invalid_argument', 'INVALID_ROW']);
  expect(details.violations?.length).toBe(1);
  return details.violations?.map(({ field, description }) => `${field}: ${description}`).join() ?? '';
}

describe('a dense row', () => {
  it('goes to the one float32 input as it stands', () => {
    const { inputs, dims, shapeKey } = encode(floats('a', 'b', 'c'), dense(1.5, -2, 0));
    expect(inputs).toEqual([new Float32Array([1.5, -2, 0])]);
    expect(dims).toBeUndefined();
    expect(shapeKey).toBe('');
  });

  it('is copied: what the caller does to it later changes nothing', () => {
    const values = new Float32Array([1, 2]);
    const { inputs } = encode(floats('a', 'b'), { form: 'dense', values });
    values.fill(9);
    expect(inputs).toEqual([new Float32Array([1, 2])]);
  });

  it('is rounded to 32 bits', () => {
    expect(encode(floats('a'), dense(0.1)).inputs[0]?.[0]).toBe(Math.fround(0.1));
  });

  it('is spread over several inputs, in the order of the features', () => {
    const layout = featuresLayout(
      [
        feature('age', 'integer', 'int64', { input: 1, column: 0 }),
        feature('income', 'number', 'float64', { input: 0, column: 1 }),
        feature('active', 'flag', 'bool', { input: 2, column: 0 }),
        feature('balance', 'number', 'float64', { input: 0, column: 0 }),
      ],
      [input('money', 'float64', 2), input('age', 'int64', 1), input('active', 'bool', 1)],
    );
    expect(encode(layout, dense(42, 0.1, 1, 7)).inputs).toEqual([
      new Float64Array([7, 0.1]),
      new BigInt64Array([42n]),
      new Uint8Array([1]),
    ]);
  });

  it('is put in the columns that the features say, also in a single float32 input', () => {
    const layout = featuresLayout(
      [feature('a', 'number', 'float32', { column: 1 }), feature('b', 'number', 'float32', { column: 0 })],
      [input('x', 'float32', 2)],
    );
    expect(encode(layout, dense(1, 2)).inputs).toEqual([new Float32Array([2, 1])]);
  });

  it.each([[[]], [[1, 2]], [[1, 2, 3, 4]]])('must have as many values as there are features: %j', (values) => {
    expect(violation(floats('a', 'b', 'c'), { form: 'dense', values })).toBe(
      `row.dense.values: expected 3 values, found ${values.length}`,
    );
  });

  it.each([
    ['NaN', Number.NaN, 'NaN'],
    ['infinity', Number.POSITIVE_INFINITY, 'Infinity'],
    ['minus infinity', Number.NEGATIVE_INFINITY, '-Infinity'],
    ['a number too large for 32 bits', 1e39, '1e+39'],
  ])('must not have %s', (_, value, found) => {
    const expected = `row.dense.values[1]: b: expected a finite 32-bit number, found ${found}`;
    expect(violation(floats('a', 'b', 'c'), dense(1, value, 3))).toBe(expected);
    // The same where values are not taken as they stand.
    const spread = featuresLayout(
      [feature('a', 'number', 'float32', { input: 1 }), feature('b', 'number', 'float32', { input: 0 })],
      [input('x', 'float32', 1), input('y', 'float32', 1)],
    );
    expect(violation(spread, dense(1, value))).toBe(expected);
  });

  it('may have NaN where the feature allows it, and nothing else that is not finite', () => {
    const layout = floats('a', { name: 'b', allowNan: true });
    expect(encode(layout, dense(1, Number.NaN)).inputs).toEqual([new Float32Array([1, Number.NaN])]);
    expect(violation(layout, dense(Number.NaN, 1))).toContain('row.dense.values[0]: a:');
    expect(violation(layout, dense(1, Number.POSITIVE_INFINITY))).toContain('found Infinity');
  });

  it('is refused where a feature is text', () => {
    expect(violation(single('text', 'string'), dense(1))).toBe(
      'row.dense: churn has text features: expected row.named, found row.dense',
    );
  });

  it('has no defaults: a value that is not there is not left out', () => {
    expect(violation(floats({ name: 'a', default: 1 }), dense())).toBe('row.dense.values: expected 1 values, found 0');
  });
});

describe('a row by name', () => {
  it('is put in the order of the features, whatever order it comes in', () => {
    expect(encode(floats('a', 'b', 'c'), named({ c: 3, a: 1, b: 2 })).inputs).toEqual([new Float32Array([1, 2, 3])]);
  });

  it('mixes texts and numbers', () => {
    const layout = featuresLayout(
      [
        feature('plan', 'text', 'string', { input: 0, column: 0 }),
        feature('city', 'text', 'string', { input: 0, column: 1 }),
        feature('age', 'integer', 'int64', { input: 1 }),
      ],
      [input('texts', 'string', 2), input('age', 'int64', 1)],
    );
    const { inputs, dims, shapeKey } = encode(layout, named({ age: 42n, city: 'Bern', plan: '' }));
    expect(inputs).toEqual([['', 'Bern'], new BigInt64Array([42n])]);
    expect([dims, shapeKey]).toEqual([undefined, '']);
  });

  it('takes defaults for what is not there, or named and not set', () => {
    const layout = floats('a', { name: 'b', default: 7 });
    expect(encode(layout, named({ a: 1 })).inputs).toEqual([new Float32Array([1, 7])]);
    expect(encode(layout, named({ a: 1, b: undefined })).inputs).toEqual([new Float32Array([1, 7])]);
    expect(encode(layout, named({ a: 1, b: 2 })).inputs).toEqual([new Float32Array([1, 2])]);
  });

  it.each<[string, RowLayout, RowValue | undefined, unknown]>([
    ['0', single('number', 'float32', { default: 7 }), 0, new Float32Array([0])],
    ['an empty text', single('text', 'string', { default: 'none' }), '', ['']],
    ['false', single('flag', 'bool', { default: true }), false, new Uint8Array([0])],
    ['NaN', single('number', 'float32', { default: 7, allowNan: true }), Number.NaN, new Float32Array([Number.NaN])],
  ])('keeps %s and takes no default for it', (_, layout, value, expected) => {
    expect(encode(layout, named({ v: value })).inputs[0]).toEqual(expected);
  });

  it.each<[string, RowLayout, unknown]>([
    ['NaN', single('number', 'float32', { default: Number.NaN, allowNan: true }), new Float32Array([Number.NaN])],
    ['an integer', single('integer', 'int64', { default: -3n }), new BigInt64Array([-3n])],
    ['a flag', single('flag', 'float32', { default: true }), new Float32Array([1])],
    ['a text', single('text', 'string', { default: 'unknown' }), ['unknown']],
  ])('takes a default that is %s', (_, layout, expected) => {
    expect(encode(layout, named({})).inputs[0]).toEqual(expected);
  });

  it.each<[Feature['type'], DataType, string]>([
    ['number', 'float32', 'a number'],
    ['integer', 'int64', 'an integer'],
    ['text', 'string', 'text'],
    ['flag', 'bool', 'a flag'],
  ])('must have every feature that has no default: a %s', (type, dataType, article) => {
    const expected = `row.named.values["v"]: expected ${article}, found nothing`;
    expect(violation(single(type, dataType), named({}))).toBe(expected);
    expect(violation(single(type, dataType), named({ v: undefined }))).toBe(expected);
  });

  it('must not have a name that is not a feature’s; the nearest one is offered', () => {
    expect(violation(floats('age', 'income'), named({ age: 1, income: 2, incme: 3 }))).toBe(
      'row.named.values["incme"]: churn has no such feature; did you mean "income"?',
    );
    expect(violation(floats('age', 'income'), named({ age: 1, income: 2, zzzzzzzzzzzz: undefined }))).toBe(
      'row.named.values["zzzzzzzzzzzz"]: churn has no such feature; its features are age, income',
    );
  });

  it('is told at most twelve of the features', () => {
    const layout = floats(...Array.from({ length: 15 }, (_, i) => `feature${i}`));
    const row = named({ ...Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`feature${i}`, 1])), q: 1 });
    expect(violation(layout, row)).toMatch(/its features are feature0, .*feature11 and 3 more$/);
  });

  it('names everything that is wrong at once', () => {
    const { message, details } = refusal(floats('a', 'b', 'c'), named({ a: 'x', b: Number.NaN, d: 1 }));
    expect(details.violations?.map(({ field }) => field)).toEqual([
      'row.named.values["a"]',
      'row.named.values["b"]',
      'row.named.values["c"]',
      'row.named.values["d"]',
    ]);
    for (const { field, description } of details.violations ?? [])
      expect(message).toContain(`${field}: ${description}`);
  });

  it('quotes names as they are', () => {
    expect(violation(floats('a "b"\n'), named({}))).toContain('row.named.values["a \\"b\\"\\n"]');
  });

  it('is refused where the features have no names', () => {
    const layout = { ...floats('a', 'b'), named: false } as RowLayout;
    expect(violation(layout, named({ a: 1, b: 2 }))).toMatch(
      /^row\.named: churn has no feature names: expected row\.dense with 2 values.*"features" in its model\.yaml/,
    );
    expect(encode(layout, dense(1, 2)).inputs).toEqual([new Float32Array([1, 2])]);
  });

  it('a name that every object has is not taken for a feature', () => {
    expect(
      violation(floats('a'), {
        form: 'named',
        values: new Map([
          ['a', 1],
          ['constructor', 1],
        ]),
      }),
    ).toContain('["constructor"]');
  });
});

describe('casts', () => {
  it.each<[Feature['type'], DataType, RowValue, unknown]>([
    ['number', 'float32', 0.1, new Float32Array([0.1])],
    ['number', 'float32', 3n, new Float32Array([3])],
    ['number', 'float32', -0, new Float32Array([-0])],
    ['number', 'float32', 3.4028234663852886e38, new Float32Array([3.4028234663852886e38])],
    ['number', 'float64', 0.1, new Float64Array([0.1])],
    ['number', 'float64', 1e300, new Float64Array([1e300])],
    ['integer', 'int8', -128, new Int8Array([-128])],
    ['integer', 'int16', 32_767, new Int16Array([32_767])],
    ['integer', 'int32', 2_147_483_647n, new Int32Array([2_147_483_647])],
    ['integer', 'int32', -5, new Int32Array([-5])],
    ['integer', 'int64', 42, new BigInt64Array([42n])],
    ['integer', 'int64', 9_223_372_036_854_775_807n, new BigInt64Array([9_223_372_036_854_775_807n])],
    ['integer', 'int64', -9_223_372_036_854_775_808n, new BigInt64Array([-9_223_372_036_854_775_808n])],
    ['integer', 'uint8', 255, new Uint8Array([255])],
    ['integer', 'uint16', 65_535n, new Uint16Array([65_535])],
    ['integer', 'uint32', 4_294_967_295, new Uint32Array([4_294_967_295])],
    ['integer', 'uint64', 18_446_744_073_709_551_615n, new BigUint64Array([18_446_744_073_709_551_615n])],
    ['flag', 'bool', true, new Uint8Array([1])],
    ['flag', 'bool', false, new Uint8Array([0])],
    ['flag', 'bool', 1, new Uint8Array([1])],
    ['flag', 'float32', true, new Float32Array([1])],
    ['flag', 'int64', true, new BigInt64Array([1n])],
    ['flag', 'int32', 0, new Int32Array([0])],
    ['text', 'string', 'ñ"\t', ['ñ"\t']],
  ])('a %s of a %s input: %s', (type, dataType, value, expected) => {
    expect(encode(single(type, dataType), named({ v: value })).inputs).toEqual([expected]);
  });

  it.each<[Feature['type'], DataType, RowValue, string]>([
    ['number', 'float32', 'x', 'expected a number, found text "x"'],
    ['number', 'float32', true, 'expected a number, found flag true'],
    ['number', 'float32', Number.NaN, 'expected a finite 32-bit number, found NaN'],
    ['number', 'float32', Number.NEGATIVE_INFINITY, 'expected a finite 32-bit number, found -Infinity'],
    ['number', 'float32', 3.5e38, 'expected a finite 32-bit number, found 3.5e+38'],
    ['number', 'float32', 10n ** 40n, `expected a finite 32-bit number, found integer 1${'0'.repeat(40)}`],
    ['number', 'float64', Number.NaN, 'expected a finite number, found NaN'],
    ['number', 'float64', Number.POSITIVE_INFINITY, 'expected a finite number, found Infinity'],
    ['integer', 'int64', 1.5, 'expected an integer, found 1.5'],
    ['integer', 'int64', Number.NaN, 'expected an integer, found NaN'],
    ['integer', 'int64', Number.POSITIVE_INFINITY, 'expected an integer, found Infinity'],
    ['integer', 'int64', '5', 'expected an integer, found text "5"'],
    ['integer', 'int64', false, 'expected an integer, found flag false'],
    [
      'integer',
      'int64',
      2n ** 63n,
      'expected an integer from -9223372036854775808 to 9223372036854775807, found integer 9223372036854775808',
    ],
    [
      'integer',
      'int64',
      1e19,
      'expected an integer from -9223372036854775808 to 9223372036854775807, found 10000000000000000000',
    ],
    ['integer', 'int32', 2_147_483_648, 'expected an integer from -2147483648 to 2147483647, found 2147483648'],
    [
      'integer',
      'int32',
      -2_147_483_649n,
      'expected an integer from -2147483648 to 2147483647, found integer -2147483649',
    ],
    ['integer', 'int16', 32_768, 'expected an integer from -32768 to 32767, found 32768'],
    ['integer', 'int8', -129, 'expected an integer from -128 to 127, found -129'],
    ['integer', 'uint8', -1, 'expected an integer from 0 to 255, found -1'],
    ['integer', 'uint8', 256n, 'expected an integer from 0 to 255, found integer 256'],
    ['integer', 'uint16', 65_536, 'expected an integer from 0 to 65535, found 65536'],
    ['integer', 'uint32', 4_294_967_296, 'expected an integer from 0 to 4294967295, found 4294967296'],
    ['integer', 'uint64', -1n, 'expected an integer from 0 to 18446744073709551615, found integer -1'],
    ['text', 'string', 5, 'expected text, found 5'],
    ['text', 'string', 5n, 'expected text, found integer 5'],
    ['text', 'string', true, 'expected text, found flag true'],
    ['flag', 'bool', 2, 'expected a flag, found 2'],
    ['flag', 'bool', 'true', 'expected a flag, found text "true"'],
    ['flag', 'bool', Number.NaN, 'expected a flag, found NaN'],
    [
      'number',
      'float32',
      'a text of more than forty characters, cut short',
      'expected a number, found text "a text of more than forty characters, cu..."',
    ],
  ])('not a %s of a %s input: %s', (type, dataType, value, description) => {
    expect(violation(single(type, dataType), named({ v: value }))).toBe(`row.named.values["v"]: ${description}`);
  });

  it('NaN is a number only where it is allowed, and never an integer', () => {
    expect(encode(single('number', 'float64', { allowNan: true }), named({ v: Number.NaN })).inputs).toEqual([
      new Float64Array([Number.NaN]),
    ]);
    expect(
      violation(single('number', 'float64', { allowNan: true }), named({ v: Number.POSITIVE_INFINITY })),
    ).toContain('Infinity');
  });

  it('are the same for a dense row and a row by name', () => {
    const layout = featuresLayout(
      [
        feature('a', 'number', 'float64', { input: 0 }),
        feature('b', 'integer', 'int32', { input: 1 }),
        feature('c', 'flag', 'bool', { input: 2 }),
      ],
      [input('a', 'float64', 1), input('b', 'int32', 1), input('c', 'bool', 1)],
    );
    expect(encode(layout, dense(0.1, 7, 1))).toEqual(encode(layout, named({ a: 0.1, b: 7n, c: true })));
    const { details } = refusal(layout, dense(Number.NaN, 1.5, 2));
    expect(details.violations).toEqual([
      { field: 'row.dense.values[0]', description: 'a: expected a finite number, found NaN' },
      { field: 'row.dense.values[1]', description: 'b: expected an integer, found 1.5' },
      { field: 'row.dense.values[2]', description: 'c: expected a flag, found 2' },
    ]);
  });
});

describe('a model of rows of any length', () => {
  const open = (type: DataType, rowDims: (number | null)[] = [null]): RowLayout => ({
    kind: 'open',
    input: { name: 'x', type, rowDims, width: 0 },
  });

  it('takes them as they come; rows as long as each other may ride together', () => {
    const { inputs, dims, shapeKey } = encode(open('float32'), dense(1, 2, 3));
    expect(inputs).toEqual([new Float32Array([1, 2, 3])]);
    expect(dims).toEqual([[3]]);
    expect(encode(open('float32'), dense(4, 5, 6)).shapeKey).toBe(shapeKey);
    expect(encode(open('float32'), dense(1, 2)).shapeKey).not.toBe(shapeKey);
  });

  it('fills its open dimension, beside those that are fixed', () => {
    expect(encode(open('float32', [null, 2]), dense(1, 2, 3, 4, 5, 6)).dims).toEqual([[3, 2]]);
    expect(violation(open('float32', [null, 2]), dense(1, 2, 3))).toBe(
      'row.dense.values: expected a multiple of 2 values, found 3',
    );
  });

  it('needs at least one value', () => {
    expect(violation(open('float32'), dense())).toBe('row.dense.values: expected at least one value, found 0');
  });

  it.each<[DataType, unknown]>([
    ['float64', new Float64Array([1, 0])],
    ['int64', new BigInt64Array([1n, 0n])],
    ['int32', new Int32Array([1, 0])],
    ['bool', new Uint8Array([1, 0])],
  ])('casts to %s', (type, expected) => {
    expect(encode(open(type), dense(1, 0)).inputs).toEqual([expected]);
  });

  it('checks every value', () => {
    expect(violation(open('float32'), dense(1, Number.NaN))).toBe(
      'row.dense.values[1]: expected a finite 32-bit number, found NaN',
    );
    expect(violation(open('int64'), dense(1, 1.5))).toBe('row.dense.values[1]: expected an integer, found 1.5');
  });

  it('takes no names', () => {
    expect(violation(open('float32'), named({ x: 1 }))).toBe(
      'row.named: churn takes rows of any length: expected row.dense',
    );
  });
});

it('a model whose rows can’t be told says so, with the model’s name', () => {
  const error = refusal({ kind: 'unknown', problem: 'input "x" is a scalar' }, dense(1));
  expect(error.kind).toBe('failed_precondition');
  expect(error.reason).toBe('ROWS_NOT_CONFIGURED');
  expect(error.message).toBe('churn: input "x" is a scalar');
});

// A message may have megabytes: neither the answer nor the search for mistakes may grow with it.
describe('a hopeless row', () => {
  const hopeless: [string, RowLayout, Row][] = [
    [
      'a million values that are no numbers',
      { kind: 'open', input: { name: 'x', type: 'float32', rowDims: [null], width: 0 } },
      { form: 'dense', values: new Float32Array(1_000_000).fill(Number.NaN) },
    ],
    [
      'as many features as it has values',
      floats(...Array.from({ length: 5000 }, (_, i) => `f${i}`)),
      { form: 'dense', values: new Float32Array(5000).fill(Number.NaN) },
    ],
    [
      'names that are no features',
      floats(...Array.from({ length: 100 }, (_, i) => ({ name: `f${i}`, default: 0 }))),
      { form: 'named', values: new Map(Array.from({ length: 200_000 }, (_, i) => [`x${i}`, 1])) },
    ],
    ['features that are not there', floats(...Array.from({ length: 5000 }, (_, i) => `f${i}`)), named({})],
  ];

  it.each(hopeless)('is told sixteen of its mistakes, and that there are more: %s', (_, layout, row) => {
    const { message, details } = refusal(layout, row);
    expect(details.violations?.length).toBe(16);
    expect(message).toMatch(/; and more$/);
    expect(message.length).toBeLessThan(10_000);
  });

  it.each<[string, RowLayout]>([
    ['open', { kind: 'open', input: { name: 'x', type: 'float32', rowDims: [null], width: 0 } }],
    [
      'of features',
      featuresLayout(
        [...Array(1000).keys()].map((i) => feature(`f${i}`, 'number', 'float64', { column: i })),
        [input('x', 'float64', 1000)],
      ),
    ],
  ])('is not searched to its end: %s', (_, layout) => {
    let reads = 0;
    const values = new Proxy(new Array<number>(1000).fill(Number.NaN), {
      get(target, key) {
        reads++;
        return Reflect.get(target, key);
      },
    });
    expect(refusal(layout, { form: 'dense', values }).details.violations?.length).toBe(16);
    expect(reads).toBeLessThan(50);
  });

  it('with sixteen mistakes is told all, and that is all', () => {
    const { message, details } = refusal(floats(...Array.from({ length: 16 }, (_, i) => `f${i}`)), named({}));
    expect(details.violations?.length).toBe(16);
    expect(message).not.toContain('and more');
  });

  it('with a name of megabytes gets none of them back', () => {
    const name = 'n'.repeat(4_000_000);
    const found = violation(floats('a'), {
      form: 'named',
      values: new Map([
        ['a', 1],
        [name, 1],
      ]),
    });
    expect(found).toContain('nnn...');
    expect(found.length).toBeLessThan(500);
  });
});

it('a fault of ours is not called a mistake of the caller', () => {
  expect(() => encode(single('number', 'int64'), named({ v: 1.5 }))).toThrow(TypeError);
});
