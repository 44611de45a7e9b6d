// The rows of a job: Parquet files are read where they are; all else is read once into the job's state, since only what has
// numbered rows can be gone on with after an interruption.
import { statSync } from 'node:fs';
import type { DuckDBDataChunk } from '@duckdb/node-api';
import type { JobDefinition } from '../config/job-definition.ts';
import { SetupError } from '../errors.ts';
import type { RowLayout } from '../models/model.ts';
import { type Database, sqlList, sqlName, sqlText } from './duckdb.ts';
import { formatOf } from './file-format.ts';
import { type ColumnPlan, type InputColumn, jsonStructure, planColumns } from './input-columns.ts';

export type InputModel = { name: string; rows: RowLayout };

/** Columns of a chunk: entity, the features, and the plan's `bad` last where it has one. */
export type InputChunk = { firstRow: number; data: DuckDBDataChunk };

export interface JobInput {
  readonly rows: number;
  readonly plan: ColumnPlan;
  /** Rows from `firstRow` on, in order. @throws Error where the files give fewer than they should */
  chunks(firstRow: number): AsyncGenerator<InputChunk>;
  /** SELECT of the entities of all rows, in order, as entity_id. */
  readonly entities: string;
}

/** Files as they were found: an input that changes meanwhile is another one. */
export type FoundFile = { path: string; bytes: number; modifiedMs: number };

/** @throws SetupError where a path or glob has no files */
export async function findFiles(database: Database, { input }: JobDefinition): Promise<FoundFile[]> {
  const found = new Map<string, FoundFile>();
  for (const pattern of input ?? []) {
    const files = await database.rows<{ file: string }>(`SELECT file FROM glob(${sqlText(pattern)}) ORDER BY file`);
    if (files.length === 0) throw new SetupError(`input: ${pattern}: no such file`);
    for (const { file } of files) {
      const { size, mtimeMs } = statSync(file);
      found.set(file, { path: file, bytes: size, modifiedMs: mtimeMs });
    }
  }
  return [...found.values()];
}

/**
 * Opens the input, and reads it into the state where it has to be.
 * @throws SetupError for columns that don't fit the model, and files that can't be read
 */
export async function openInput(
  database: Database,
  definition: JobDefinition,
  files: readonly FoundFile[],
  model: InputModel,
): Promise<JobInput> {
  try {
    const paths = files.map(({ path }) => path);
    if (definition.query !== undefined) return await spoolQuery(database, definition, model);
    const formats = new Set(paths.map((path) => definition.inputFormat ?? formatOf(path, 'input')));
    if (formats.size > 1) throw new SetupError(`input: files of one format, found ${[...formats].join(' and ')}`);
    const [format] = formats;
    if (format === 'parquet') return await openParquet(database, definition, paths, model);
    return await spoolText(database, definition, paths, model, format === 'csv' ? csvSource : jsonSource);
  } catch (error) {
    if (error instanceof SetupError) throw error;
    throw new SetupError(`${definition.query === undefined ? 'input' : 'query'}: ${firstLine(error)}`, error);
  }
}

async function openParquet(
  database: Database,
  definition: JobDefinition,
  paths: readonly string[],
  model: InputModel,
): Promise<JobInput> {
  const all = `read_parquet(${sqlList(paths)}, union_by_name = true)`;
  const plan = planColumns(model.name, model.rows, await describe(database, all), definition.entity, false);
  const counts = new Map(
    (
      await database.rows<{ file: string; rows: string }>(
        `SELECT file_name AS file, num_rows AS "rows" FROM parquet_file_metadata(${sqlList(paths)})`,
      )
    ).map(({ file, rows }) => [file, Number(rows)]),
  );
  const parts = paths.map((path) => ({ path, rows: counts.get(path) ?? 0 }));
  return {
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    plan,
    entities: `SELECT ${plan.entity} AS entity_id FROM ${all}`,
    async *chunks(firstRow) {
      let before = 0;
      for (const { path, rows } of parts) {
        const skipped = Math.min(rows, Math.max(0, firstRow - before));
        if (skipped < rows) {
          const from = `read_parquet(${sqlText(path)}, file_row_number = true) WHERE file_row_number >= ${skipped}`;
          const sql = `SELECT ${selectList(plan)} FROM ${from}`;
          yield* stream(database, sql, before + skipped, before + rows, path);
        }
        before += rows;
      }
    },
  };
}

async function spoolQuery(database: Database, definition: JobDefinition, model: InputModel): Promise<JobInput> {
  const source = `(${definition.query?.replace(/[\s;]+$/, '')})`;
  const plan = planColumns(model.name, model.rows, await describe(database, source), definition.entity, false);
  await spool(database, [`CREATE TABLE input AS SELECT ${selectList(plan)} FROM ${source}`]);
  return spooled(database, plan);
}

type TextSource = {
  columns(
    database: Database,
    paths: readonly string[],
    model: InputModel,
    entity: string | undefined,
  ): Promise<InputColumn[]>;
  /** Statements that put rows into the table input, and what is no row into rejects. */
  insert(path: string, list: string, columns: readonly InputColumn[]): string[];
};

