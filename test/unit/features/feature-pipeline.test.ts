// Rows made whole: what the request brings, what is computed, what a store has, and what is said where something is missing.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { blockEncoder } from '../../../src/features/block-encoder.ts';
import { encodeCompleted } from '../../../src/features/encode-completed.ts';
import { type CompleteRow, FeaturePipeline } from '../../../src/features/feature-pipeline.ts';
import { type FeatureObserver, type FeatureRecord, nobody } from '../../../src/features/feature-store.ts';
import type { Row, RowValue } from '../../../src/features/row.ts';
import { rowEncoder } from '../../../src/features/row-encoder.ts';
import { type Column, ColumnRows, MatrixRows } from '../../../src/features/row-source.ts';
import type { Feature, FeatureLayout, FeatureType, RowInput, RowLayout } from '../../../src/models/model.ts';
import type { DataType } from '../../../src/tensor.ts';
import { MemoryFeatureStore } from '../../support/memory-feature-store.ts';

/** Friday 3 July 2026, 21:30 UTC; in Zurich 23:30, in Auckland Saturday 09:30. */
const NOW = Date.UTC(2026, 6, 3, 21, 30);
const HOUR = 3_600_000;

const DATA_TYPES: Record<FeatureType, DataType> = { number: 'float32', integer: 'int64', text: 'string', flag: 'bool' };

type Sketch = Partial<Feature> & { name: string };

/** One input a feature. */
function layoutOf(...sketches: Sketch[]): FeatureLayout {
  const features = sketches.map((sketch, input): Feature => {
    const type = sketch.type ?? 'number';
    return { type, dataType: DATA_TYPES[type], input, column: 0, allowNan: false, ...sketch };
  });
  const inputs = features.map(({ name, dataType }): RowInput => ({ name, type: dataType, rowDims: [1], width: 1 }));
  return { kind: 'features', features, inputs, dense: features.every(({ type }) => type !== 'text'), named: true };
}

type Records = Record<string, { values: Record<string, RowValue>; ageHours?: number }>;

function recordsOf(records: Records): Map<string, FeatureRecord> {
  return new Map(
    Object.entries(records).map(([entity, { values, ageHours = 1 }]) => [
      entity,
      { values: new Map(Object.entries(values)), asOfMs: NOW - ageHours * HOUR },
    ]),
  );
}

function pipelineOf(layout: RowLayout, records?: Records, timeZone = 'UTC', observer: FeatureObserver = nobody) {
  const features = layout.kind === 'features' ? layout.features : [];
  const store = records && new MemoryFeatureStore(features, recordsOf(records));
  return {
    store: store as MemoryFeatureStore,
    pipeline: new FeaturePipeline('churn', layout, { timeZone }, store, observer),
  };
}

function named(values: Record<string, RowValue | undefined>): Row {
  return { form: 'named', values: new Map(Object.entries(values)) };
}

function valuesOf({ row }: CompleteRow): Record<string, RowValue | undefined> {
  if (row.form !== 'named') throw new Error('not by name');
  return Object.fromEntries(row.values);
}

/** Without a promise: at once. */
function atOnce(found: CompleteRow | Promise<CompleteRow>): CompleteRow {
  expect(found).not.toBeInstanceOf(Promise);
  return found as CompleteRow;
}

function errorOf(run: () => unknown): ScorewireError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ScorewireError);
    return error as ScorewireError;
  }
  throw new Error('no error');
}

const STORED = { source: 'store' } as const;

