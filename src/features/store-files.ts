// The files of a feature store as they are now.
import { existsSync, statSync } from 'node:fs';
import { glob } from 'node:fs/promises';

export type StoreFile = { path: string; bytes: number; modifiedMs: number };

/** In the order of their paths. @throws Error where a path or a glob has no files */
export async function storeFiles(patterns: readonly string[]): Promise<StoreFile[]> {
  const paths = new Set<string>();
  for (const pattern of patterns) {
    const before = paths.size;
    // A name with brackets in it is a name before it is a pattern.
    if (existsSync(pattern)) paths.add(pattern);
    else for await (const path of glob(pattern)) paths.add(path);
    if (paths.size === before && !existsSync(pattern)) throw new Error(`${pattern}: no such file`);
  }
  const files: StoreFile[] = [];
  for (const path of [...paths].sort()) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) continue;
    if (found.isDirectory()) throw new Error(`${path}: is a folder; a glob such as ${path}/*.parquet names its files`);
    files.push({ path, bytes: found.size, modifiedMs: found.mtimeMs });
  }
  return files;
}
