// DuckDB as jobs use it: one file a job, in little memory, with nothing fetched from anywhere.
import { type DuckDBConnection, DuckDBInstance, type Json } from '@duckdb/node-api';
import { SetupError } from '../errors.ts';

/** What DuckDB may take while it reads an input, whose rows may be wide, or sorted and joined by a query. */
const READING_MEMORY = '512MB';
/** And from then on. */
const SCORING_MEMORY = '96MB';
/** Between two calls to end what runs: each is lost where nothing runs at that moment. */
const INTERRUPT_MS = 20;

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
  #interrupts: NodeJS.Timeout | undefined;

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
        memory_limit: READING_MEMORY,
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
      await database.run(`SET allowed_directories = ${sqlList(directories)}`);
      await database.run('SET enable_external_access = false');
    }
    return database;
  }

  /** The input is read: less memory from here on, and no more settings. */
  async settle(): Promise<void> {
    await this.run(`SET memory_limit = '${SCORING_MEMORY}'`);
    await this.run('SET lock_configuration = true');
  }

  /** @throws Error in DuckDB's words for what is no SQL */
  async parse(sql: string): Promise<void> {
    this.#checkOpen();
    try {
      await this.#connection.extractStatements(sql);
    } catch (error) {
      throw new Error((error as Error).message.replace('Failed to extract statements: ', ''), { cause: error });
    }
  }

  /** Runs statements whose rows nobody wants. @throws Error in DuckDB's words */
  async run(sql: string): Promise<void> {
    this.#checkOpen();
    await this.#connection.run(sql);
  }

  /** All rows; for answers that are small. Integers of 64 bits come as text. */
  async rows<T extends Record<string, Json>>(sql: string): Promise<T[]> {
    this.#checkOpen();
    return (await this.#connection.runAndReadAll(sql)).getRowObjectsJson() as T[];
  }

  /** A connection of its own: for a stream, or for a transaction beside everything else. The caller closes it. */
  connect(): Promise<DuckDBConnection> {
    return this.#instance.connect();
  }

  /** After a statement of a transaction failed. */
  async rollBack(): Promise<void> {
    await this.#connection.run('ROLLBACK');
  }

  /** Ends what runs, and whatever would be run: who waits for it hears of an error. */
  interrupt(): void {
    this.#connection.interrupt();
    this.#interrupts ??= setInterval(() => this.#connection.interrupt(), INTERRUPT_MS);
  }

  #checkOpen(): void {
    if (this.#interrupts !== undefined) throw new Error('interrupted');
  }

  /** Not while something runs, which would end the process. */
  close(): void {
    clearInterval(this.#interrupts);
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
