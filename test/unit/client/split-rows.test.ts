import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Block, splitRows } from '../../../src/client/split-rows.ts';
import type { InputRow, RowInput } from '../../../src/client/types.ts';

async function blocksOf(input: RowInput, maxRows = 100, maxBytes = 1e9): Promise<Block[]> {
  const blocks: Block[] = [];
  for await (const block of splitRows(input, { maxRows, maxBytes })) blocks.push(block);
  return blocks;
}

/** The rows of a block, in the order in which they came. */
function inOrder({ count, groups }: Block): InputRow[] {
  const rows = new Array<InputRow>(count);
  for (const group of groups) {
    group.places.forEach((place, index) => {
      rows[place] = group.rows[index] as InputRow;
    });
  }
  return rows;
}

const sizes = (blocks: Block[]) => blocks.map(({ firstRow, count }) => [firstRow, count]);

describe('blocks', () => {
  test('have at most so many rows', async () => {
    const rows = Array.from({ length: 7 }, (_, index) => [index]);
    expect(sizes(await blocksOf(rows, 3))).toEqual([
      [0, 3],
      [3, 3],
      [6, 1],
    ]);
  });

  test('have at most so many bytes, or one row', async () => {
    const rows = [[1, 2], [3, 4], new Array(100).fill(0), [5, 6]];
    expect(sizes(await blocksOf(rows, 100, 16))).toEqual([
      [0, 2],
      [2, 1],
      [3, 1],
    ]);
    const texts = [{ a: 'x'.repeat(50) }, { a: 'x'.repeat(50) }, { a: '' }];
    expect(sizes(await blocksOf(texts, 100, 60))).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  test('of no rows there are none', async () => {
    expect(await blocksOf([])).toEqual([]);
    expect(await blocksOf([[]])).toEqual([]);
  });

  test('come of rows one by one, some at a time, and of what comes as promises', async () => {
    const expected = await blocksOf([[1], [2], [3]], 2);
    expect(await blocksOf([[[1], [2], [3]]], 2)).toEqual(expected);
    expect(await blocksOf([[1], [[2], [3]]], 2)).toEqual(expected);
    async function* slowly(): AsyncGenerator<InputRow> {
      yield [1];
      yield [2];
      yield [3];
    }
    expect(await blocksOf(slowly(), 2)).toEqual(expected);
    expect(await blocksOf([Float32Array.of(1, 2)])).toMatchObject([{ count: 1 }]);
  });

  test('are read no further than they are asked for', async () => {
    let read = 0;
    let left = false;
    function* rows(): Generator<InputRow> {
      try {
        for (;;) {
          read++;
          yield [read];
        }
      } finally {
        left = true;
      }
    }
    const blocks = splitRows(rows(), { maxRows: 10, maxBytes: 1e9 });
    await blocks.next();
    // The row that begins the next block is known by then.
    expect(read).toBe(11);
    await blocks.return();
    expect(left).toBe(true);
  });

  test('name the row that is none', async () => {
    await expect(blocksOf([[1], [2], { a: null } as never], 2)).rejects.toThrow(/^rows\[2\]\["a"\]: .*found null/);
    await expect(blocksOf([[1], 5 as never])).rejects.toThrow(
      /^rows\[1\]: expected an array or an object, found number/,
    );
  });
});

describe('groups', () => {
  test('have rows of the same names and types', async () => {
    const rows = [{ a: 1 }, { a: 1, b: 'x' }, { a: 2 }, { a: 1n }, [1], { b: 'y', a: 3 }];
    const [block] = await blocksOf(rows);
    expect(block?.groups.map(({ places }) => places)).toEqual([[0, 2], [1], [3], [4], [5]]);
    expect(inOrder(block as Block)).toEqual(rows);
  });

  test('take a feature that is undefined for one that is left out', async () => {
    const [block] = await blocksOf([{ a: 1, b: undefined }, { a: 1 }, { b: undefined, a: 2 }]);
    expect(block?.groups.map(({ places }) => places)).toEqual([[0, 1, 2]]);
  });

  test('are not confused by what stands in a name', async () => {
    const rows = [{ 'a:number,1:b': 1 }, { a: 1, b: 1 }, { 'anumber,1:b': 1 }];
    expect((await blocksOf(rows))[0]?.groups).toHaveLength(3);
  });

  test('hold every row once, in its place, whatever the rows', async () => {
    const value = fc.oneof(fc.double(), fc.bigInt({ min: 0n, max: 9n }), fc.string(), fc.boolean());
    const row = fc.oneof(
      fc.array(fc.double(), { minLength: 1, maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), value, { noNullPrototype: true }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(row),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 60 }),
        async (rows, ...limits) => {
          const blocks = await blocksOf(rows, ...limits);
          expect(blocks.flatMap(inOrder)).toEqual(rows);
          let next = 0;
          for (const { firstRow, count } of blocks) {
            expect([firstRow, count <= limits[0]]).toEqual([next, true]);
            next += count;
          }
        },
      ),
    );
  });
});
