// The thread's side of `readModelsApart`.
import { parentPort, workerData } from 'node:worker_threads';
import type { ModelOverride } from './model-files.ts';
import { type ModelFolder, readModel } from './model-folder.ts';

/** What the thread begins with; it says what it read, and ends. */
export type ReadTask = { directory: string; folders: readonly FolderTask[] };

export type FolderTask = { name: string; override: ModelOverride | undefined };

const { directory, folders } = workerData as ReadTask;
const read: ModelFolder[] = [];
for (const { name, override } of folders) read.push(await readModel(directory, name, override));
parentPort?.postMessage(read);
