// What is asked, and what is answered, between plain values and the wire's messages.

import { describe, expect, test } from 'vitest';
import { toChunk } from '../../../src/client/batch-chunk.ts';
import { encodeBatch } from '../../../src/client/batch-message.ts';
import { encodeRequest, toResult } from '../../../src/client/score-message.ts';
import { toTensor } from '../../../src/client/tensor-values.ts';
import type { BatchRequest, Column, InputRow } from '../../../src/client/types.ts';
import {
  type Column as ColumnMessage,
  Origin,
  ScoreBatchRequest,
  ScorePolicy,
  ScoreRequest,
  ScoreResponse,
} from '../../../src/gen/scorewire/v1/scoring.ts';
import { DataType, Tensor } from '../../../src/gen/scorewire/v1/tensor.ts';

const asked = (request: Parameters<typeof encodeRequest>[0]) => ScoreRequest.decode(encodeRequest(request));

describe('a score', () => {
  test('that names nothing but a model', () => {
    expect(asked({ model: 'm' })).toEqual({ ...ScoreRequest.decode(new Uint8Array()), model: 'm' });
  });

  test('with all that can be said', () => {
    const message = asked({
      model: 'm',
      version: 3,
      entityId: 42n,
      outputs: ['probabilities'],
      policy: 'PRECOMPUTED_ONLY',
      maxStalenessMs: 90_000.5,
      allowStale: false,
    });
    expect(message).toMatchObject({
      version: 3n,
      entity: { $case: 'entityId', value: '42' },
      outputNames: ['probabilities'],
      policy: ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY,
      maxStaleness: { seconds: 90n, nanos: 500_000 },
      allowStale: false,
    });
  });

  test.each<[string, InputRow]>([
    ['an array', [1, 2.5]],
    ['float32', Float32Array.of(1, 2.5)],
    ['float64', Float64Array.of(1, 2.5)],
  ])('of a dense row: %s', (_, row) => {
    expect(asked({ model: 'm', row }).row?.form).toEqual({ $case: 'dense', value: { values: [1, 2.5] } });
  });

  test('of a named row', () => {
    const form = asked({ model: 'm', row: { a: 1, b: 2n ** 60n, c: 'x', d: false, e: undefined } }).row?.form;
    expect(form?.$case === 'named' && [...form.value.values]).toEqual([
      ['a', { kind: { $case: 'number', value: 1 } }],
      ['b', { kind: { $case: 'integer', value: 2n ** 60n } }],
      ['c', { kind: { $case: 'text', value: 'x' } }],
      ['d', { kind: { $case: 'flag', value: false } }],
    ]);
  });

  test.each<[string, unknown, RegExp]>([
    ['null', { a: null }, /^row\["a"\]: expected a number, bigint, string or boolean, found null$/],
    ['an object', { a: {} }, /^row\["a"\]: .*found object$/],
    ['null in a dense row, which is not 0', [1, null], /^row\[1\]: expected a number, found null$/],
  ])('of a row that is none: %s', (_, row, message) => {
    expect(() => encodeRequest({ model: 'm', row: row as InputRow })).toThrow(TypeError);
    expect(() => encodeRequest({ model: 'm', row: row as InputRow })).toThrow(message);
  });
});

test('an answer', () => {
  const empty = ScoreResponse.decode(new Uint8Array());
  expect(toResult({ ...empty, model: 'm', version: 2n, score: 0.5, origin: Origin.ORIGIN_REAL_TIME })).toEqual({
    entityId: undefined,
    model: 'm',
    version: 2,
    score: 0.5,
    label: undefined,
    labelName: undefined,
    segment: undefined,
    origin: 'REAL_TIME',
    scoredAt: new Date(0),
    ageMs: 0,
    timing: { featureUs: 0, queueUs: 0, inferenceUs: 0, totalUs: 0, batchRows: 0, storeUs: 0 },
    outputs: {},
  });
  const full = {
    ...empty,
    entityId: 'c-1',
    label: 0,
    origin: Origin.ORIGIN_STALE,
    scoredAt: { seconds: 1_700_000_000n, nanos: 250_000_000 },
    age: { seconds: 1n, nanos: 500_000_000 },
  };
  expect(toResult(full)).toMatchObject({
    entityId: 'c-1',
    label: 0,
    origin: 'STALE',
    scoredAt: new Date(1_700_000_000_250),
    ageMs: 1500,
  });
});

