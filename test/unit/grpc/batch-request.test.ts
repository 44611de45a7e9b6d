// The rows of a batch, however protobuf lets a client write them.

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { RowValue } from '../../../src/features/row.ts';
import { ScoreBatchRequest } from '../../../src/gen/scorewire/v1/scoring.ts';
import { type BatchRequest, readBatchRequest } from '../../../src/grpc/batch-request.ts';
import { wellFormedMessage } from '../../../src/grpc/well-formed.ts';
import { NotWellFormed } from '../../../src/grpc/wire-cursor.ts';
import { atOnce } from '../../support/at-once.ts';

const read = (message: Uint8Array): BatchRequest => atOnce(readBatchRequest(message));

const HEAD = { model: 'm', entityIds: [], policy: 0 as const, shared: new Map(), chunkRows: 5, inOrder: true, topK: 0 };
/** The bytes of each length-delimited field with this number. */
function fieldsOf(bytes: Uint8Array, number: number): Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === number && type === 2) found.push(reader.bytes());
    else reader.skip(type, field);
  }
  return found;
}

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
    const { rows, request } = read(bytes);
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
  expect(read(head().uint32(34).bytes(matrix).uint32(42).bytes(columns).finish()).rows?.row(0, [])).toEqual({
    form: 'named',
    values: new Map([['a', 7]]),
  });
  expect(read(head().uint32(42).bytes(columns).uint32(34).bytes(matrix).finish()).rows?.row(0, [])).toEqual({
    form: 'dense',
    values: Float32Array.of(9),
  });
});