describe('a row', () => {
  test('of a model whose features come from the request alone is the very object that came', () => {
    const { pipeline } = pipelineOf(layoutOf({ name: 'age' }, { name: 'plan', type: 'text' }));
    for (const row of [named({ age: 1 }), named({ nothing: 'x' })]) {
      expect(atOnce(pipeline.complete(row, '42', NOW, 5)).row).toBe(row);
    }
  });

  test('that is whole is the very object that came, and nobody is asked', () => {
    const { pipeline, store } = pipelineOf(layoutOf({ name: 'age', ...STORED }), { 42: { values: { age: 3 } } });
    const row = named({ age: 1 });
    expect(atOnce(pipeline.complete(row, '42', NOW, 5))).toEqual({ row, asOfMs: NOW });
    expect(store.asked).toEqual([]);
  });

  test('of numbers by place is whole', () => {
    const { pipeline, store } = pipelineOf(layoutOf({ name: 'age', ...STORED }), { 42: { values: { age: 3 } } });
    const row: Row = { form: 'dense', values: [1] };
    expect(atOnce(pipeline.complete(row, '42', NOW, 5)).row).toBe(row);
    expect(store.asked).toEqual([]);
  });

  test('has what the request brought before what is computed, and that before what is stored', () => {
    const layout = layoutOf(
      { name: 'hour_of_day', source: 'computed' },
      { name: 'day_of_week', source: 'computed', type: 'integer' },
      { name: 'age', ...STORED },
      { name: 'income', ...STORED, default: 7 },
    );
    const { pipeline } = pipelineOf(layout, { 42: { values: { hour_of_day: 99, day_of_week: 99n, age: 3 } } });
    const complete = atOnce(pipeline.complete(named({ day_of_week: 2n }), '42', NOW, 5));
    expect(valuesOf(complete)).toEqual({ day_of_week: 2n, hour_of_day: 21, age: 3 });
    expect(complete.asOfMs).toBe(NOW - HOUR);
    expect(rowEncoder('churn', layout)(complete.row).inputs[3]).toEqual(Float32Array.of(7));
  });

  test('takes a value that was named but not set for lacking', () => {
    const { pipeline } = pipelineOf(layoutOf({ name: 'age', ...STORED }), { 42: { values: { age: 3 } } });
    expect(valuesOf(atOnce(pipeline.complete(named({ age: undefined }), '42', NOW, 5)))).toEqual({ age: 3 });
  });

  test('without an entity, or of one that nobody knows, is left to the encoder', () => {
    const layout = layoutOf({ name: 'age', ...STORED });
    const { pipeline } = pipelineOf(layout, { 42: { values: { age: 3 } } });
    for (const entity of ['', '7']) {
      const { row, asOfMs } = atOnce(pipeline.complete(named({}), entity, NOW, 5));
      expect(asOfMs).toBe(NOW);
      expect(errorOf(() => rowEncoder('churn', layout)(row))).toMatchObject({
        reason: 'INVALID_ROW',
        message: 'row.named.values["age"]: expected a number, found nothing',
      });
    }
  });

  test('waits only for a store that makes it wait', async () => {
    const layout = layoutOf({ name: 'age', ...STORED });
    const store = new MemoryFeatureStore(layout.features, recordsOf({ 42: { values: { age: 3 } } }), true);
    const pipeline = new FeaturePipeline('churn', layout, { timeZone: 'UTC' }, store);
    const found = pipeline.complete(named({}), '42', NOW, 5);
    expect(found).toBeInstanceOf(Promise);
    expect(valuesOf(await found)).toEqual({ age: 3 });
  });
});

