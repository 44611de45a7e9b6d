import { shapeOf } from './gather-rows.ts';
import { isDense } from './row-message.ts';
import type { InputRow, RowInput } from './types.ts';

/** Rows that follow one another, by shape, since a call takes one shape: names that are left out can't be said in columns. */
export type Block = { firstRow: number; count: number; groups: Group[] };

/** Rows of one shape, and where in their block each of them stands. */
export type Group = { rows: InputRow[]; places: number[] };

/**
 * The rows in blocks of at most `maxRows`, and `maxBytes` or one row. Reads no further than the block that is asked for.
 * @throws TypeError for a row that is none
 */
export async function* splitRows(
  input: RowInput,
  { maxRows, maxBytes }: { maxRows: number; maxBytes: number },
): AsyncGenerator<Block, void> {
  let block = emptyBlock(0);
  let groups = new Map<string, Group>();
  let bytes = 0;
  for await (const given of input) {
    for (const row of isMany(given) ? given : [given]) {
      const rowBytes = bytesOf(row);
      if (block.count === maxRows || (block.count > 0 && bytes + rowBytes > maxBytes)) {
        yield block;
        block = emptyBlock(block.firstRow + block.count);
        groups = new Map();
        bytes = 0;
      }
      const shape = shapeOf(row, block.firstRow + block.count);
      let group = groups.get(shape);
      if (group === undefined) {
        group = { rows: [], places: [] };
        groups.set(shape, group);
        block.groups.push(group);
      }
      group.rows.push(row);
      group.places.push(block.count);
      block.count++;
      bytes += rowBytes;
    }
  }
  if (block.count > 0) yield block;
}

function emptyBlock(firstRow: number): Block {
  return { firstRow, count: 0, groups: [] };
}

/** An array of numbers is a row, any other array has rows in it. */
function isMany(given: InputRow | readonly InputRow[]): given is readonly InputRow[] {
  return Array.isArray(given) && typeof given[0] !== 'number';
}

/** About what a row takes on the wire. */
function bytesOf(row: InputRow): number {
  if (isDense(row)) return 4 * row.length;
  let bytes = 0;
  for (const value of Object.values(row ?? {})) bytes += typeof value === 'string' ? value.length + 2 : 8;
  return bytes;
}
