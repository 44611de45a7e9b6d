// The rows of a batch, however protobuf lets a client write them.

import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { ScoreBatchRequest } from '../../../src/gen/scorewire/v1/scoring.ts';
import { readBatchRequest } from '../../../src/grpc/batch-request.ts';

const HEAD = { model: 'm', entityIds: [], policy: 0 as const, shared: new Map(), chunkRows: 5, inOrder: true, topK: 0 };
const head = () => new BinaryWriter().raw(ScoreBatchRequest.encode(HEAD).finish());

function matrixPart(write: (matrix: BinaryWriter) => BinaryWriter): Uint8Array {
  return write(new BinaryWriter()).finish();
}

test('a matrix packed, not packed, in parts, at an odd place', () => {
  const packed = matrixPart((matrix) => matrix.uint32(8).uint32(2).uint32(18).fork().float(1).float(2).join());
  const loose = matrixPart((matrix) => matrix.uint32(21).float(3).uint32(21).float(4));
  for (const model of ['m', 'mo', 'mod', 'mode']) {
    const message = new BinaryWriter().uint32(10).string(model);
    const bytes = message.uint32(34).bytes(packed).uint32(34).bytes(loose).finish();
    const { rows, request } = readBatchRequest(bytes);
    expect(request.model).toBe(model);
    expect(rows?.count).toBe(2);
    expect([0, 1].map((row) => rows?.row(row, []))).toEqual([
      { form: 'dense', values: Float32Array.of(1, 2) },
      { form: 'dense', values: Float32Array.of(3, 4) },
    ]);
  }
});

test('of matrix and columns the last one counts', () => {
  const matrix = matrixPart((writer) => writer.uint32(8).uint32(1).uint32(21).float(9));
  const column = new BinaryWriter()
    .uint32(10)
    .string('a')
    .uint32(18)
    .bytes(matrixPart((w) => w.uint32(9).double(7)))
    .finish();
  const columns = new BinaryWriter().uint32(10).bytes(column).finish();
  expect(readBatchRequest(head().uint32(34).bytes(matrix).uint32(42).bytes(columns).finish()).rows?.row(0, [])).toEqual(
    {
      form: 'named',
      values: new Map([['a', 7]]),
    },
  );
  expect(readBatchRequest(head().uint32(42).bytes(columns).uint32(34).bytes(matrix).finish()).rows?.row(0, [])).toEqual(
    {
      form: 'dense',
      values: Float32Array.of(9),
    },
  );
});

test('as ts-proto writes it, with what stands around the rows', () => {
  const { request, rows, entities } = readBatchRequest(
    ScoreBatchRequest.encode({
      ...HEAD,
      entityIds: ['x', 'y'],
      rows: {
        $case: 'columns',
        value: {
          columns: new Map([
            ['n', { numbers: [1.5, 2.5], integers: [], texts: [], flags: [] }],
            ['i', { numbers: [], integers: [1n, -2n], texts: [], flags: [] }],
            ['t', { numbers: [], integers: [], texts: ['a', 'b'], flags: [] }],
            ['f', { numbers: [], integers: [], texts: [], flags: [true, false] }],
          ]),
        },
      },
      shared: new Map([['s', { kind: { $case: 'text', value: 'all' } }]]),
      minScore: 0.5,
    }).finish(),
  );
  expect(entities).toBe(2);
  expect(request).toMatchObject({ model: 'm', chunkRows: 5, inOrder: true, minScore: 0.5 });
  expect(rows?.row(1, [])).toEqual({
    form: 'named',
    values: new Map<string, unknown>([
      ['s', 'all'],
      ['n', 2.5],
      ['i', -2n],
      ['t', 'b'],
      ['f', false],
    ]),
  });
});

test('no rows, no source of rows', () => {
  expect(readBatchRequest(head().finish()).rows).toBeUndefined();
});
