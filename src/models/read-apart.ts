// Folders of models read in a thread of their own: to digest and parse a large model would hold whoever else is served.
import { Worker } from 'node:worker_threads';
import type { ModelFolder } from './model-folder.ts';
import type { FolderTask, ReadTask } from './read-entry.ts';

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './read-entry.ts' : './read-entry.js', import.meta.url);

/** As `readModel` for each, in their order. Rejects where the thread goes away. */
export function readModelsApart(directory: string, folders: readonly FolderTask[]): Promise<ModelFolder[]> {
  const task: ReadTask = { directory, folders };
  const thread = new Worker(ENTRY, { workerData: task });
  return new Promise((resolve, reject) => {
    thread.on('message', resolve);
    thread.on('error', reject);
    thread.on('exit', () => reject(new Error('the thread that reads models went away')));
  });
}
