// Rows in blocks: whatever the layout and whatever is in the columns, what comes out is what the rows give one by one.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { blockEncoder, type EncodedBlock } from '../../../src/features/block-encoder.ts';
import type { RowValue } from '../../../src/features/row.ts';
import { rowEncoder } from '../../../src/features/row-encoder.ts';
import { type Column, ColumnRows, MatrixRows, type RowSource } from '../../../src/features/row-source.ts';
import type { Feature, FeatureDefault, FeatureType, RowInput, RowLayout } from '../../../src/models/model.ts';
import { allocate, copyInto, type DataType, type TensorData } from '../../../src/tensor.ts';

type FeatureLayout = Extract<RowLayout, { kind: 'features' }>;

const FLOATS: readonly DataType[] = ['float32', 'float64'];
const INTEGERS: readonly DataType[] = ['int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'];

const doubles = fc.oneof(
  fc.double(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: -3, max: 300 }),
  fc.constantFrom(0, -0, 1, Number.NaN, 1e39, 2 ** 53, 2 ** 63, -(2 ** 63), 2 ** 64, 4_294_967_295, -2_147_483_649),
);
const integers = fc.oneof(
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.bigInt(-3n, 300n),
  fc.constantFrom(0n, 1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n),
);

function typesFor(type: FeatureType): readonly DataType[] {
  if (type === 'number') return FLOATS;
  if (type === 'integer') return [...INTEGERS, 'float32'];
  return type === 'text' ? ['string'] : [...FLOATS, ...INTEGERS, 'bool'];
}

function defaultsFor(type: FeatureType): fc.Arbitrary<FeatureDefault> {
  if (type === 'number') return fc.constantFrom(0.1, -3, 7);
  if (type === 'integer') return fc.constantFrom(0n, 5n, 100n);
  return type === 'text' ? fc.constant('basic') : fc.boolean();
}

const feature = fc.constantFrom<FeatureType[]>('number', 'integer', 'text', 'flag').chain((type) =>
  fc.record({
    type: fc.constant(type),
    dataType: fc.constantFrom(...typesFor(type)),
    allowNan: type === 'number' ? fc.boolean() : fc.constant(false),
    default: fc.option(defaultsFor(type), { nil: undefined }),
  }),
);

/** Features in one input a type, or in one input each. */
const layouts = fc
  .record({ kinds: fc.array(feature, { minLength: 1, maxLength: 5 }), together: fc.boolean() })
  .map(({ kinds, together }): FeatureLayout => {
    const inputs: RowInput[] = [];
    const features = kinds.map(({ default: value, ...kind }, index): Feature => {
      let input = together ? inputs.findIndex(({ type }) => type === kind.dataType) : -1;
      if (input < 0) input = inputs.push({ name: `i${index}`, type: kind.dataType, rowDims: [1], width: 0 }) - 1;
      const column = (inputs[input] as RowInput).width++;
      return { name: `f${index}`, ...kind, input, column, ...(value === undefined ? {} : { default: value }) };
    });
    const dense = features.every(({ type }) => type !== 'text');
    return { kind: 'features', features, inputs, dense, named: true };
  });

/** A column that suits the feature, mostly. */
function columnFor({ type }: Feature, rows: number): fc.Arbitrary<Column> {
  const list = <T>(value: fc.Arbitrary<T>) => fc.array(value, { minLength: rows, maxLength: rows });
  const anything: Record<string, fc.Arbitrary<Column['values']>> = {
    doubles: list(doubles).map((values) => Float64Array.from(values)),
    small: list(fc.integer({ min: 0, max: 1 })).map((values) => Float64Array.from(values)),
    tame: list(fc.double({ min: -1e6, max: 1e6, noNaN: true })).map((values) => Float64Array.from(values)),
    floats: list(doubles).map((values) => Float32Array.from(values)),
    int32: list(fc.integer({ min: -2, max: 200 })).map((values) => Int32Array.from(values)),
    int64: list(integers).map((values) => BigInt64Array.from(values)),
    bits: list(fc.integer({ min: 0, max: 1 })).map((values) => Uint8Array.from(values)),
    flags: list(fc.boolean()),
    texts: list(fc.string({ maxLength: 3 })),
  };
  const suited = {
    number: ['doubles', 'tame', 'tame', 'floats', 'int32', 'int64'],
    integer: ['doubles', 'small', 'int32', 'int64'],
    flag: ['small', 'bits', 'flags', 'int32'],
    text: ['texts'],
  }[type];
  const values = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.constantFrom(...suited).chain((name) => anything[name] as fc.Arbitrary<Column['values']>),
    },
    { weight: 1, arbitrary: fc.oneof(...Object.values(anything)) },
  );
  const nulls = fc.option(
    list(fc.constantFrom(0, 0, 0, 1)).map((bits) => Uint8Array.from(bits)),
    { nil: undefined },
  );
  return fc
    .record({ values, nulls })
    .map(({ values, nulls }) => (nulls === undefined ? { values } : { values, nulls }));
}

