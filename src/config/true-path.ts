import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** A path with everything in it resolved that is there: two that are equal are one file. */
export function truePath(path: string): string {
  const full = resolve(path);
  if (existsSync(full)) return realpathSync(full);
  const folder = dirname(full);
  return folder === full ? full : join(truePath(folder), basename(full));
}
