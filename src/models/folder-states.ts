// What the folders of models look like from outside, so that a change is seen without reading them.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A model's folder, a version in it, a folder that is the model, and what lies there. */
const DEPTH = 3;

/**
 * A text for each folder under `directory`, by its name: it differs where a file in it came, went or was written. Links are followed,
 * and hidden files left out.
 * @throws Error where the directory can't be read
 */
export async function folderStates(directory: string): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  for (const name of (await readdir(directory)).sort()) {
    if (name.startsWith('.')) continue;
    const path = join(directory, name);
    const kind = await stat(path).catch(() => undefined);
    if (kind?.isDirectory()) states.set(name, (await stateOf(path, DEPTH)).join('\n'));
  }
  return states;
}

async function stateOf(path: string, depth: number): Promise<string[]> {
  const found: string[] = [];
  // What goes while it is looked at is not there.
  for (const name of (await readdir(path).catch(() => [])).sort()) {
    if (name.startsWith('.')) continue;
    const inner = join(path, name);
    const about = await stat(inner, { bigint: true }).catch(() => undefined);
    if (about === undefined) continue;
    // A folder's own times change with what is no part of it, such as hidden files.
    if (!about.isDirectory()) found.push(`${name} ${about.size} ${about.mtimeNs} ${about.ino}`);
    else if (depth > 1) found.push(`${name}/`, ...(await stateOf(inner, depth - 1)).map((line) => `${name}/${line}`));
  }
  return found;
}