const sharedValue: fc.Arbitrary<RowValue | undefined> = fc.oneof(
  doubles,
  integers,
  fc.boolean(),
  fc.string(),
  fc.constant(undefined),
);

const columnSources = layouts.chain((layout) =>
  fc.integer({ min: 1, max: 9 }).chain((rows) =>
    fc
      .record({
        columns: fc.tuple(...layout.features.map((one) => columnFor(one, rows))),
        givenAs: fc.array(fc.constantFrom('column', 'column', 'column', 'column', 'shared', 'nothing'), {
          minLength: layout.features.length,
          maxLength: layout.features.length,
        }),
        shared: sharedValue,
        stranger: fc.constantFrom(false, false, false, false, true),
        from: fc.integer({ min: 0, max: rows - 1 }),
      })
      .map(({ columns, givenAs, shared, stranger, from }) => {
        const by = new Map<string, Column>();
        const constants = new Map<string, RowValue | undefined>(stranger ? [['stranger', 1]] : []);
        for (const [index, { name }] of layout.features.entries()) {
          if (givenAs[index] === 'column') by.set(name, columns[index] as Column);
          else if (givenAs[index] === 'shared') constants.set(name, shared);
        }
        return { layout, source: new ColumnRows(rows, by, constants), from, to: rows };
      }),
  ),
);

/** What the rows give one by one. */
function expected(layout: FeatureLayout, source: RowSource, from: number, to: number): Comparable {
  const encode = rowEncoder('m', layout);
  const rows: number[] = [];
  const errors: Comparable['errors'] = [];
  const encoded: (readonly TensorData[])[] = [];
  for (let row = from; row < to; row++) {
    try {
      encoded.push(encode(source.row(row, layout.features)).inputs);
      rows.push(row);
    } catch (error) {
      if (!(error instanceof ScorewireError)) throw error;
      errors.push({ row, message: error.message });
    }
  }
  const inputs = layout.inputs.map(({ type, width }, index) => {
    const all = allocate(type, width * encoded.length);
    for (const [place, row] of encoded.entries()) copyInto(all, place * width, row[index] as TensorData);
    return all;
  });
  // Without rows there is nothing to have a width.
  return { rows, inputs: rows.length === 0 ? [] : inputs, errors };
}

type Comparable = { rows: number[]; inputs: readonly TensorData[]; errors: { row: number; message: string }[] };

function comparable({ rows, inputs, errors }: EncodedBlock): Comparable {
  return {
    rows: [...rows],
    inputs: rows.length === 0 ? [] : inputs,
    errors: errors.map(({ row, error }) => ({ row, message: error.message })),
  };
}

function expectSame(layout: FeatureLayout, source: RowSource, from: number, to: number): void {
  const block = blockEncoder(layout, rowEncoder('m', layout))(source, from, to);
  expect(comparable(block)).toEqual(expected(layout, source, from, to));
}

test('columns: the same as the rows one by one', () => {
  fc.assert(
    fc.property(columnSources, ({ layout, source, from, to }) => expectSame(layout, source, from, to)),
    { numRuns: 3000 },
  );
});