test.each<[keyof typeof DataType, Partial<Tensor>, unknown]>([
  ['DATA_TYPE_FLOAT16', { floats: [1.5] }, Float32Array.of(1.5)],
  ['DATA_TYPE_FLOAT32', { floats: [1.5] }, Float32Array.of(1.5)],
  ['DATA_TYPE_FLOAT64', { doubles: [0.1] }, Float64Array.of(0.1)],
  ['DATA_TYPE_INT8', { integers: [-1n] }, Int8Array.of(-1)],
  ['DATA_TYPE_INT16', { integers: [-1n] }, Int16Array.of(-1)],
  ['DATA_TYPE_INT32', { integers: [-1n] }, Int32Array.of(-1)],
  ['DATA_TYPE_INT64', { integers: [2n ** 60n] }, BigInt64Array.of(2n ** 60n)],
  ['DATA_TYPE_UINT8', { integers: [255n] }, Uint8Array.of(255)],
  ['DATA_TYPE_UINT16', { integers: [65535n] }, Uint16Array.of(65535)],
  ['DATA_TYPE_UINT32', { integers: [2n ** 32n - 1n] }, Uint32Array.of(2 ** 32 - 1)],
  ['DATA_TYPE_UINT64', { unsigneds: [2n ** 63n] }, BigUint64Array.of(2n ** 63n)],
  ['DATA_TYPE_BOOL', { integers: [1n] }, Uint8Array.of(1)],
  ['DATA_TYPE_STRING', { texts: ['x'] }, ['x']],
])('a tensor of %s', (name, lists, values) => {
  const message = { ...Tensor.decode(new Uint8Array()), dataType: DataType[name] as DataType, shape: [1n], ...lists };
  expect(toTensor(message)).toEqual({ dataType: name.slice('DATA_TYPE_'.length), shape: [1], values });
});

const batchOf = (request: Partial<BatchRequest>) => ScoreBatchRequest.decode(encodeBatch({ model: 'm', ...request }));

function columnOf(column: Column): Partial<ColumnMessage> | undefined {
  const { rows } = batchOf({ columns: { 'a name': column } });
  const found = rows?.$case === 'columns' ? rows.value.columns.get('a name') : undefined;
  return found && Object.fromEntries(Object.entries(found).filter(([, list]) => list.length > 0));
}