async function spoolText(
  database: Database,
  definition: JobDefinition,
  paths: readonly string[],
  model: InputModel,
  source: TextSource,
): Promise<JobInput> {
  const columns = await source.columns(database, paths, model, definition.entity);
  const plan = planColumns(model.name, model.rows, columns, definition.entity, true);
  const list = selectList(plan);
  const types = ['VARCHAR', ...plan.features.map(({ feature }) => PARSED_TYPES[feature.type])];
  if (plan.bad !== undefined) types.push('VARCHAR');
  await spool(database, [
    `CREATE TABLE input (${columnNames(plan)
      .map((name, index) => `${name} ${types[index]}`)
      .join(', ')})`,
    ...paths.flatMap((path) => source.insert(path, list, columns)),
  ]);
  return spooled(database, plan);
}

const PARSED_TYPES = { number: 'DOUBLE', integer: 'BIGINT', text: 'VARCHAR', flag: 'BOOLEAN' };

const csvSource: TextSource = {
  columns: (database, paths) => describe(database, csv(paths[0] as string)),
  insert: (path, list) => [
    `INSERT INTO input SELECT ${list} FROM ${csv(path)}`,
    `INSERT INTO rejects SELECT NULL, NULL, ${sqlText(path)}, line, 'MALFORMED_LINE', '', min(error_message),
      any_value(csv_line) FROM reject_errors GROUP BY line ORDER BY line`,
    'DROP TABLE reject_errors',
    'DROP TABLE reject_scans',
  ],
};

function csv(path: string): string {
  return `read_csv(${sqlText(path)}, all_varchar = true, header = true, store_rejects = true)`;
}

/** Lines of which the keys are learned. */
const SAMPLE_LINES = 10_000;

const jsonSource: TextSource = {
  async columns(database, paths, model, entity) {
    const keys = await database.rows<{ key: string }>(
      `SELECT DISTINCT unnest(json_keys(json)) AS key FROM
        (SELECT json FROM ${json(paths)} WHERE json_type(json) = 'OBJECT' LIMIT ${SAMPLE_LINES}) ORDER BY key`,
    );
    const names = new Set(keys.map(({ key }) => key));
    // A key that few lines have need not be among the first.
    const features = model.rows.kind === 'features' ? model.rows.features : [];
    for (const { name, default: value } of features) if (value !== undefined) names.add(name);
    if (entity !== undefined) names.add(entity);
    return [...names].map((name) => ({ name, type: 'VARCHAR' }));
  },
  insert: (path, list, columns) => [
    `INSERT INTO input SELECT ${list} FROM (SELECT unnest(json_transform(json, ${jsonStructure(columns.map(({ name }) => name))}))
      FROM ${json([path])} WHERE json_type(json) = 'OBJECT')`,
    `INSERT INTO rejects SELECT NULL, NULL, ${sqlText(path)}, NULL, 'MALFORMED_LINE', '', 'expected a JSON object', json::VARCHAR
      FROM ${json([path])} WHERE json_type(json) IS DISTINCT FROM 'OBJECT'`,
  ],
};

function json(paths: readonly string[]): string {
  return `read_ndjson_objects(${sqlList(paths)}, ignore_errors = true)`;
}

/** All or nothing: an input that was read in part would be taken for a whole one after an interruption. */
async function spool(database: Database, statements: readonly string[]): Promise<void> {
  const [{ there }] = (await database.rows<{ there: boolean }>(
    "SELECT count(*) > 0 AS there FROM duckdb_tables() WHERE table_name = 'input'",
  )) as [{ there: boolean }];
  if (there) return;
  await database.run('BEGIN');
  try {
    for (const statement of statements) await database.run(statement);
    await database.run('COMMIT');
  } catch (error) {
    await database.run('ROLLBACK');
    throw error;
  }
}

async function spooled(database: Database, plan: ColumnPlan): Promise<JobInput> {
  const [{ rows }] = (await database.rows<{ rows: string }>('SELECT count(*) AS "rows" FROM input')) as [
    { rows: string },
  ];
  return {
    rows: Number(rows),
    plan,
    entities: 'SELECT entity_id FROM input',
    chunks: (firstRow) =>
      stream(
        database,
        `SELECT * FROM input WHERE rowid >= ${firstRow}`,
        firstRow,
        Number(rows),
        'the input that was read',
      ),
  };
}

/**
 * The rows of a query from row `from` up to `to`. DuckDB ends a stream that fails midway as it ends one that is done, so
 * that only counting tells.
 */
async function* stream(
  database: Database,
  sql: string,
  from: number,
  to: number,
  name: string,
): AsyncGenerator<InputChunk> {
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
    throw new SetupError(`input: ${name} can't be read: ${firstLine(error)}`, error);
  } finally {
    connection.closeSync();
  }
}

async function describe(database: Database, source: string): Promise<InputColumn[]> {
  const columns = await database.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${source}`);
  return columns.map(({ column_name: name, column_type: type }) => ({ name, type }));
}

function columnNames({ features, bad }: ColumnPlan): string[] {
  return ['entity_id', ...features.map((_, index) => `f${index}`), ...(bad === undefined ? [] : ['bad'])];
}

function selectList(plan: ColumnPlan): string {
  const values = [plan.entity, ...plan.features.map(({ sql }) => sql), ...(plan.bad === undefined ? [] : [plan.bad])];
  return columnNames(plan)
    .map((name, index) => `${values[index]} AS ${sqlName(name)}`)
    .join(', ');
}

function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0] as string;
}
