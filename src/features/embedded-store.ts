// Features in files, held in memory: read at start, and again when they change.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { FileStoreDefinition } from '../config/feature-stores-file.ts';
import { SetupError } from '../errors.ts';
import type { Logger } from '../telemetry/log.ts';
import { BadRecordLog } from './bad-records.ts';
import {
  type FeatureObserver,
  type FeatureRecord,
  type FeatureRecords,
  type FeatureStore,
  nobody,
} from './feature-store.ts';
import type { FromLoad } from './load-entry.ts';
import type { Loaded, LoadTask } from './load-table.ts';
import { RecordTable } from './record-table.ts';
import { type StoreFile, storeFiles } from './store-files.ts';
import type { WantedFeature } from './wanted-features.ts';

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './load-entry.ts' : './load-entry.js', import.meta.url);

export type EmbeddedStoreOptions = {
  name: string;
  definition: FileStoreDefinition;
  wanted: readonly WantedFeature[];
  /** Between two looks at the files. */
  reloadMs: number;
  log?: Logger;
  observer?: FeatureObserver;
  /** Calls back after so many milliseconds; returns what calls it off. */
  after?: (ms: number, callback: () => void) => () => void;
  /** Monotonic milliseconds. */
  nowMs?: () => number;
};

export class EmbeddedStore implements FeatureStore {
  readonly name: string;
  readonly #options: EmbeddedStoreOptions;
  readonly #observer: FeatureObserver;
  readonly #after: NonNullable<EmbeddedStoreOptions['after']>;
  readonly #badRecords: BadRecordLog;
  #table: RecordTable;
  #firstBad: Loaded['firstBad'];
  /** The files as they were when they were read, and as they were when that failed since. */
  #read: string;
  #unreadable = '';
  #problem: string | undefined;
  #callOff: () => void = () => {};
  #looking: Promise<void> | undefined;
  #thread: Thread | undefined;
  #closed = false;