describe('many rows', () => {
  test('as a matrix, whose view of a larger buffer is all that is sent', () => {
    const large = Float32Array.of(9, 1, 2, 3, 4, 9);
    for (const values of [[1, 2, 3, 4], Float64Array.of(1, 2, 3, 4), large.subarray(1, 5)]) {
      expect(batchOf({ matrix: { columns: 2, values } }).rows).toEqual({
        $case: 'matrix',
        value: { columns: 2, values: [1, 2, 3, 4] },
      });
    }
  });

  test.each<[string, Column, unknown]>([
    ['numbers', [0.1, Number.NaN], { numbers: [0.1, Number.NaN] }],
    ['float64', Float64Array.of(0.1), { numbers: [0.1] }],
    ['float32', Float32Array.of(0.5), { numbers: [0.5] }],
    ['int32', Int32Array.of(-3), { numbers: [-3] }],
    ['bigint', [-1n, 2n ** 60n], { integers: [-1n, 2n ** 60n] }],
    ['int64', BigInt64Array.of(-1n), { integers: [-1n] }],
    ['texts', ['x', ''], { texts: ['x', ''] }],
    ['flags', [true, false], { flags: [true, false] }],
    ['nothing', [], {}],
  ])('as columns: %s', (_, column, expected) => {
    expect(columnOf(column)).toEqual(expected);
  });

  test('as rows, dense or named', () => {
    expect(batchOf({ rows: [[1, 2], Float32Array.of(3, 4)] }).rows).toEqual({
      $case: 'matrix',
      value: { columns: 2, values: [1, 2, 3, 4] },
    });
    const { rows } = batchOf({
      rows: [
        { a: 1, b: 'x' },
        { a: 2, b: 'y' },
      ],
    });
    expect(rows?.$case === 'columns' && [...rows.value.columns]).toMatchObject([
      ['a', { numbers: [1, 2] }],
      ['b', { texts: ['x', 'y'] }],
    ]);
    expect(batchOf({ rows: [] }).rows).toEqual({ $case: 'matrix', value: { columns: 0, values: [] } });
  });

  test('with all that can be said', () => {
    const message = batchOf({
      columns: { a: [1] },
      version: 2n,
      shared: { b: 'x' },
      entityIds: ['c-1'],
      chunkRows: 10,
      inOrder: true,
      minScore: 0,
      topK: 3,
    });
    expect(message).toMatchObject({
      version: 2n,
      entityIds: ['c-1'],
      chunkRows: 10,
      inOrder: true,
      minScore: 0,
      topK: 3,
    });
    expect([...message.shared]).toEqual([['b', { kind: { $case: 'text', value: 'x' } }]]);
    expect(batchOf({ columns: { a: [1] } }).minScore).toBeUndefined();
  });

  test.each<[string, unknown, RegExp]>([
    ['none at all', {}, /expected one of matrix, columns and rows, or entityIds alone, found 0/],
    ['two forms', { rows: [[1]], matrix: { columns: 1, values: [1] } }, /found 2/],
    ['rows that differ in their names', { rows: [{ a: 1 }, { b: 1 }] }, /^rows\[1\]: .*scoreRows/],
    ['rows that differ in their types', { rows: [{ a: 1 }, { a: '1' }] }, /^rows\[1\]: /],
    ['rows that differ in their length', { rows: [[1], [1, 2]] }, /^rows\[1\]: /],
    ['a row that is none', { rows: [[1], null] }, /^rows\[1\]: expected an array or an object, found null/],
    ['a value that is none', { rows: [{ a: null }] }, /^rows\[0\]\["a"\]: .*found null/],
    ['a number that is none', { rows: [[null]] }, /^rows\[0\]\[0\]: expected a number, found null/],
    ['a matrix with holes', { matrix: { columns: 1, values: [1, undefined] } }, /^matrix\.values\[1\]: /],
    ['a column of many types', { columns: { a: [1, 'x'] } }, /^columns\["a"\]\[1\]: expected a number, found string/],
    ['a column of nothing known', { columns: { a: [{}] } }, /^columns\["a"\]\[0\]: expected a number, bigint/],
  ])('that make no sense: %s', (_, request, message) => {
    expect(() => encodeBatch({ model: 'm', ...(request as object) })).toThrow(TypeError);
    expect(() => encodeBatch({ model: 'm', ...(request as object) })).toThrow(message);
  });
});

describe('a chunk', () => {
  const lists = {
    scores: [0.5, Number.NaN],
    labels: [1, -1],
    segments: [3, 0],
    origins: [Origin.ORIGIN_REAL_TIME, Origin.ORIGIN_PRECOMPUTED],
    errors: [{ row: 7n, code: 3, reason: 'INVALID_ROW', field: '', message: 'no' }],
  };

  test('of rows that follow one another', () => {
    expect(toChunk({ firstRow: 6n, rows: [], ...lists })).toEqual({
      rows: Uint32Array.of(6, 7),
      scores: Float32Array.of(0.5, Number.NaN),
      labels: Int32Array.of(1, -1),
      segments: Int32Array.of(2, -1),
      origins: ['REAL_TIME', 'PRECOMPUTED'],
      errors: [{ row: 7, code: 'INVALID_ARGUMENT', reason: 'INVALID_ROW', field: undefined, message: 'no' }],
    });
  });

  test('of rows that were picked', () => {
    expect(toChunk({ firstRow: 10n, rows: [9, 2], ...lists }).rows).toEqual(Uint32Array.of(19, 12));
  });
});