describe('an entity alone', () => {
  test('needs a feature store', async () => {
    const { pipeline } = pipelineOf(layoutOf({ name: 'hour_of_day', source: 'computed' }, { name: 'age', default: 3 }));
    expect(pipeline.byEntity).toBe(false);
    const error = errorOf(() => pipeline.complete(undefined, '42', NOW, 5));
    expect(error).toMatchObject({ kind: 'failed_precondition', reason: 'NO_FEATURES' });
    expect(error.message).toContain('feature_view.store');
    await expect(pipeline.completeMany(undefined, ['42'], 0, 1, NOW, 5)).rejects.toMatchObject({
      reason: 'NO_FEATURES',
    });
  });

  test('is what the store has', () => {
    const { pipeline } = pipelineOf(layoutOf({ name: 'age', ...STORED }, { name: 'plan', type: 'text', ...STORED }), {
      42: { values: { age: 3, plan: 'basic' } },
    });
    expect(pipeline.byEntity).toBe(true);
    const complete = atOnce(pipeline.complete(undefined, '42', NOW, 5));
    expect(valuesOf(complete)).toEqual({ age: 3, plan: 'basic' });
    expect(complete.asOfMs).toBe(NOW - HOUR);
  });

  test('that nobody knows is served where defaults and computed features are enough', () => {
    const layout = layoutOf({ name: 'is_weekend', source: 'computed' }, { name: 'age', ...STORED, default: 4 });
    const { pipeline } = pipelineOf(layout, {});
    const complete = atOnce(pipeline.complete(undefined, '42', NOW, 5));
    expect(complete.asOfMs).toBe(NOW);
    expect(rowEncoder('churn', layout)(complete.row).inputs).toEqual([Float32Array.of(0), Float32Array.of(4)]);
  });

  test('says all that is missing, and why', () => {
    const layout = layoutOf(
      { name: 'age', ...STORED },
      { name: 'income', ...STORED, maxAgeSeconds: 60 },
      { name: 'amount' },
      { name: 'plan', type: 'text', ...STORED, default: 'basic' },
    );
    const { pipeline } = pipelineOf(layout, { 42: { values: { income: 3 } } });
    const error = errorOf(() => pipeline.complete(undefined, '42', NOW, 5));
    expect(error).toMatchObject({ kind: 'invalid_argument', reason: 'MISSING_FEATURES' });
    expect(error.details.violations).toEqual([
      {
        field: 'features["age"]',
        description: 'neither the request nor feature store customers has it, and there is no default',
      },
      {
        field: 'features["income"]',
        description: 'feature store customers has none that is at most 60 s old, and there is no default',
      },
      {
        field: 'features["amount"]',
        description: 'it comes from the request alone, which has no row, and there is no default',
      },
    ]);
    expect(error.message).toContain('entity "42" lacks features["age"]');
    const unknown = errorOf(() => pipeline.complete(undefined, '7', NOW, 5));
    expect(unknown.message).toContain('entity "7", of which feature store customers has no record, lacks');
  });
});

describe('age', () => {
  const layout = layoutOf({ name: 'age', ...STORED }, { name: 'income', ...STORED, maxAgeSeconds: 3600, default: -1 });

  test('beyond a limit makes a value count as absent, of that feature alone', () => {
    const records = {
      fresh: { values: { age: 3, income: 9 }, ageHours: 1 },
      old: { values: { age: 3, income: 9 }, ageHours: 1.001 },
    };
    const { pipeline } = pipelineOf(layout, records);
    expect(valuesOf(atOnce(pipeline.complete(undefined, 'fresh', NOW, 5)))).toEqual({ age: 3, income: 9 });
    const old = atOnce(pipeline.complete(undefined, 'old', NOW, 5));
    expect(valuesOf(old)).toEqual({ age: 3 });
    expect(old.asOfMs).toBe(NOW - 1.001 * HOUR);
  });

  test('is measured where a stored value is used, of one row and of many', async () => {
    const ages: number[] = [];
    const observer = { ...nobody, used: (_model: string, age: number) => ages.push(age) };
    const records = { a: { values: { age: 3 } }, b: { values: { age: 3 }, ageHours: 2 } };
    const { pipeline } = pipelineOf(layout, records, 'UTC', observer);
    pipeline.complete(undefined, 'a', NOW, 5);
    pipeline.complete(named({ age: 3, income: 4 }), 'a', NOW, 5);
    pipeline.complete(named({}), 'nobody', NOW, 5);
    expect(ages).toEqual([3600]);
    await pipeline.completeMany(undefined, ['a', 'b', 'nobody'], 0, 3, NOW, 5);
    expect(ages).toEqual([3600, 3600, 7200]);
  });
});

describe('null in a store', () => {
  test('is NaN of a known entity where that is a value, unless there is a default', () => {
    const layout = layoutOf(
      { name: 'income', ...STORED, allowNan: true },
      { name: 'visits', ...STORED, allowNan: true, default: 0 },
    );
    const { pipeline } = pipelineOf(layout, { 42: { values: {} } });
    expect(valuesOf(atOnce(pipeline.complete(undefined, '42', NOW, 5)))).toEqual({ income: Number.NaN });
    expect(errorOf(() => pipeline.complete(undefined, '7', NOW, 5)).reason).toBe('MISSING_FEATURES');
  });
});

