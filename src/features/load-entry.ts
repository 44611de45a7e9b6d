// The thread that reads a feature store's files.
import { parentPort, workerData } from 'node:worker_threads';
import { SetupError } from '../errors.ts';
import { type Loaded, type LoadTask, loadTable } from './load-table.ts';
import { buffersOf } from './record-table.ts';

/** `setup`: the message says all, and is for whoever wrote the file. */
export type FromLoad = { kind: 'loaded'; loaded: Loaded } | { kind: 'failed'; message: string; setup: boolean };

const port = parentPort as NonNullable<typeof parentPort>;
const stop = new AbortController();
// A thread that is ended while DuckDB is at work takes the process along; so it is told.
port.on('message', () => stop.abort());

try {
  const loaded = await loadTable(workerData as LoadTask, stop.signal);
  port.postMessage({ kind: 'loaded', loaded } satisfies FromLoad, buffersOf(loaded.table));
} catch (error) {
  const setup = error instanceof SetupError;
  const message = setup ? error.message : ((error as Error).stack ?? String(error));
  port.postMessage({ kind: 'failed', message, setup } satisfies FromLoad);
} finally {
  port.close();
}