test('as ts-proto writes it, with what stands around the rows', () => {
  const { request, rows, entities } = read(
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
  expect(entities?.length).toBe(2);
  expect(entities?.read(1, 2)).toEqual({ values: ['y'], start: 0 });
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
  expect(read(head().finish()).rows).toBeUndefined();
});

describe('whatever a message is made of', () => {
  type Write = (writer: BinaryWriter) => unknown;

  const text = fc.oneof(
    fc.constantFrom('', 'a', 'basic', 'standard', 'käse-🧀', '\ufeffbom'),
    fc.string({ maxLength: 60 }),
  );
  const wide = fc.oneof(
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    fc.bigInt(0n, 200n),
    fc.constantFrom(0n, -1n, 2n ** 28n, 2n ** 32n, 2n ** 35n, -(2n ** 31n), 2n ** 63n - 1n),
  );
  const many = <T>(value: fc.Arbitrary<T>) => fc.array(value, { maxLength: 12 });
  const junk: fc.Arbitrary<Write> = fc.constantFrom<Write[]>(
    (writer) => writer.uint32(800).uint64(7),
    (writer) => writer.uint32(805).float(1),
    (writer) => writer.uint32(801).double(1),
    (writer) => writer.uint32(802).string('?'),
    (writer) => writer.uint32(803).uint32(8).uint32(1).uint32(804),
  );

  /** Lists of a column, mostly of one kind, each written as protobuf allows it. */
  const column = fc
    .constantFrom('numbers', 'integers', 'texts', 'flags')
    .chain((kind) => {
      const packed = (tag: number, write: Write) => (writer: BinaryWriter) => {
        writer.uint32(tag).fork();
        write(writer);
        writer.join();
      };
      const double = fc.double();
      const pieces: Record<string, fc.Arbitrary<Write>[]> = {
        numbers: [
          many(double).map((list) => packed(10, (writer) => list.forEach((value) => void writer.double(value)))),
          double.map((value) => (writer) => writer.uint32(9).double(value)),
        ],
        integers: [
          many(wide).map((list) => packed(18, (writer) => list.forEach((value) => void writer.int64(value)))),
          wide.map((value) => (writer) => writer.uint32(16).int64(value)),
        ],
        texts: [text.map((value) => (writer) => writer.uint32(26).string(value))],
        flags: [
          many(fc.boolean()).map((list) => packed(34, (writer) => list.forEach((value) => void writer.bool(value)))),
          wide.map((value) => (writer) => writer.uint32(32).int64(value)),
        ],
      };
      const others = fc.oneof(...Object.values(pieces).flat());
      return fc.array(
        fc.oneof(
          { weight: 20, arbitrary: fc.oneof(...(pieces[kind] as fc.Arbitrary<Write>[])) },
          { weight: 3, arbitrary: junk },
          { weight: 1, arbitrary: fc.boolean().chain((mix) => (mix ? others : junk)) },
        ),
        { maxLength: 6 },
      );
    })
    .map((writes) => parts(writes));

  const name = fc.constantFrom('a', 'b', 'c');
  const entry = fc.oneof(
    fc.tuple(name, fc.array(column, { minLength: 1, maxLength: 2 }), fc.option(junk)).map(([key, values, more]) =>
      parts([
        (writer) => writer.uint32(10).string(key),
        ...values.map(
          (value): Write =>
            (writer) =>
              writer.uint32(18).bytes(value),
        ),
        ...(more === null ? [] : [more]),
      ]),
    ),
    column.map((value) => parts([(writer) => writer.uint32(18).bytes(value)])),
  );
  const columns = fc
    .array(
      fc.oneof(
        {
          weight: 6,
          arbitrary: entry.map(
            (bytes): Write =>
              (writer) =>
                writer.uint32(10).bytes(bytes),
          ),
        },
        junk,
      ),
      {
        maxLength: 4,
      },
    )
    .map(parts);
  const matrix = fc
    .array(
      fc.oneof(
        fc.integer({ min: 0, max: 4 }).map(
          (width): Write =>
            (writer) =>
              writer.uint32(8).uint32(width),
        ),
        many(fc.double()).map(
          (list): Write =>
            (writer) => {
              writer.uint32(18).fork();
              for (const value of list) writer.float(Math.fround(value) % 1000);
              writer.join();
            },
        ),
        fc.constant<Write>((writer) => writer.uint32(21).float(4)),
        junk,
      ),
      { maxLength: 5 },
    )
    .map(parts);
  const message = fc
    .array(
      fc.oneof(
        {
          weight: 3,
          arbitrary: columns.map(
            (bytes): Write =>
              (writer) =>
                writer.uint32(42).bytes(bytes),
          ),
        },
        {
          weight: 2,
          arbitrary: matrix.map(
            (bytes): Write =>
              (writer) =>
                writer.uint32(34).bytes(bytes),
          ),
        },
        {
          weight: 1,
          arbitrary: text.map(
            (id): Write =>
              (writer) =>
                writer.uint32(26).string(id),
          ),
        },
        { weight: 1, arbitrary: fc.constant<Write>((writer) => writer.uint32(10).string('m').uint32(80).uint32(9)) },
        { weight: 1, arbitrary: junk },
      ),
      { maxLength: 5 },
    )
    .map(parts);

  function parts(writes: readonly Write[]): Uint8Array {
    const writer = new BinaryWriter();
    for (const write of writes) write(writer);
    return writer.finish();
  }

  /** The rows by ts-proto; undefined where they don't fit together. Merging of maps and lists is protobuf's own. */
  function expectedRows(bytes: Uint8Array): unknown[] | undefined {
    const { rows, entityIds } = ScoreBatchRequest.decode(bytes);
    if (rows === undefined) return undefined;
    let list: unknown[];
    if (rows.$case === 'matrix') {
      const { columns: width, values } = rows.value;
      if (values.length > 0 && (width === 0 || values.length % width !== 0)) return undefined;
      const count = width === 0 ? 0 : values.length / width;
      list = Array.from({ length: count }, (_, row) => values.slice(row * width, (row + 1) * width));
    } else {
      const lists = new Map<string, readonly RowValue[]>();
      for (const [key, { numbers, integers, texts, flags }] of rows.value.columns) {
        const used = [numbers, integers, texts, flags].filter(({ length }) => length > 0);
        if (used.length > 1) return undefined;
        lists.set(key, used[0] ?? []);
      }
      const count = [...lists.values()][0]?.length ?? 0;
      if ([...lists.values()].some(({ length }) => length !== count)) return undefined;
      list = Array.from({ length: count }, (_, row) => new Map([...lists].map(([key, values]) => [key, values[row]])));
    }
    return entityIds.length === 0 || entityIds.length === list.length ? list : undefined;
  }

  function readRows(bytes: Uint8Array): unknown[] | undefined | 'malformed' {
    try {
      const { rows } = read(bytes);
      if (rows === undefined) return undefined;
      return Array.from({ length: rows.count }, (_, index) => {
        const { values } = rows.row(index, []);
        return values instanceof Map ? values : Array.from(values as ArrayLike<number>);
      });
    } catch (error) {
      if (error instanceof NotWellFormed) return 'malformed';
      if (error instanceof ScorewireError) return undefined;
      throw error;
    }
  }

  /** Several matrices, columns of one name or parts of a column: ts-proto takes the last, the reader joins what protobuf joins. */
  function mergesAlike(bytes: Uint8Array): boolean {
    const matrices = fieldsOf(bytes, 4);
    const tables = fieldsOf(bytes, 5);
    const entries = tables.flatMap((table) => fieldsOf(table, 1));
    return matrices.length + tables.length <= 1 && entries.every((one) => fieldsOf(one, 2).length <= 1);
  }

  test('well-formed: the rows that ts-proto decodes', () => {
    fc.assert(
      fc.property(message, (bytes) => {
        fc.pre(mergesAlike(bytes));
        expect(readRows(bytes)).toEqual(expectedRows(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  test('broken: refused where the check of other messages refuses it, and nowhere else', () => {
    const check = wellFormedMessage('scorewire.v1.ScoreBatchRequest');
    const isGood = (bytes: Uint8Array): boolean => {
      try {
        check(bytes);
        return true;
      } catch {
        return false;
      }
    };
    const change = fc.record({ at: fc.nat(), to: fc.option(fc.nat(255)), cut: fc.boolean() });
    fc.assert(
      fc.property(message, change, (bytes, { at, to, cut }) => {
        const place = bytes.length === 0 ? 0 : at % bytes.length;
        const broken = Uint8Array.from(cut ? bytes.subarray(0, place) : bytes);
        if (to !== null && broken.length > 0) broken[place % broken.length] = to;
        let outcome = true;
        try {
          read(broken);
        } catch (error) {
          if (error instanceof NotWellFormed) outcome = false;
          else if (!(error instanceof ScorewireError)) throw error;
          // What doesn't fit together may be said before the end of the message is seen, and the end may be broken.
          else return;
        }
        expect(outcome).toBe(isGood(broken));
      }),
      { numRuns: 4000 },
    );
  });
});
