// DuckDB as jobs use it: one file a job, in little memory, with nothing fetched from anywhere.
import { type DuckDBConnection, DuckDBInstance, type Json } from '@duckdb/node-api';
import { SetupError } from '../errors.ts';

/** What DuckDB may take for its blocks, beside what a query needs to hold. */
const MEMORY_LIMIT = '96MB';

export type DatabaseOptions = {
  /** Where the database's own temporary files go. */
  temporaryDirectory: string;
  /** The only directories that it may open files in; undefined: any. */
  directories: readonly string[] | undefined;
};

/** A file that is no database, or can't be had. */
export class Unopened extends SetupError {}

export class Database {
  readonly #instance: DuckDBInstance;
  /** For everything but streams: a query on the connection of a stream would end that silently. */
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  /**
   * Opens the file, or makes it; one process at a time can.
   * @throws SetupError where another process has it, Unopened
   */
  static async open(path: string, { temporaryDirectory, directories }: DatabaseOptions): Promise<Database> {
    let instance: DuckDBInstance;
    try {
      instance = await DuckDBInstance.create(path, {
        threads: '1',
        memory_limit: MEMORY_LIMIT,
        temp_directory: temporaryDirectory,
        enable_external_file_cache: 'false',
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
      });
    } catch (error) {
      const { message } = error as Error;
      const [, holder] = /Conflicting lock is held in .*\(PID (\d+)\)/.exec(message) ?? [];
      if (holder !== undefined) throw new SetupError(`${path}: process ${holder} is running this job`, error);
      throw new Unopened(`${path}: can't be opened: ${message.split('\n')[0]}`, error);
    }
    const database = new Database(instance, await instance.connect());
    if (directories !== undefined) {
      // In this order: each step takes away the means to undo the one before it.
      await database.run(`SET allowed_directories = [${directories.map(sqlText).join(', ')}]`);
      await database.run('SET enable_external_access = false');
      await database.run('SET lock_configuration = true');
    }
    return database;
  }

  /** Runs statements whose rows nobody wants. @throws Error in DuckDB's words */
  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  /** All rows; for answers that are small. Integers of 64 bits come as text. */
  async rows<T extends Record<string, Json>>(sql: string): Promise<T[]> {
    return (await this.#connection.runAndReadAll(sql)).getRowObjectsJson() as T[];
  }

  /** A connection of its own: for a stream, or for a transaction beside everything else. The caller closes it. */
  connect(): Promise<DuckDBConnection> {
    return this.#instance.connect();
  }

  /** Ends what runs: who waits for it hears of an error. */
  interrupt(): void {
    this.#connection.interrupt();
  }

  /** Not while something runs, which would end the process. */
  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

/** A text as SQL writes it. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A name as SQL writes it, whatever is in it. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function sqlList(texts: readonly string[]): string {
  return `[${texts.map(sqlText).join(', ')}]`;
}
