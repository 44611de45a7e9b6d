// The files of a feature store into one table. Runs in a thread of its own: DuckDB and millions of strings are nothing for
// the thread that answers.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileStoreDefinition } from '../config/feature-stores-file.ts';
import { ChunkCollector } from '../duckdb/collect-chunks.ts';
import { Database, sqlName, sqlText } from '../duckdb/database.ts';
import { formatOf } from '../duckdb/file-format.ts';
import {
  badValues,
  type ColumnPlan,
  entityColumn,
  type InputColumn,
  planColumns,
  selectList,
} from '../duckdb/input-columns.ts';
import { describe, literalPath, saidBy, streamRows } from '../duckdb/read-rows.ts';
import { csvColumns, IS_OBJECT, jsonColumns, jsonLines, readCsv } from '../duckdb/text-files.ts';
import { readColumn } from '../duckdb/vectors.ts';
import { SetupError } from '../errors.ts';
import type { Feature } from '../models/model.ts';
import type { DataType } from '../tensor.ts';
import type { TableParts } from './record-table.ts';
import { type BadRecord, type ReadRows, TableBuilder } from './table-builder.ts';
import type { WantedFeature } from './wanted-features.ts';

export type LoadTask = {
  store: string;
  definition: FileStoreDefinition;
  files: readonly { path: string; modifiedMs: number }[];
  wanted: readonly WantedFeature[];
};

export type Loaded = {
  table: TableParts;
  badRecords: number;
  firstBad: BadRecord | undefined;
  /** Rows that say nothing of whom they are about, and lines that are no rows. */
  skipped: number;
  /** Rows that gave way to later ones of the same entity. */
  repeated: number;
};

/** What each type of feature is read as; which input it goes to doesn't matter here. */
const DATA_TYPES: Record<WantedFeature['type'], DataType> = {
  number: 'float64',
  integer: 'int64',
  text: 'string',
  flag: 'bool',
};

