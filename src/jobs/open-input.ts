// Where a job's rows come from: Parquet files are read where they are; all else is read once into the job's state, since only
// what has numbered rows can be gone on with after an interruption.
import type { JobDefinition } from '../config/job-definition.ts';
import type { Database } from '../duckdb/database.ts';
import { formatOf } from '../duckdb/file-format.ts';
import type { InputModel } from '../duckdb/input-columns.ts';
import { saidBy } from '../duckdb/read-rows.ts';
import { SetupError } from '../errors.ts';
import type { FoundFile } from './input-files.ts';
import type { JobInput } from './job-input.ts';
import { openParquet } from './parquet-input.ts';
import { openQuery, openText } from './spooled-input.ts';

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
  const { query, entity, inputFormat } = definition;
  try {
    if (query !== undefined) return await openQuery(database, query, entity, model);
    const paths = files.map(({ path }) => path);
    const formats = new Set(paths.map((path) => inputFormat ?? formatOf(path, 'input')));
    if (formats.size > 1) throw new SetupError(`input: files of one format, found ${[...formats].join(' and ')}`);
    const [format] = formats;
    if (format === 'parquet') return await openParquet(database, paths, entity, model);
    return await openText(database, paths, entity, model, format === 'csv' ? 'csv' : 'jsonl');
  } catch (error) {
    if (error instanceof SetupError) throw error;
    throw new SetupError(`${query === undefined ? 'input' : 'query'}: ${saidBy(error)}`, error);
  }
}