describe('computed features', () => {
  const layout = layoutOf(
    { name: 'hour_of_day', source: 'computed' },
    { name: 'day_of_week', source: 'computed', type: 'integer' },
    { name: 'is_weekend', source: 'computed', type: 'flag' },
  );

  function at(timeZone: string, ms: number): unknown[] {
    const complete = atOnce(pipelineOf(layout, undefined, timeZone).pipeline.complete(named({}), '', ms, 5));
    return rowEncoder('churn', layout)(complete.row).inputs.map((input) => Number(input[0]));
  }

  test('are of the time zone of the view', () => {
    expect(at('UTC', NOW)).toEqual([21, 4, 0]);
    expect(at('Europe/Zurich', NOW)).toEqual([23, 4, 0]);
    expect(at('Pacific/Auckland', NOW)).toEqual([9, 5, 1]);
    expect(at('Asia/Kathmandu', Date.UTC(2026, 6, 5, 18, 14))).toEqual([23, 6, 1]);
    expect(at('Asia/Kathmandu', Date.UTC(2026, 6, 5, 18, 15))).toEqual([0, 0, 0]);
  });

  test('follow the clock when it is set forward, in one pipeline', () => {
    const { pipeline } = pipelineOf(layout, undefined, 'Europe/Zurich');
    const hours = [59, 60, 61].map((minute) => {
      const found = atOnce(pipeline.complete(named({}), '', Date.UTC(2026, 2, 29, 0, minute), 5));
      return valuesOf(found).hour_of_day;
    });
    expect(hours).toEqual([1, 3, 3]);
  });

  test('agree with the calendar of Intl at any time', () => {
    const zones = ['UTC', 'Europe/Zurich', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia'];
    fc.assert(
      fc.property(fc.constantFrom(...zones), fc.integer({ min: 100_000_000, max: 4_000_000_000 }), (zone, seconds) => {
        const ms = seconds * 1000;
        const format = (options: Intl.DateTimeFormatOptions) =>
          new Intl.DateTimeFormat('en-US', { timeZone: zone, ...options }).format(ms);
        const hour = Number(format({ hour: 'numeric', hourCycle: 'h23' }));
        const day = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(format({ weekday: 'short' }));
        expect(at(zone, ms)).toEqual([hour, day, day >= 5 ? 1 : 0]);
      }),
    );
  });
});

describe('many rows', () => {
  test('that need nothing are passed on as they are', async () => {
    const { pipeline, store } = pipelineOf(layoutOf({ name: 'age', ...STORED }), { 42: { values: { age: 3 } } });
    const whole = new ColumnRows(3, new Map([['age', { values: Float64Array.of(1, 2, 3) }]]));
    const { rows, errors } = await pipeline.completeMany(whole, ['42', '42'], 1, 3, NOW, 5);
    expect(errors).toEqual([]);
    expect(rows.count).toBe(2);
    expect(rows.given('age', 0, 2)).toEqual({ part: { values: Float64Array.of(1, 2, 3), start: 1 } });
    expect(store.asked).toEqual([]);
  });

  test('of a matrix are its rows', async () => {
    const { pipeline } = pipelineOf(layoutOf({ name: 'age', ...STORED }), {});
    const matrix = new MatrixRows(new Uint8Array(Float32Array.of(1, 2, 3).buffer), 1);
    const { rows } = await pipeline.completeMany(matrix, ['a', 'b'], 1, 3, NOW, 5);
    expect([rows.form, rows.count, rows.width]).toEqual(['dense', 2, 1]);
    expect(rows.matrix(0, 2)).toEqual(Float32Array.of(2, 3));
  });

  test('have only those looked up that lack something', async () => {
    const { pipeline, store } = pipelineOf(layoutOf({ name: 'age', ...STORED }), { b: { values: { age: 3 } } });
    const brought = { values: Float64Array.of(1, 2), nulls: Uint8Array.of(0, 1) };
    const { rows } = await pipeline.completeMany(
      new ColumnRows(2, new Map([['age', brought]])),
      ['a', 'b'],
      0,
      2,
      NOW,
      5,
    );
    expect(store.asked).toEqual(['b']);
    expect(rows.row(1, [])).toEqual(named({ age: 3 }));
  });
});

// Whatever the model, the store and the rows: many at once are what they are one by one.

const kinds = fc.constantFrom<FeatureType[]>('number', 'integer', 'text', 'flag').chain((type) =>
  fc.record({
    type: fc.constant(type),
    allowNan: type === 'number' ? fc.boolean() : fc.constant(false),
    source: fc.constantFrom(undefined, 'store' as const, 'store' as const),
    maxAgeSeconds: fc.option(fc.constant(7200), { nil: undefined }),
    default: fc.option(valueFor(type), { nil: undefined }),
  }),
);

function valueFor(type: FeatureType): fc.Arbitrary<RowValue> {
  if (type === 'number') return fc.constantFrom(0.5, -3, 7);
  if (type === 'integer') return fc.constantFrom(0n, 5n, 2n ** 60n + 1n);
  return type === 'text' ? fc.constantFrom('a', 'b', '') : fc.boolean();
}

const COMPUTED: Sketch[] = [
  { name: 'hour_of_day', source: 'computed' },
  { name: 'day_of_week', source: 'computed', type: 'integer' },
  { name: 'is_weekend', source: 'computed', type: 'flag' },
];

const layouts = fc
  .record({ kinds: fc.array(kinds, { minLength: 1, maxLength: 4 }), computed: fc.subarray(COMPUTED) })
  .map(({ kinds: some, computed }) => {
    const sketches = some.map(({ source, maxAgeSeconds, default: value, ...kind }, index) => ({
      name: `f${index}`,
      ...kind,
      ...(source === undefined ? {} : { source, ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }) }),
      ...(value === undefined ? {} : { default: value }),
    }));
    return layoutOf(...sketches, ...computed);
  });

