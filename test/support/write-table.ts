// Tables as files of any format, written by DuckDB.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Database, sqlText } from '../../src/duckdb/database.ts';
import { tempFolder } from './model-folder.ts';

/** Writes what the SELECT gives to `path`, by its ending. */
export async function writeSelect(select: string, path: string): Promise<void> {
  const database = await Database.open(':memory:', { temporaryDirectory: await tempFolder(), directories: undefined });
  const format = path.endsWith('.parquet') ? 'parquet' : path.endsWith('.csv') ? 'csv, header' : 'json';
  try {
    await database.run(`COPY (${select}) TO ${sqlText(path)} (FORMAT ${format})`);
  } finally {
    database.close();
  }
}

/** Rows as a file named `name` in a folder of its own; a value that is undefined is not there, or null. Returns its path. */
export async function writeRows(rows: readonly Record<string, unknown>[], name: string): Promise<string> {
  const folder = await tempFolder();
  const lines = join(folder, 'rows.ndjson');
  await writeFile(lines, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const path = join(folder, name);
  if (name.endsWith('.jsonl')) await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  else await writeSelect(`SELECT * FROM read_json(${sqlText(lines)}, format = 'newline_delimited')`, path);
  return path;
}
