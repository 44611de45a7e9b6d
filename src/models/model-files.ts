// Where a model's files come from: its folder on disk, or who asks for a load and brings them along.

import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative } from 'node:path';
import { SetupError } from '../errors.ts';

/** What of a model comes with the request to load it, in the place of what is on disk. */
export type ModelOverride = {
  /** A Triton model config as JSON, in the place of config.pbtxt. */
  config: string | undefined;
  /** Files of the model's folder by their path in it, such as `1/model.onnx`; where there are any, the folder on disk is not read. */
  files: ReadonlyMap<string, Uint8Array>;
};

/** All paths are absolute, or as the directory of models was given. */
export interface ModelFiles {
  /** Whether they are files of a file system, which onnxruntime can open by itself. */
  readonly onDisk: boolean;
  /**
   * Names in a directory in order, hidden ones left out, links followed.
   * @param what the directory is expected to be, for messages
   * @throws SetupError
   */
  list(directory: string, what: string): Promise<{ folders: string[]; files: string[] }>;
  isFile(path: string): Promise<boolean>;
  /** Undefined where there is no such file. @throws SetupError where it can't be read */
  read(path: string): Promise<Uint8Array | undefined>;
}

export class DiskFiles implements ModelFiles {
  readonly onDisk = true;

  async list(directory: string, what: string): Promise<{ folders: string[]; files: string[] }> {
    let entries: Dirent[];
    try {
      entries = await readdir(directory, { withFileTypes: true });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') throw new SetupError(`${directory} isn't there; expected is a ${what}`);
      if (code === 'ENOTDIR') throw new SetupError(`${directory} is a file; expected is a ${what}`);
      throw unreadable(directory, error);
    }
    const names = entries.map((entry) => entry.name).filter((name) => !name.startsWith('.'));
    const folders: string[] = [];
    const files: string[] = [];
    for (const name of names.sort()) {
      const kind = await stat(join(directory, name)).catch(() => undefined);
      (kind?.isDirectory() ? folders : files).push(name);
    }
    return { folders, files };
  }

  async isFile(path: string): Promise<boolean> {
    return (await stat(path).catch(() => undefined))?.isFile() ?? false;
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw unreadable(path, error);
    }
  }
}

/** Files in memory, as if they lay in `folder`. */
export class GivenFiles implements ModelFiles {
  readonly onDisk = false;
  readonly #folder: string;
  readonly #files = new Map<string, Uint8Array>();

  /** @throws SetupError for a path that leads out of the folder */
  constructor(folder: string, files: ReadonlyMap<string, Uint8Array>) {
    this.#folder = folder;
    for (const [path, bytes] of files) {
      if (!isInside(path))
        throw new SetupError(`${folder}: found a file "${path}"; allowed is a path in the model's folder`);
      this.#files.set(normalize(path), bytes);
    }
  }

  async list(directory: string): Promise<{ folders: string[]; files: string[] }> {
    const at = relative(this.#folder, directory);
    const folders = new Set<string>();
    const files: string[] = [];
    for (const path of this.#files.keys()) {
      const [first = '', ...rest] = at === '' ? path.split('/') : this.#below(path, at);
      if (first === '' || first.startsWith('.')) continue;
      if (rest.length > 0) folders.add(first);
      else files.push(first);
    }
    return { folders: [...folders].sort(), files: files.sort() };
  }

  async isFile(path: string): Promise<boolean> {
    return this.#files.has(relative(this.#folder, path));
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.#files.get(relative(this.#folder, path));
  }

  #below(path: string, folder: string): string[] {
    return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1).split('/') : [];
  }
}

/** Whether a path that a file names stays in the folder that it is relative to. */
export function isInside(path: string): boolean {
  return path !== '' && !isAbsolute(path) && !/^\.\.?(\/|$)/.test(normalize(path));
}

function unreadable(path: string, error: unknown): SetupError {
  return new SetupError(`${path} can't be read: ${(error as Error).message}`, error);
}
