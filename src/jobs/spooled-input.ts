// What is no Parquet, read once into the table `input` of the job's state: CSV, JSON lines, and the rows of a query.
import { SetupError } from '../errors.ts';
import type { Feature, FeatureDefault } from '../models/model.ts';
import { type Database, sqlText } from './duckdb.ts';
import { type ColumnPlan, type InputColumn, type PlannedFeature, planColumns, selectList } from './input-columns.ts';
import { literalPath } from './input-files.ts';
import { describe, type InputModel, type JobInput, labelOf, streamRows } from './job-input.ts';

/** @throws SetupError for columns that don't fit the model; Error in DuckDB's words */
export async function openQuery(
  database: Database,
  query: string,
  entity: string | undefined,
  model: InputModel,
): Promise<JobInput> {
  const bare = query.replace(/[\s;]+$/, '');
  // Alone it must be SQL: what only makes sense inside of the parentheses below would end them.
  await database.parse(bare);
  // A comment may be at its end.
  const source = `(${bare}\n)`;
  const columns = await describe(database, source);
  const plan = planColumns(model.name, model.layout, columns, entity, false, 'query');
  await spool(database, [`CREATE TABLE input AS SELECT ${selectList(plan)} FROM ${source}`]);
  return spooled(database, plan);
}

/** @throws SetupError for columns that don't fit the model; Error in DuckDB's words */
export async function openText(
  database: Database,
  paths: readonly string[],
  entity: string | undefined,
  model: InputModel,
  format: 'csv' | 'jsonl',
): Promise<JobInput> {
  const { columnsOf, insert } = format === 'csv' ? csv : json;
  const plans: { path: string; plan: ColumnPlan }[] = [];
  for (const path of paths) {
    const columns = await columnsOf(database, path, model);
    plans.push({ path, plan: planColumns(model.name, model.layout, columns, entity, true, labelOf(paths, path)) });
  }
  const used = (feature: Feature): boolean =>
    plans.some(({ plan }) => plan.features.some((one) => one.feature === feature));
  const features = model.layout.features.filter(used);
  const whole: ColumnPlan = { entity: '', features: features.map((feature) => ({ feature, sql: '' })), bad: true };
  const types = ['VARCHAR', ...features.map(({ type }) => TYPES[type]), 'VARCHAR'];
  const names = ['entity_id', ...features.map((_, index) => `f${index}`), 'bad'];
  await spool(database, [
    `CREATE TABLE input (${names.map((name, index) => `${name} ${types[index]}`).join(', ')})`,
    ...plans.flatMap(({ path, plan }) => insert(path, selectList(completed(plan, features)))),
  ]);
  return spooled(database, whole);
}

const TYPES = { number: 'DOUBLE', integer: 'BIGINT', text: 'VARCHAR', flag: 'BOOLEAN' };

/** With all features that any of the files has: one that this one lacks has its default there. */
function completed({ entity, features }: ColumnPlan, all: readonly Feature[]): ColumnPlan {
  const complete = all.map((feature): PlannedFeature => {
    const found = features.find((one) => one.feature === feature);
    return found ?? { feature, sql: literal(feature.default as FeatureDefault) };
  });
  return { entity, features: complete, bad: true };
}

function literal(value: FeatureDefault): string {
  return typeof value === 'string' ? sqlText(value) : Number.isNaN(value) ? "'nan'::DOUBLE" : String(value);
}

type TextFormat = {
  columnsOf(database: Database, path: string, model: InputModel): Promise<InputColumn[]>;
  /** Statements that put rows into the table input, and what is no row into rejects. */
  insert(path: string, list: string): string[];
};

