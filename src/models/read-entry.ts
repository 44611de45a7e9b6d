// The thread's side of `readModelsApart`.
import { parentPort, workerData } from 'node:worker_threads';
import { type FolderOverride, type ModelFolder, readModel } from './repository.ts';

/** What the thread begins with; it says what it read, and ends. */
export type ReadTask = { directory: string; folders: readonly FolderTask[] };

export type FolderTask = { name: string; override: FolderOverride | undefined };

const { directory, folders } = workerData as ReadTask;
const read: ModelFolder[] = [];
for (const { name, override } of folders) read.push(await readModel(directory, name, override));
parentPort?.postMessage(read);
