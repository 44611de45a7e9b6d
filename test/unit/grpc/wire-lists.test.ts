// Long lists, read from any place.

import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ColumnRows } from '../../../src/features/row-source.ts';
import { readBatchRequest } from '../../../src/grpc/batch-request.ts';
import { atOnce } from '../../support/at-once.ts';

/** A request with this one column. */
function request(write: (column: BinaryWriter) => void): Uint8Array {
  const message = new BinaryWriter();
  message.uint32(42).fork().uint32(10).fork().uint32(10).string('c').uint32(18).fork();
  write(message);
  return message.join().join().join().finish();
}

function readerOf(bytes: Uint8Array): { count: number; read(from: number, to: number): unknown[] } {
  const rows = atOnce(readBatchRequest(bytes)).rows as ColumnRows;
  return {
    count: rows.count,
    read(from, to) {
      const given = rows.given('c', from, to);
      if (given === undefined || !('part' in given)) throw new Error('no such column');
      const { values, start } = given.part;
      return Array.from({ length: to - from }, (_, index) => values[start + index]);
    },
  };
}

/** So many values that not every one's place is remembered. */
const COUNT = 1500;
const windows = fc.array(fc.tuple(fc.nat(COUNT), fc.nat(COUNT)), { minLength: 1, maxLength: 8 });
/** After how many values the next field begins, and whether values then have a field each, or others come between. */
const cuts = fc.array(
  fc.record({ values: fc.integer({ min: 0, max: 400 }), single: fc.boolean(), junk: fc.boolean() }),
  {
    minLength: 1,
    maxLength: 12,
  },
);

type Cut = { values: number; single: boolean; junk: boolean };

function written<T>(
  values: readonly T[],
  cutsOf: readonly Cut[],
  tags: { packed: number; single: number },
  write: (writer: BinaryWriter, value: T) => unknown,
): Uint8Array {
  return request((column) => {
    let at = 0;
    for (let cut = 0; at < values.length; cut++) {
      const { values: count, single, junk } = cutsOf[cut % cutsOf.length] as Cut;
      const part = values.slice(at, at + count + 1);
      at += part.length;
      if (junk) column.uint32(802).string('nobody wants this');
      if (single) {
        for (const value of part) write(column.uint32(tags.single), value);
      } else {
        column.uint32(tags.packed).fork();
        for (const value of part) write(column, value);
        column.join();
      }
    }
  });
}

function expectEveryWindow(
  bytes: Uint8Array,
  values: readonly unknown[],
  places: readonly (readonly number[])[],
): void {
  const { count, read } = readerOf(bytes);
  expect(count).toBe(values.length);
  for (const [a, b] of places as [number, number][]) {
    const from = Math.min(a, b, values.length);
    const to = Math.min(Math.max(a, b), values.length);
    expect(read(from, to)).toEqual(values.slice(from, to));
  }
  // As a batch does it: block by block, from the first on.
  const blocks: unknown[] = [];
  for (let from = 0; from < count; from += 100) blocks.push(...read(from, Math.min(count, from + 100)));
  expect(blocks).toEqual(values);
}

let state = 1;
const random = (): number => {
  state = (Math.imul(1664525, state) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

test('integers', () => {
  const sizes = [6, 7, 13, 14, 27, 28, 29, 31, 32, 34, 35, 62, 63];
  const values = Array.from({ length: COUNT }, () => {
    const bits = sizes[Math.floor(random() * sizes.length)] as number;
    return BigInt.asIntN(
      64,
      (2n ** BigInt(bits) + BigInt(Math.floor(random() * 100)) - 50n) * (random() < 0.3 ? -1n : 1n),
    );
  });
  fc.assert(
    fc.property(cuts, windows, (cutsOf, places) => {
      const bytes = written(values, cutsOf, { packed: 18, single: 16 }, (writer, value) => writer.int64(value));
      expectEveryWindow(bytes, values, places);
    }),
    { numRuns: 60 },
  );
});

test('flags', () => {
  const values = Array.from({ length: COUNT }, () => random() < 0.5);
  const bits = values.map((value) => (value ? 1 : 0));
  fc.assert(
    fc.property(cuts, windows, (cutsOf, places) => {
      const bytes = written(values, cutsOf, { packed: 34, single: 32 }, (writer, value) => writer.bool(value));
      expectEveryWindow(bytes, bits, places);
    }),
    { numRuns: 60 },
  );
});

test('numbers', () => {
  const values = Array.from({ length: COUNT }, random);
  fc.assert(
    fc.property(cuts, windows, (cutsOf, places) => {
      const bytes = written(values, cutsOf, { packed: 10, single: 9 }, (writer, value) => writer.double(value));
      expectEveryWindow(bytes, values, places);
    }),
    { numRuns: 60 },
  );
});

test('texts: some of them again and again, some longer than what is remembered', () => {
  const some = ['', 'basic', 'standard', 'käse-🧀', 'x'.repeat(40), 'x'.repeat(41), 'y'.repeat(200)];
  const values = Array.from({ length: COUNT }, () =>
    random() < 0.7 ? (some[Math.floor(random() * some.length)] as string) : `text-${Math.floor(random() * 5000)}`,
  );
  fc.assert(
    fc.property(fc.boolean(), windows, (junk, places) => {
      const bytes = request((column) => {
        for (const [index, value] of values.entries()) {
          column.uint32(26).string(value);
          if (junk && index % 37 === 0) column.uint32(800).uint64(index);
        }
      });
      expectEveryWindow(bytes, values, places);
    }),
    { numRuns: 60 },
  );
});

test('a block that is judged row by row is read once', () => {
  const { read } = readerOf(
    written(
      Array.from({ length: 300 }, (_, index) => BigInt(index)),
      [{ values: 300, single: false, junk: false }],
      { packed: 18, single: 16 },
      (writer, value) => writer.int64(value),
    ),
  );
  expect(read(100, 200)[0]).toBe(100n);
  expect(read(150, 151)).toEqual([150n]);
  expect(read(0, 1)).toEqual([0n]);
  expect(read(150, 151)).toEqual([150n]);
});
