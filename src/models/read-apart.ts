// Folders of models read in a thread of their own: to digest and parse a large model would hold whoever else is served.
import { Worker } from 'node:worker_threads';
import { makeLow } from '../thread-priority.ts';
import type { ModelFolder } from './model-folder.ts';
import type { FolderTask, ReadTask } from './read-entry.ts';

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './read-entry.ts' : './read-entry.js', import.meta.url);

/** As `readModel` for each, in their order. Rejects where the thread goes away, as it does when `signal` is raised. */
export function readModelsApart(
  directory: string,
  folders: readonly FolderTask[],
  signal: AbortSignal,
): Promise<ModelFolder[]> {
  const task: ReadTask = { directory, folders };
  const thread = makeLow(() => new Worker(ENTRY, { workerData: task }));
  const end = () => void thread.terminate();
  signal.addEventListener('abort', end);
  return new Promise<ModelFolder[]>((resolve, reject) => {
    thread.on('message', resolve);
    thread.on('error', reject);
    thread.on('exit', () => reject(new Error('the thread that reads models went away')));
  }).finally(() => signal.removeEventListener('abort', end));
}