const ENTITIES = ['', 'a', 'b', 'c', 'nobody'];

function columnFor({ type }: Feature, rows: number): fc.Arbitrary<Column> {
  const list = <T>(value: fc.Arbitrary<T>) => fc.array(value, { minLength: rows, maxLength: rows });
  const any: Record<string, fc.Arbitrary<Column['values']>> = {
    doubles: list(fc.constantFrom(1, 0.5, -1, Number.NaN)).map((values) => Float64Array.from(values)),
    floats: list(fc.constantFrom(1, 0.1)).map((values) => Float32Array.from(values)),
    int32: list(fc.integer({ min: -2, max: 3 })).map((values) => Int32Array.from(values)),
    int64: list(fc.constantFrom(1n, 2n ** 60n + 3n)).map((values) => BigInt64Array.from(values)),
    bits: list(fc.integer({ min: 0, max: 1 })).map((values) => Uint8Array.from(values)),
    flags: list(fc.boolean()),
    texts: list(fc.constantFrom('x', '')),
  };
  const suited = {
    number: ['doubles', 'floats', 'int32'],
    integer: ['int64', 'int32'],
    text: ['texts'],
    flag: ['bits', 'flags'],
  };
  const names = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...suited[type]) },
    { weight: 1, arbitrary: fc.constantFrom(...Object.keys(any)) },
  );
  return fc
    .record({
      values: names.chain((name) => any[name] as fc.Arbitrary<Column['values']>),
      nulls: fc.option(
        list(fc.integer({ min: 0, max: 1 })).map((nulls) => Uint8Array.from(nulls)),
        { nil: undefined },
      ),
    })
    .map(({ values, nulls }) => (nulls === undefined ? { values } : { values, nulls }));
}