const csv: TextFormat = {
  columnsOf: (database, path) => describe(database, readCsv(path)),
  insert: (path, list) => [
    `INSERT INTO input SELECT ${list} FROM ${readCsv(path)}`,
    `INSERT INTO rejects SELECT NULL, NULL, ${sqlText(path)}, line, 'MALFORMED_LINE', '', min(error_message),
      any_value(csv_line) FROM reject_errors GROUP BY line ORDER BY line`,
    'DROP TABLE reject_errors',
    'DROP TABLE reject_scans',
  ],
};

function readCsv(path: string): string {
  return `read_csv(${sqlText(literalPath(path))}, all_varchar = true, header = true, store_rejects = true)`;
}

/** Lines of which the keys are learned. */
const SAMPLE_LINES = 10_000;
/** Longer ones are no line of any table. */
const MAX_LINE_BYTES = 16_000_000;

const json: TextFormat = {
  async columnsOf(database, path, model) {
    const found = await database.rows<{ key: string }>(
      `SELECT key, min(n) AS line, min(place) AS place FROM (
        SELECT n, unnest(json_keys(line)) AS key, generate_subscripts(json_keys(line), 1) AS place
        FROM (SELECT * FROM (${lines(path)}) WHERE ${IS_OBJECT} LIMIT ${SAMPLE_LINES})
      ) GROUP BY key ORDER BY line, place`,
    );
    const keys = found.map(({ key }) => key);
    if (keys.length === 0) return emptyColumns(database, path, model);
    // One that few lines have need not be among the first.
    const late = model.layout.features.filter(({ default: value, allowNan }) => value !== undefined || allowNan);
    const names = [...keys, ...late.map(({ name }) => name).filter((name) => !keys.includes(name))];
    return firstOfEachCase(names).map((name) => ({ name, type: 'VARCHAR', sql: textOf(name, names) }));
  },
  insert: (path, list) => [
    `INSERT INTO input SELECT ${list} FROM (${lines(path)}) WHERE ${IS_OBJECT}`,
    `INSERT INTO rejects SELECT NULL, NULL, ${sqlText(path)}, n, 'MALFORMED_LINE', '', 'expected a JSON object', line
      FROM (${lines(path)}) WHERE line IS NOT NULL AND NOT (${IS_OBJECT})`,
  ],
};

/** A file without a line has no keys to tell, and no rows to need them. */
async function emptyColumns(database: Database, path: string, model: InputModel): Promise<InputColumn[]> {
  const some = await database.rows(`SELECT 1 FROM (${lines(path)}) WHERE line IS NOT NULL LIMIT 1`);
  if (some.length > 0) {
    throw new SetupError(
      `input: ${path}: no line is a JSON object (a file that is one array is no file of JSON lines)`,
    );
  }
  return ['entity_id', ...model.layout.features.map(({ name }) => name)].map((name) => ({
    name,
    type: 'VARCHAR',
    sql: 'line',
  }));
}

const IS_OBJECT = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END";

/** `line` and its number `n`, from 1; a blank one is NULL. */
function lines(path: string): string {
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

/** All or nothing: an input that was read in part would be taken for a whole one after an interruption. */
async function spool(database: Database, statements: readonly string[]): Promise<void> {
  const tables = await database.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'input'");
  if (tables.length > 0) return;
  await database.run('BEGIN');
  try {
    for (const statement of statements) await database.run(statement);
    await database.run('COMMIT');
  } catch (error) {
    await database.rollBack();
    throw error;
  }
}

async function spooled(database: Database, plan: ColumnPlan): Promise<JobInput> {
  const [counted] = await database.rows<{ rows: string }>('SELECT count(*) AS "rows" FROM input');
  if (counted === undefined) throw new SetupError('input: nothing was read');
  const rows = Number(counted.rows);
  return {
    rows,
    inFiles: false,
    entities: 'SELECT entity_id FROM input',
    async *chunks(firstRow) {
      const sql = `SELECT * FROM input WHERE rowid >= ${firstRow}`;
      for await (const chunk of streamRows(database, sql, firstRow, rows, 'what was read')) yield { ...chunk, plan };
    },
  };
}