test('a matrix: the same as the rows one by one', () => {
  const sources = layouts.chain((layout) =>
    fc
      .record({ rows: fc.integer({ min: 1, max: 9 }), extra: fc.constantFrom(0, 0, 0, 0, 1) })
      .chain(({ rows, extra }) => {
        const width = layout.features.length + extra;
        const values = fc.oneof(fc.integer({ min: 0, max: 1 }), fc.oneof(doubles, fc.integer({ min: 0, max: 100 })));
        return fc.array(values, { minLength: rows * width, maxLength: rows * width }).map((list) => ({
          layout,
          source: new MatrixRows(new Uint8Array(Float32Array.from(list).buffer), width),
          to: rows,
        }));
      }),
  );
  fc.assert(
    fc.property(sources, ({ layout, source, to }) => expectSame(layout, source, 0, to)),
    { numRuns: 1500 },
  );
});

/** One feature called `a`. */
function oneFeature(change: Partial<Feature>): FeatureLayout {
  const one = {
    name: 'a',
    type: 'number',
    dataType: 'float32',
    input: 0,
    column: 0,
    allowNan: false,
    ...change,
  } as const;
  return {
    kind: 'features',
    features: [one],
    inputs: [{ name: 'x', type: one.dataType, rowDims: [1], width: 1 }],
    dense: true,
    named: true,
  };
}

test.each(INTEGERS)('the ends of what %s takes', (dataType) => {
  const layout = oneFeature({ type: 'integer', dataType });
  const ends = [7, 8, 15, 16, 31, 32, 53, 63, 64].flatMap((bits) => [2 ** bits, -(2 ** bits)]);
  for (const end of ends) {
    for (const value of [end - 1, end, end + 1, end + 0.5]) {
      expectSame(layout, new ColumnRows(1, new Map([['a', { values: Float64Array.of(value) }]])), 0, 1);
      if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 63) continue;
      expectSame(layout, new ColumnRows(1, new Map([['a', { values: BigInt64Array.of(BigInt(value)) }]])), 0, 1);
    }
  }
});

test.each([
  ['numbers', { type: 'number', dataType: 'float32' }, Float64Array.of(1, 2.5)],
  ['numbers, NaN among them', { type: 'number', dataType: 'float32', allowNan: true }, Float64Array.of(1, Number.NaN)],
  ['numbers in 64 bits', { type: 'number', dataType: 'float64' }, Float32Array.of(1, 2.5)],
  ['numbers as integers', { type: 'number', dataType: 'float32' }, BigInt64Array.of(1n, 2n)],
  ['integers', { type: 'integer', dataType: 'int64' }, BigInt64Array.of(1n, -(2n ** 62n))],
  ['integers as numbers', { type: 'integer', dataType: 'int64' }, Float64Array.of(1, -(2 ** 62))],
  ['small integers', { type: 'integer', dataType: 'int32' }, Int32Array.of(1, -7)],
  ['texts', { type: 'text', dataType: 'string' }, ['a', 'b']],
  ['flags', { type: 'flag', dataType: 'bool' }, [true, false]],
  ['flags as 0 and 1', { type: 'flag', dataType: 'int64' }, Uint8Array.of(1, 0)],
] as const)('what is plainly right is not looked at row by row: %s', (_, change, values) => {
  const encode = blockEncoder(oneFeature(change), () => {
    throw new Error('one by one');
  });
  for (const nulls of [undefined, Uint8Array.of(0, 0)]) {
    const column = nulls === undefined ? { values } : { values, nulls };
    expect(encode(new ColumnRows(2, new Map([['a', column]])), 0, 2).rows).toEqual(Int32Array.of(0, 1));
  }
});

describe('a value that is not there', () => {
  const source = new ColumnRows(
    3,
    new Map([['a', { values: Float32Array.of(1, 2, 3), nulls: Uint8Array.of(0, 1, 0) }]]),
  );
  const encode = (one: FeatureLayout) => comparable(blockEncoder(one, rowEncoder('m', one))(source, 0, 3));

  test('is NaN where the feature allows that, also where it has a default', () => {
    expect(encode(oneFeature({ allowNan: true, default: 5 })).inputs).toEqual([Float32Array.of(1, Number.NaN, 3)]);
  });

  test('is the default', () => {
    expect(encode(oneFeature({ default: 5 })).inputs).toEqual([Float32Array.of(1, 5, 3)]);
  });

  test('is an error of the row where there is none', () => {
    expect(encode(oneFeature({}))).toEqual({
      rows: [0, 2],
      inputs: [Float32Array.of(1, 3)],
      errors: [{ row: 1, message: 'row.named.values["a"]: expected a number, found nothing' }],
    });
  });
});
