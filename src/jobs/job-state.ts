// What a job keeps beside its output while it runs, in one DuckDB file: the input where that is no Parquet, the scores so
// far, what was rejected. It is the checkpoint, and as only one process can have it open, the lock.
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Database, sqlText, Unopened } from '../duckdb/database.ts';
import { SetupError } from '../errors.ts';

/** The layout of the tables; a file of another one is not gone on with. */
const LAYOUT = 2;

/** What an input has that is no row, and rows without a score. */
export const REJECTS_TABLE = `CREATE TABLE rejects (
    "row" BIGINT, entity_id VARCHAR, file VARCHAR, line BIGINT, reason VARCHAR, field VARCHAR, message VARCHAR,
    "values" VARCHAR)`;

const TABLES = [
  'CREATE TABLE job (plan VARCHAR)',
  'CREATE TABLE scores (score FLOAT, label INTEGER, segment USMALLINT, error VARCHAR, scored_at BIGINT, as_of BIGINT)',
  REJECTS_TABLE,
];

export type Begun = {
  /** Whether the job goes on where one before it was ended. */
  resumed: boolean;
  /** Whether what was there belonged to another input, model or job, and is gone. */
  replaced: boolean;
};

function statePath(output: string): string {
  return `${output}.job`;
}

/** Bytes of a database without anything in it. */
const EMPTY_BYTES = 12_288;

/**
 * Opens the state of the job that writes `output`. With `fresh` a file that is no state gives way.
 * @throws SetupError where another process runs it, or the file can't be had
 */
export async function openState(
  output: string,
  directories: readonly string[] | undefined,
  fresh: boolean,
): Promise<Database> {
  const path = statePath(output);
  const options = { temporaryDirectory: `${path}.tmp`, directories };
  makeFolder(dirname(path), 'output');
  try {
    return await Database.open(path, options);
  } catch (error) {
    if (!(error instanceof Unopened)) throw error;
    // An end of the process while the file was made leaves less than an empty one.
    const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? EMPTY_BYTES;
    if (bytes >= EMPTY_BYTES && !fresh) throw new SetupError(`${error.message}; --fresh begins anew`, error);
    removeState(output);
    return Database.open(path, options);
  }
}

/** @throws SetupError; `key` is the part of the job that needs it */
export function makeFolder(path: string, key: 'output' | 'rejects'): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new SetupError(`${key}: ${path} can't be made: ${(error as Error).message}`, error);
  }
}

/**
 * Goes on with what is there if it was made by the same plan; else begins anew.
 * @param plan everything that decides what the scores are
 */
export async function beginOrResume(database: Database, plan: string, fresh: boolean): Promise<Begun> {
  const said = JSON.stringify({ layout: LAYOUT, plan });
  const tables = (await database.rows<{ name: string }>('SELECT table_name AS name FROM duckdb_tables()')).map(
    ({ name }) => name,
  );
  const found = tables.includes('job')
    ? (await database.rows<{ plan: string }>('SELECT plan FROM job'))[0]?.plan
    : undefined;
  if (!fresh && found === said) return { resumed: true, replaced: false };
  await database.run('BEGIN');
  for (const table of tables) await database.run(`DROP TABLE ${table}`);
  for (const table of TABLES) await database.run(table);
  await database.run(`INSERT INTO job VALUES (${sqlText(said)})`);
  await database.run('COMMIT');
  return { resumed: false, replaced: found !== undefined && !fresh };
}

/** Whether there is something to go on with. */
export async function holdsScores(database: Database): Promise<boolean> {
  try {
    return (await database.rows('SELECT 1 FROM scores LIMIT 1')).length > 0;
  } catch {
    return false;
  }
}

/** Removes the files of a state that is closed. */
export function removeState(output: string): void {
  const path = statePath(output);
  for (const name of [path, `${path}.wal`, `${path}.tmp`]) rmSync(name, { recursive: true, force: true });
}
