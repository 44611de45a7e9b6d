// Rows and columns of whatever DuckDB reads.
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { SetupError } from '../errors.ts';
import type { Database } from './database.ts';
import type { InputColumn } from './input-columns.ts';

/**
 * The rows of a query from row `from` up to `to`. DuckDB ends a stream that fails midway as it ends one that is done, so
 * that only counting tells.
 */
export async function* streamRows(
  database: Database,
  sql: string,
  from: number,
  to: number,
  name: string,
): AsyncGenerator<{ firstRow: number; data: DuckDBDataChunk }> {
  const connection = await database.connect();
  try {
    const result = await connection.stream(sql);
    let firstRow = from;
    for (;;) {
      const data = await result.fetchChunk();
      if (data === null || data.rowCount === 0) break;
      yield { firstRow, data };
      firstRow += data.rowCount;
    }
    if (firstRow === to) return;
    // Again, in a way that says what is wrong.
    await database.run(`SELECT * FROM (${sql}) OFFSET ${firstRow - from} LIMIT 1`);
    throw new Error(`expected ${to - from} rows, found ${firstRow - from}`);
  } catch (error) {
    throw new SetupError(`input: ${name} can't be read: ${saidBy(error)}`, error);
  } finally {
    connection.closeSync();
  }
}

export async function describe(database: Database, source: string): Promise<InputColumn[]> {
  const columns = await database.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${source}`);
  return columns.map(({ column_name: name, column_type: type }) => ({ name, type }));
}

/** What DuckDB says is wrong, without the parts of its message that quote SQL or list what it tried. */
export function saidBy(error: unknown): string {
  const lines = (error as Error).message.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(0, /sniffing|on Line/.test(lines[0] ?? '') ? 2 : 1).join(' ');
}

/** The pattern that only this path matches. */
export function literalPath(path: string): string {
  return path.replace(/[[*?]/g, (character) => `[${character}]`);
}
