// What is no Parquet, read once into the table `input` of the job's state: CSV, JSON lines, and the rows of a query.
import { type Database, sqlText } from '../duckdb/database.ts';
import {
  type ColumnPlan,
  type InputColumn,
  type InputModel,
  type PlannedFeature,
  planColumns,
  selectList,
} from '../duckdb/input-columns.ts';
import { describe, streamRows } from '../duckdb/read-rows.ts';
import { csvColumns, IS_OBJECT, jsonColumns, jsonLines, readCsv } from '../duckdb/text-files.ts';
import { SetupError } from '../errors.ts';
import type { Feature, FeatureDefault } from '../models/model.ts';
import { type JobInput, labelOf } from './job-input.ts';

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
  const plan = planColumns(model, columns, entity, false, 'query');
  await spool(database, [`CREATE TABLE input AS SELECT ${selectList(plan)} FROM ${source}`]);
  return spooled(
    database,
    plan,
    columns.map(({ name }) => name),
  );
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
  const all = new Set<string>();
  for (const path of paths) {
    const columns = await columnsOf(database, path, model.layout.features);
    for (const { name } of columns) all.add(name);
    plans.push({ path, plan: planColumns(model, columns, entity, true, labelOf(paths, path)) });
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
  return spooled(database, whole, [...all]);
}

const TYPES = { number: 'DOUBLE', integer: 'BIGINT', text: 'VARCHAR', flag: 'BOOLEAN' };

/** With all features that any of the files has: one that this one lacks has its default there, or is looked for elsewhere. */
function completed({ entity, features }: ColumnPlan, all: readonly Feature[]): ColumnPlan {
  const complete = all.map((feature): PlannedFeature => {
    const found = features.find((one) => one.feature === feature);
    return found ?? { feature, sql: feature.default === undefined ? 'NULL' : literal(feature.default) };
  });
  return { entity, features: complete, bad: true };
}

function literal(value: FeatureDefault): string {
  return typeof value === 'string' ? sqlText(value) : Number.isNaN(value) ? "'nan'::DOUBLE" : String(value);
}

type TextFormat = {
  columnsOf(database: Database, path: string, features: readonly Feature[]): Promise<InputColumn[]>;
  /** Statements that put rows into the table input, and what is no row into rejects. */
  insert(path: string, list: string): string[];
};

const csv: TextFormat = {
  columnsOf: csvColumns,
  insert: (path, list) => [
    `INSERT INTO input SELECT ${list} FROM ${readCsv(path)}`,
    `INSERT INTO rejects SELECT NULL, NULL, ${sqlText(path)}, line, 'MALFORMED_LINE', '', min(error_message),
      any_value(csv_line) FROM reject_errors GROUP BY line ORDER BY line`,
    'DROP TABLE reject_errors',
    'DROP TABLE reject_scans',
  ],
};

const json: TextFormat = {
  columnsOf: jsonColumns,
  insert: (path, list) => [
    `INSERT INTO input SELECT ${list} FROM (${jsonLines(path)}) WHERE ${IS_OBJECT}`,
    `INSERT INTO rejects SELECT NULL, NULL, ${sqlText(path)}, n, 'MALFORMED_LINE', '', 'expected a JSON object', line
      FROM (${jsonLines(path)}) WHERE line IS NOT NULL AND NOT (${IS_OBJECT})`,
  ],
};

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

async function spooled(database: Database, plan: ColumnPlan, columns: readonly string[]): Promise<JobInput> {
  const [counted] = await database.rows<{ rows: string }>('SELECT count(*) AS "rows" FROM input');
  if (counted === undefined) throw new SetupError('input: nothing was read');
  const rows = Number(counted.rows);
  return {
    rows,
    inFiles: false,
    entities: 'SELECT entity_id FROM input',
    columns,
    async *chunks(firstRow) {
      const sql = `SELECT * FROM input WHERE rowid >= ${firstRow}`;
      for await (const chunk of streamRows(database, sql, firstRow, rows, 'what was read')) yield { ...chunk, plan };
    },
  };
}
