// Parquet files, read where they are, one after the other: each with its own plan, since their columns may differ.
import { type Database, sqlList, sqlText } from '../duckdb/database.ts';
import { type ColumnPlan, type InputModel, planColumns, selectList } from '../duckdb/input-columns.ts';
import { describe, literalPath, streamRows } from '../duckdb/read-rows.ts';
import { type JobInput, labelOf } from './job-input.ts';

type Part = { path: string; rows: number; plan: ColumnPlan };

/** @throws SetupError for columns that don't fit the model; Error in DuckDB's words */
export async function openParquet(
  database: Database,
  paths: readonly string[],
  entity: string | undefined,
  model: InputModel,
): Promise<JobInput> {
  const parts: Part[] = [];
  const names = new Set<string>();
  for (const path of paths) {
    const columns = await describe(database, readParquet(path));
    for (const { name } of columns) names.add(name);
    const plan = planColumns(model, columns, entity, false, labelOf(paths, path));
    parts.push({ path, rows: await rowsOf(database, path), plan });
  }
  return {
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    inFiles: true,
    entities: entitiesOf(parts),
    columns: [...names],
    async *chunks(firstRow) {
      let before = 0;
      for (const { path, rows, plan } of parts) {
        const skipped = Math.min(rows, Math.max(0, firstRow - before));
        if (skipped < rows) {
          const sql = `SELECT ${selectList(plan)} FROM ${readParquet(path, ', file_row_number = true')} WHERE file_row_number >= ${skipped}`;
          for await (const chunk of streamRows(database, sql, before + skipped, before + rows, path)) {
            yield { ...chunk, plan };
          }
        }
        before += rows;
      }
    },
  };
}

async function rowsOf(database: Database, path: string): Promise<number> {
  const sql = `SELECT num_rows AS "rows" FROM parquet_file_metadata(${sqlText(literalPath(path))})`;
  const [found] = await database.rows<{ rows: string }>(sql);
  return Number(found?.rows ?? 0);
}

/** Files in which the entity is the same column are read together: a query of thousands of parts would be slow to plan. */
function entitiesOf(parts: readonly Part[]): string {
  const groups: { entity: string; paths: string[] }[] = [];
  for (const { path, plan } of parts) {
    const last = groups.at(-1);
    if (last?.entity === plan.entity) last.paths.push(path);
    else groups.push({ entity: plan.entity, paths: [path] });
  }
  return groups
    .map(({ entity, paths }) => {
      const files = sqlList(paths.map(literalPath));
      return `SELECT ${entity} AS entity_id FROM read_parquet(${files}, union_by_name = true)`;
    })
    .join(' UNION ALL ');
}

function readParquet(path: string, options = ''): string {
  return `read_parquet(${sqlText(literalPath(path))}${options})`;
}