/** @throws SetupError for files that can't be read, and columns that don't fit; Error in DuckDB's words, or when it is stopped */
export async function loadTable(task: LoadTask, stop: AbortSignal): Promise<Loaded> {
  const folder = mkdtempSync(join(tmpdir(), 'scorewire-features-'));
  try {
    const database = await Database.open(join(folder, 'load.db'), {
      temporaryDirectory: join(folder, 'tmp'),
      directories: undefined,
    });
    const interrupt = (): void => database.interrupt();
    stop.addEventListener('abort', interrupt);
    if (stop.aborted) interrupt();
    try {
      await database.run("SET TimeZone = 'UTC'");
      return await load(database, task, stop);
    } finally {
      stop.removeEventListener('abort', interrupt);
      database.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function load(database: Database, task: LoadTask, stop: AbortSignal): Promise<Loaded> {
  const builder = new TableBuilder(task.wanted);
  const collector = new ChunkCollector();
  let skipped = 0;
  for (const { path, modifiedMs } of task.files) {
    const label = `feature store ${task.store}: ${path}`;
    try {
      const source = await open(database, path, task, label);
      for await (const { data } of streamRows(database, source.sql, 0, source.rows, path)) {
        builder.add(readRows(data, source.plan, task.wanted, modifiedMs));
        collector.count(data);
        stop.throwIfAborted();
      }
      skipped += source.skipped;
      await database.run('DROP TABLE IF EXISTS rows_read');
    } catch (error) {
      if (error instanceof SetupError && error.message.startsWith('feature store ')) throw error;
      throw new SetupError(`${label}: ${saidBy(error).replace(/^input: /, '')}`, error);
    }
  }
  const { records, first } = builder.bad;
  return {
    table: builder.finish(),
    badRecords: records,
    firstBad: first,
    skipped: skipped + builder.nameless,
    repeated: builder.repeated,
  };
}

type Source = { sql: string; rows: number; plan: ColumnPlan; skipped: number };

/** What a file is read by: entity, features, what can't be cast where something can't, as of last. */
async function open(database: Database, path: string, task: LoadTask, label: string): Promise<Source> {
  const format = formatOf(path, 'input');
  const features = task.wanted.map(
    ({ name, type }, index): Feature => ({
      name,
      type,
      dataType: DATA_TYPES[type],
      input: index,
      column: 0,
      allowNan: true,
    }),
  );
  const from =
    format === 'parquet'
      ? `read_parquet(${sqlText(literalPath(path))})`
      : format === 'csv'
        ? readCsv(path)
        : `(${jsonLines(path)})`;
  const columns =
    format === 'parquet'
      ? await describe(database, from)
      : format === 'csv'
        ? await csvColumns(database, path)
        : await jsonColumns(database, path, features);
  const entity = entityColumn(columns, features, task.definition.entity, label);
  const renamed = renamedColumns(columns, entity, task, path, label);
  const model = {
    name: task.store,
    layout: { kind: 'features' as const, features, inputs: [], dense: false, named: true },
    elsewhere: () => true,
  };
  const plan = planColumns(model, renamed, entity.name, format !== 'parquet', label);
  const list = `${selectList(plan)}, ${asOfSql(columns, task.definition.asOf, label)} AS as_of_ms`;
  if (format === 'parquet') {
    const sql = `SELECT "rows" FROM (SELECT num_rows AS "rows" FROM parquet_file_metadata(${sqlText(literalPath(path))}))`;
    const [counted] = await database.rows<{ rows: string }>(sql);
    return { sql: `SELECT ${list} FROM ${from}`, rows: Number(counted?.rows ?? 0), plan, skipped: 0 };
  }
  // Only what has been read has so many rows.
  const where = format === 'csv' ? '' : ` WHERE ${IS_OBJECT}`;
  await database.run(`CREATE OR REPLACE TABLE rows_read AS SELECT ${list} FROM ${from}${where}`);
  const [counted] = await database.rows<{ rows: string; skipped: string }>(
    format === 'csv'
      ? 'SELECT (SELECT count(*) FROM rows_read) AS "rows", (SELECT count(DISTINCT line) FROM reject_errors) AS skipped'
      : `SELECT (SELECT count(*) FROM rows_read) AS "rows",
          (SELECT count(*) FROM ${from} WHERE line IS NOT NULL AND NOT (${IS_OBJECT})) AS skipped`,
  );
  if (format === 'csv')
    for (const table of ['reject_errors', 'reject_scans']) await database.run(`DROP TABLE ${table}`);
  return { sql: 'SELECT * FROM rows_read', rows: Number(counted?.rows), plan, skipped: Number(counted?.skipped) };
}

/** Columns by the names of features. @throws SetupError where one is missing that a model can't do without */
function renamedColumns(
  columns: readonly InputColumn[],
  entity: InputColumn,
  { store, definition, wanted }: LoadTask,
  path: string,
  label: string,
): InputColumn[] {
  const problems: string[] = [];
  const found: InputColumn[] = [];
  for (const { name, neededBy } of wanted) {
    const own = definition.columns.get(name) ?? name;
    const column =
      columns.find((one) => one.name === own) ?? columns.find((one) => one.name.toLowerCase() === own.toLowerCase());
    if (column !== undefined) {
      found.push({ ...column, name, sql: column.sql ?? sqlName(column.name) });
    } else if (neededBy !== undefined) {
      const called = own === name ? '' : ` for ${name}`;
      problems.push(
        `feature store ${store}: ${path} has no column ${own}${called}, and model ${neededBy} has no default for it; set one in its model.yaml, or source: request`,
      );
    } else if (own !== name) {
      problems.push(`${label} has no column ${own}, which is to be ${name}`);
    }
  }
  if (problems.length > 0) throw new SetupError(problems.join('\n'));
  // First the entity: a feature may be called like it.
  return [entity, ...found.filter(({ name }) => name !== entity.name)];
}

/** Seconds since 1970 are smaller than this, milliseconds larger. */
const LEAST_MS = 1e11;

/** DOUBLE: milliseconds since 1970; NULL where there is no time, NaN where it can't be read. */
function asOfSql(columns: readonly InputColumn[], name: string | undefined, label: string): string {
  if (name === undefined) return 'NULL::DOUBLE';
  const column = columns.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (column === undefined) {
    throw new SetupError(
      `${label}: as_of: there is no column ${name}; the columns are ${columns.map((one) => one.name).join(', ')}`,
    );
  }
  const value = column.sql ?? sqlName(column.name);
  const number = (text: string): string =>
    `CASE WHEN abs(${text}) < ${LEAST_MS} THEN ${text} * 1000.0 ELSE ${text}::DOUBLE END`;
  const base = column.type.replace(/\(.*/, '');
  if (base === 'TIMESTAMP WITH TIME ZONE') return `epoch_ms(${value})::DOUBLE`;
  if (/^(TIMESTAMP|DATE)/.test(base)) return `epoch_ms(${value}::TIMESTAMP)::DOUBLE`;
  if (/^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|^FLOAT$|^DOUBLE$|^DECIMAL$/.test(base)) return number(`${value}::DOUBLE`);
  if (base === 'VARCHAR') {
    const time = `epoch_ms(TRY_CAST(${value} AS TIMESTAMPTZ))::DOUBLE`;
    return `CASE WHEN ${value} IS NULL THEN NULL ELSE COALESCE(${number(`TRY_CAST(${value} AS DOUBLE)`)}, ${time}, 'nan'::DOUBLE) END`;
  }
  throw new SetupError(`${label}: as_of: column ${column.name} is ${column.type}; allowed is a time`);
}

function readRows(
  data: Parameters<typeof readColumn>[0],
  { features, bad }: ColumnPlan,
  wanted: readonly WantedFeature[],
  modifiedMs: number,
): ReadRows {
  const places = features.map(({ feature }) => wanted.findIndex(({ name }) => name === feature.name));
  const columns = new Array<ReadRows['columns'][number]>(wanted.length).fill(undefined);
  for (const [index, place] of places.entries()) columns[place] = readColumn(data, 1 + index);
  const wrong = new Map<number, { place: number; problem: string }>();
  if (bad) {
    const texts = readColumn(data, 1 + features.length);
    for (const [row, text] of (texts.values as readonly string[]).entries()) {
      if (texts.nulls?.[row] === 1) continue;
      const [first] = badValues(text);
      if (first === undefined) continue;
      const place = places[first[0]] as number;
      const { type } = wanted[place] as WantedFeature;
      wrong.set(row, {
        place,
        problem: `expected ${type === 'integer' ? 'an' : 'a'} ${type}, found text ${JSON.stringify(first[1].slice(0, 40))}`,
      });
    }
  }
  const asOf = readColumn(data, 1 + features.length + (bad ? 1 : 0));
  const asOfMs = asOf.values as Float64Array;
  for (let row = 0; row < asOfMs.length; row++) {
    if (asOf.nulls?.[row] === 1) {
      asOfMs[row] = modifiedMs;
    } else if (Number.isNaN(asOfMs[row])) {
      asOfMs[row] = modifiedMs;
      wrong.set(row, { place: -1, problem: 'expected a time, found another text' });
    }
  }
  return { entities: readColumn(data, 0), columns, wrong, asOfMs };
}
