// Which version of a model is live, where somebody chose: a file beside the versions, with a number in it.
import { open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupError } from '../errors.ts';

const LIVE_NAME = 'live';

/**
 * The version that the file in a model's folder names; undefined where there is no file.
 * @throws SetupError for a file that names none of `versions`
 */
export async function readLive(folder: string, versions: readonly number[]): Promise<number | undefined> {
  const path = join(folder, LIVE_NAME);
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SetupError(`${path} can't be read: ${(error as Error).message}`, error);
  }
  const version = versions.find((one) => String(one) === text);
  if (version !== undefined) return version;
  const shown = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  throw new SetupError(
    `${path}: expected the number of the live version (${versions.join(', ')}), found "${shown}"; without the file the highest is live`,
  );
}

/**
 * Keeps the choice for servers that start later, all of it or nothing of it; undefined: nothing is chosen.
 * @throws Error where the folder can't be written
 */
export async function writeLive(folder: string, version: number | undefined): Promise<void> {
  const path = join(folder, LIVE_NAME);
  if (version === undefined) {
    await unlink(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    return;
  }
  const beside = join(folder, `.${LIVE_NAME}.${process.pid}`);
  try {
    const file = await open(beside, 'w');
    try {
      await file.writeFile(`${version}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await unlink(beside).catch(() => {});
    throw error;
  }
}