  /** @throws SetupError where the files can't be read, or lack what a model can't do without */
  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    let files: StoreFile[];
    try {
      files = await storeFiles(options.definition.files);
    } catch (error) {
      throw new SetupError(`feature store ${options.name}: files: ${(error as Error).message}`, error);
    }
    const thread = new Thread(options, files);
    return new EmbeddedStore(options, files, await thread.loaded);
  }

  private constructor(options: EmbeddedStoreOptions, files: readonly StoreFile[], loaded: Loaded) {
    this.name = options.name;
    this.#options = options;
    this.#observer = options.observer ?? nobody;
    this.#after = options.after ?? after;
    this.#badRecords = new BadRecordLog(options.name, options.log, options.nowMs);
    this.#read = JSON.stringify(files);
    this.#table = new RecordTable(loaded.table);
    this.#take(loaded);
    this.#lookLater();
  }

  get entities(): number {
    return this.#table.rows;
  }

  /** That the records take, outside of the heap. */
  get bytes(): number {
    return this.#table.bytes;
  }

  get(entity: string): FeatureRecord | undefined {
    const table = this.#table;
    const row = table.rowOf(entity);
    if (row < 0) {
      this.#observer.looked(this.name, 'miss', 1);
      return undefined;
    }
    if (table.isCorrupt(row)) {
      this.#metBad(entity);
      return undefined;
    }
    this.#observer.looked(this.name, 'hit', 1);
    return { values: table.values(row), asOfMs: table.asOfMs(row) };
  }

  getMany(entities: readonly string[], names: readonly string[]): FeatureRecords {
    const table = this.#table;
    const rows = new Int32Array(entities.length).fill(-1);
    let hits = 0;
    let misses = 0;
    for (let i = 0; i < rows.length; i++) {
      const entity = entities[i] as string;
      if (entity === '') continue;
      const row = table.rowOf(entity);
      if (row < 0) {
        misses++;
      } else if (table.isCorrupt(row)) {
        this.#metBad(entity);
      } else {
        rows[i] = row;
        hits++;
      }
    }
    if (hits > 0) this.#observer.looked(this.name, 'hit', hits);
    if (misses > 0) this.#observer.looked(this.name, 'miss', misses);
    return table.gather(rows, names);
  }

  problem(): string | undefined {
    return this.#problem;
  }

  /** Ends a reload that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#callOff();
    await this.#thread?.end();
    await this.#looking;
  }

  #metBad(entity: string): void {
    this.#observer.looked(this.name, 'corrupt', 1);
    const bad = this.#firstBad;
    this.#badRecords.met(entity, bad === undefined ? '' : `such as ${bad.feature}: ${bad.problem}`);
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#callOff = this.#after(this.#options.reloadMs, () => {
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
        this.#lookLater();
      });
    });
  }

  /** Reads the files again if they aren't what they were. What is there stays until all of it can be replaced. */
  async #look(): Promise<void> {
    let files: StoreFile[];
    try {
      files = await storeFiles(this.#options.definition.files);
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#problem) this.#fail(message);
      return;
    }
    const seen = JSON.stringify(files);
    if (seen === this.#read) {
      this.#problem = undefined;
      this.#unreadable = '';
    }
    // What can't be read is tried again when it changes.
    if (seen === this.#read || seen === this.#unreadable || this.#closed) return;
    this.#thread = new Thread(this.#options, files);
    try {
      const loaded = await this.#thread.loaded;
      // What was read while it was being written is no file; the next look reads the whole one.
      if (JSON.stringify(await storeFiles(this.#options.definition.files)) !== seen) return;
      this.#read = seen;
      this.#table = new RecordTable(loaded.table);
      this.#problem = undefined;
      this.#take(loaded);
      this.#observer.loaded(this.name, true);
    } catch (error) {
      this.#unreadable = seen;
      if (!this.#closed) this.#fail((error as Error).message);
    } finally {
      this.#thread = undefined;
    }
  }

  #fail(problem: string): void {
    this.#problem = problem;
    this.#observer.loaded(this.name, false);
    this.#options.log?.error(
      { store: this.name, problem },
      'the files of a feature store changed and can not be read; what was read before is served on',
    );
  }

  #take({ badRecords, firstBad, skipped, repeated }: Loaded): void {
    this.#firstBad = firstBad;
    const { log } = this.#options;
    const [store, entities] = [this.name, this.#table.rows];
    log?.info({ store, entities, repeated, bytes: this.#table.bytes }, 'feature store read');
    if (skipped > 0)
      log?.warn({ store, rows: skipped }, 'rows of a feature store without an entity, or no rows at all');
    if (firstBad === undefined) return;
    log?.warn(
      { store, records: badRecords, first: firstBad },
      'records of a feature store can not be read, and count as absent',
    );
  }
}

/** One reading of the files. */
class Thread {
  /** @throws SetupError (rejects with) what is wrong with the files */
  readonly loaded: Promise<Loaded>;
  readonly #worker: Worker;
  readonly #exited: Promise<unknown>;

  constructor({ name, definition, wanted }: EmbeddedStoreOptions, files: readonly StoreFile[]) {
    const task: LoadTask = { store: name, definition, files, wanted };
    this.#worker = new Worker(ENTRY, { workerData: task });
    this.#exited = once(this.#worker, 'exit').catch(() => {});
    this.loaded = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromLoad) => {
        if (message.kind === 'loaded') resolve(message.loaded);
        else reject(message.setup ? new SetupError(message.message) : new Error(message.message));
      });
      this.#worker.on('error', reject);
      this.#worker.on('exit', () => reject(new Error(`the thread that reads feature store ${name} ended`)));
    });
  }

  async end(): Promise<void> {
    this.#worker.postMessage('stop');
    await this.loaded.catch(() => {});
    await this.#exited;
  }
}

function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  timer.unref();
  return () => clearTimeout(timer);
}
