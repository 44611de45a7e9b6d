// Models that come, change and go in a server that serves: the calls for it, and callers who notice nothing.

import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import type { LoadModelResponse, UnloadModelResponse, VersionStatus } from '../../src/gen/scorewire/v1/model.ts';
import { eventually } from './concurrently.ts';
import { promised, type RowInit, takeApart } from './test-client.ts';
import type { TestServer } from './test-server.ts';

export async function load(server: TestServer, model: string): Promise<VersionStatus[]> {
  const response = await promised<LoadModelResponse>((done) => server.client.models.loadModel({ model }, done));
  return response.versions;
}

export async function unload(server: TestServer, model: string): Promise<VersionStatus[]> {
  const response = await promised<UnloadModelResponse>((done) => server.client.models.unloadModel({ model }, done));
  return response.versions;
}

/** `name version STATE` with a reason behind it, of every version that the server knows. */
export function indexOf(server: TestServer): string[] {
  return server.running.engine.models
    .index()
    .map(({ name, version, state, reason }) =>
      [name, version, state, reason].filter((part) => part !== undefined && part !== '').join(' '),
    );
}

/** Writes a file under `folder`, as a whole. */
export async function put(folder: string, path: string, content: string | Uint8Array): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.part`, content);
  await rename(`${file}.part`, file);
}

export const copy = (folder: string, from: string, to: string) =>
  cp(join(folder, from), join(folder, to), { recursive: true });
export const remove = (folder: string, path: string) => rm(join(folder, path), { recursive: true });

export type Callers = {
  /** Versions in the order in which answers came, each as often as it did. */
  readonly versions: bigint[];
  /** What calls failed with. */
  readonly failures: string[];
  /** Resolves when so many answers more have come. */
  answered(count: number): Promise<void>;
  stop(): Promise<void>;
};

/** Calls one after the other on so many lanes, until told to stop. */
export function callers(server: TestServer, model: string, row: RowInit, lanes = 4): Callers {
  const versions: bigint[] = [];
  const failures: string[] = [];
  let stopped = false;
  const lane = async () => {
    while (!stopped) {
      try {
        versions.push((await server.client.score(model, row)).version);
      } catch (error) {
        const { code, reason, message } = takeApart(error as ServiceError);
        failures.push(`${code} ${reason} ${message}`);
      }
    }
  };
  const done = Promise.all(Array.from({ length: lanes }, lane));
  return {
    versions,
    failures,
    answered: async (count) => {
      const before = versions.length;
      await eventually(() => versions.length >= before + count || failures.length > 0);
    },
    stop: async () => {
      stopped = true;
      await done;
    },
  };
}