const cases = layouts.chain((layout) =>
  fc
    .record({
      entities: fc.option(fc.array(fc.constantFrom(...ENTITIES), { minLength: 1, maxLength: 6 }), { nil: undefined }),
      alone: fc.boolean(),
      from: fc.nat(2),
      records: fc.record({
        a: recordFor(layout),
        b: recordFor(layout),
        c: recordFor(layout),
      }),
    })
    .chain(({ entities, alone, from, records }) => {
      const count = from + (entities?.length ?? 3) + 1;
      const columns = fc
        .tuple(...layout.features.map((feature) => fc.option(columnFor(feature, count), { nil: undefined })))
        .map((list) => {
          const all = list.map((column, index) => [(layout.features[index] as Feature).name, column] as const);
          return new Map(all.filter((one): one is [string, Column] => one[1] !== undefined));
        });
      const shared = fc.option(fc.constant(undefined), { nil: 'none' as const });
      return fc.record({
        layout: fc.constant(layout),
        entities: fc.constant(entities),
        records: fc.constant(records),
        from: fc.constant(from),
        to: fc.constant(from + (entities?.length ?? 3)),
        rows:
          alone && entities !== undefined
            ? fc.constant(undefined)
            : fc.tuple(columns, shared).map(([brought, unset]) => {
                const rest = layout.features.filter(({ name }) => !brought.has(name));
                return new ColumnRows(
                  count,
                  brought,
                  new Map(unset === undefined ? rest.slice(0, 1).map(({ name }) => [name, undefined]) : []),
                );
              }),
      });
    }),
);

function recordFor({ features }: FeatureLayout) {
  return fc
    .record({
      ageHours: fc.constantFrom(1, 3),
      list: fc.tuple(...features.map(({ type }) => fc.option(valueFor(type), { nil: undefined, freq: 4 }))),
    })
    .map(({ ageHours, list }) => {
      const all = list.map((value, index) => [(features[index] as Feature).name, value] as const);
      return {
        ageHours,
        values: Object.fromEntries(all.filter((one): one is [string, RowValue] => one[1] !== undefined)),
      };
    });
}

type Outcome = { inputs: unknown } | { reason: string; message: string };

function outcomeOf(encode: () => unknown): Outcome {
  try {
    return { inputs: encode() };
  } catch (error) {
    if (!(error instanceof ScorewireError)) throw error;
    return { reason: error.reason, message: error.message };
  }
}

test('many rows are what they are one by one, whatever is lacking', async () => {
  let completed = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ layout, entities, records, rows, from, to }) => {
      const seen: number[] = [];
      const observer = { ...nobody, used: (_model: string, age: number) => seen.push(age) };
      const { pipeline } = pipelineOf(layout, records, 'UTC', observer);
      if (rows === undefined && !pipeline.byEntity) return;
      const encode = rowEncoder('churn', layout);
      const alone = Array.from({ length: to - from }, (_, index): { outcome: Outcome; asOfMs: number } => {
        let asOfMs = NOW;
        const outcome = outcomeOf(() => {
          const row = rows?.row(from + index, layout.features);
          const complete = atOnce(pipeline.complete(row, entities?.[index] ?? '', NOW, 5));
          asOfMs = complete.asOfMs;
          return encode(complete.row).inputs;
        });
        return { outcome, asOfMs };
      });
      const usedAlone = seen.splice(0).sort();

      const many = await pipeline.completeMany(rows, entities, from, to, NOW, 5);
      const block = encodeCompleted(blockEncoder(layout, encode), many, 0, to - from);
      const outcomes = new Map<number, Outcome>();
      for (const { row, error } of block.errors) outcomes.set(row, { reason: error.reason, message: error.message });
      for (const [place, row] of block.rows.entries()) {
        outcomes.set(row, { inputs: block.inputs.map((input) => input.slice(place, place + 1)) });
      }
      expect([...outcomes.keys()].sort()).toEqual(alone.map((_, index) => index));
      for (const [index, { outcome, asOfMs }] of alone.entries()) {
        expect(outcomes.get(index)).toEqual(outcome);
        expect(many.asOfMs[index]).toBe(asOfMs);
        if ('inputs' in outcome) completed++;
        else refused++;
      }
      expect(seen.sort()).toEqual(usedAlone);
    }),
    { numRuns: 1000 },
  );
  // Both are put to the test.
  expect(completed).toBeGreaterThan(300);
  expect(refused).toBeGreaterThan(300);
});
