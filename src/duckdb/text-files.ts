// Files of text as tables whose columns are all texts: CSV, and JSON lines.
import { SetupError } from '../errors.ts';
import type { Feature } from '../models/model.ts';
import { type Database, sqlText } from './database.ts';
import type { InputColumn } from './input-columns.ts';
import { describe, literalPath } from './read-rows.ts';

export function csvColumns(database: Database, path: string): Promise<InputColumn[]> {
  return describe(database, readCsv(path));
}

/** Lines that are no rows of the table go to DuckDB's table reject_errors. */
export function readCsv(path: string): string {
  return `read_csv(${sqlText(literalPath(path))}, all_varchar = true, header = true, store_rejects = true)`;
}

/** Lines of which the keys are learned. */
const SAMPLE_LINES = 10_000;
/** Longer ones are no line of any table. */
const MAX_LINE_BYTES = 16_000_000;

/** One column a key, those included of `features` that need not be among the first lines. */
export async function jsonColumns(
  database: Database,
  path: string,
  features: readonly Feature[],
): Promise<InputColumn[]> {
  const found = await database.rows<{ key: string }>(
    `SELECT key, min(n) AS line, min(place) AS place FROM (
        SELECT n, unnest(json_keys(line)) AS key, generate_subscripts(json_keys(line), 1) AS place
        FROM (SELECT * FROM (${jsonLines(path)}) WHERE ${IS_OBJECT} LIMIT ${SAMPLE_LINES})
      ) GROUP BY key ORDER BY line, place`,
  );
  const keys = found.map(({ key }) => key);
  if (keys.length === 0) return emptyColumns(database, path, features);
  // One that few lines have need not be among the first.
  const late = features.filter(
    ({ default: value, allowNan, source }) => value !== undefined || allowNan || source !== undefined,
  );
  const names = [...keys, ...late.map(({ name }) => name).filter((name) => !keys.includes(name))];
  return firstOfEachCase(names).map((name) => ({ name, type: 'VARCHAR', sql: textOf(name, names) }));
}

/** A file without a line has no keys to tell, and no rows to need them. */
async function emptyColumns(database: Database, path: string, features: readonly Feature[]): Promise<InputColumn[]> {
  const some = await database.rows(`SELECT 1 FROM (${jsonLines(path)}) WHERE line IS NOT NULL LIMIT 1`);
  if (some.length > 0) {
    throw new SetupError(
      `input: ${path}: no line is a JSON object (a file that is one array is no file of JSON lines)`,
    );
  }
  return ['entity_id', ...features.map(({ name }) => name)].map((name) => ({
    name,
    type: 'VARCHAR',
    sql: 'line',
  }));
}

export const IS_OBJECT = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END";

/** `line` and its number `n`, from 1; a blank one is NULL. */
export function jsonLines(path: string): string {
  return `SELECT line, row_number() OVER () AS n FROM read_csv(${sqlText(literalPath(path))}, columns = {'line': 'VARCHAR'},
    delim = '\n', quote = '', escape = '', header = false, auto_detect = false, max_line_size = ${MAX_LINE_BYTES})`;
}

/** Names that differ in nothing but their case are one column, as in SQL. */
function firstOfEachCase(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.filter((name) => {
    const plain = name.toLowerCase();
    if (seen.has(plain)) return false;
    seen.add(plain);
    return true;
  });
}

function textOf(name: string, names: readonly string[]): string {
  const spellings = names.filter((other) => other.toLowerCase() === name.toLowerCase());
  const values = spellings.map((spelling) => {
    // A JSON pointer (RFC 6901) takes any key.
    const pointer = `/${spelling.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    return `json_extract_string(line, ${sqlText(pointer)})`;
  });
  return values.length === 1 ? (values[0] as string) : `COALESCE(${values.join(', ')})`;
}
