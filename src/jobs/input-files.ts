// The files of a job: which they are, and whether they are still what they were.
import { existsSync, statSync } from 'node:fs';
import type { JobDefinition } from '../config/job-definition.ts';
import { truePath } from '../config/true-path.ts';
import { type Database, sqlText } from '../duckdb/database.ts';
import { literalPath } from '../duckdb/read-rows.ts';
import { SetupError } from '../errors.ts';

/** A file as it was found: one that changes meanwhile is another input. */
export type FoundFile = { path: string; bytes: number; modifiedMs: number };

/**
 * The files of an input; of a query those that its texts name, as far as they are on this machine.
 * @throws SetupError where a path or glob has no files
 */
export async function findFiles(database: Database, { input, query }: JobDefinition): Promise<FoundFile[]> {
  const found = new Map<string, FoundFile>();
  for (const pattern of input ?? []) {
    const files = await filesOf(database, pattern);
    if (files.length === 0) throw new SetupError(`input: ${pattern}: no such file`);
    for (const file of files) found.set(file, foundFile(file));
  }
  for (const text of query === undefined ? [] : textsOf(query)) {
    // What is no path, or none that the job may open, is for the query to say.
    const files = await filesOf(database, text).catch(() => []);
    for (const file of files) found.set(file, foundFile(file));
  }
  return [...found.values()];
}

async function filesOf(database: Database, pattern: string): Promise<string[]> {
  // A name with brackets in it is a name before it is a pattern.
  const sql = `SELECT file FROM glob(${sqlText(existsSync(pattern) ? literalPath(pattern) : pattern)}) ORDER BY file`;
  return (await database.rows<{ file: string }>(sql)).map(({ file }) => file);
}

function foundFile(path: string): FoundFile {
  const { size, mtimeMs } = statSync(path);
  return { path, bytes: size, modifiedMs: mtimeMs };
}

function textsOf(query: string): string[] {
  return [...query.matchAll(/'((?:[^']|'')+)'|"((?:[^"]|"")+)"/g)].map(([, text, name]) =>
    text === undefined ? (name as string).replaceAll('""', '"') : text.replaceAll("''", "'"),
  );
}

/** @throws SetupError where a file is not what it was */
export function checkUnchanged(files: readonly FoundFile[]): void {
  for (const { path, bytes, modifiedMs } of files) {
    const now = statSync(path, { throwIfNoEntry: false });
    if (now?.size === bytes && now.mtimeMs === modifiedMs) continue;
    throw new SetupError(`input: ${path} changed while it was read; run the job again`);
  }
}

/** @throws SetupError where what a job writes is a folder, or one of its other files */
export function checkTargets({ output, rejects }: JobDefinition, files: readonly FoundFile[]): void {
  const targets = { output: truePath(output), rejects: truePath(rejects) };
  if (targets.output === targets.rejects) throw new SetupError(`rejects: ${rejects} is the output as well`);
  for (const [key, target] of Object.entries(targets)) {
    if (statSync(target, { throwIfNoEntry: false })?.isDirectory())
      throw new SetupError(`${key}: ${target} is a folder`);
    const input = files.find(({ path }) => truePath(path) === target);
    if (input !== undefined) throw new SetupError(`${key}: ${input.path} is an input of the job as well`);
  }
}
