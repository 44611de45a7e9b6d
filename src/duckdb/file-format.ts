// Which kind of file a path names, and how DuckDB writes that.
import type { FileFormat, JobDefinition } from '../config/job-definition.ts';
import { SetupError } from '../errors.ts';

const ENDINGS: Readonly<Record<string, FileFormat>> = {
  parquet: 'parquet',
  pq: 'parquet',
  csv: 'csv',
  tsv: 'csv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'jsonl',
};

/**
 * The format by the path's ending; text may be compressed.
 * @param key the part of a job that the path is, for the message
 * @throws SetupError where the ending says nothing
 */
export function formatOf(path: string, key: 'input' | 'output'): FileFormat {
  const [, ending = ''] = /\.([a-z]+)(?:\.(?:gz|zst))?$/i.exec(path) ?? [];
  const format = ENDINGS[ending.toLowerCase()];
  if (format !== undefined) return format;
  const allowed = Object.keys(ENDINGS).map((name) => `.${name}`);
  throw new SetupError(
    `${key}: ${path} has an ending that names no format; allowed are ${allowed.join(', ')}, or say ${key}_format`,
  );
}

/** @throws SetupError where the format of an input or of the output can't be told from its path */
export function checkFormats({ input, inputFormat, output, outputFormat }: JobDefinition): void {
  if (inputFormat === undefined) for (const path of input ?? []) formatOf(path, 'input');
  if (outputFormat === undefined) formatOf(output, 'output');
}

/** What COPY is told for a file to be written. */
export function copyOptions(format: FileFormat, path: string): string {
  const [, packed] = /\.(gz|zst)$/i.exec(path) ?? [];
  const compression = packed === undefined ? '' : `, COMPRESSION ${packed.toLowerCase() === 'gz' ? 'gzip' : 'zstd'}`;
  switch (format) {
    case 'parquet':
      return 'FORMAT parquet';
    case 'csv':
      return `FORMAT csv, HEADER${/\.tsv(\.|$)/i.test(path) ? ", DELIMITER '\t'" : ''}${compression}`;
    case 'jsonl':
      return `FORMAT json${compression}`;
  }
}
