// Rows of files with the features that a server would feed a model: for training, and to compare with what was trained on.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { jobDefinition } from '../config/job-definition.ts';
import { ChunkCollector } from '../duckdb/collect-chunks.ts';
import { Database } from '../duckdb/database.ts';
import type { PlannedFeature } from '../duckdb/input-columns.ts';
import { readNulls } from '../duckdb/vectors.ts';
import { ScorewireError } from '../errors.ts';
import { type BlockEncoder, blockEncoder, type EncodedBlock } from '../features/block-encoder.ts';
import { encodeCompleted } from '../features/encode-completed.ts';
import type { FeaturePipeline } from '../features/feature-pipeline.ts';
import { rowEncoder } from '../features/row-encoder.ts';
import { type Column, ColumnRows } from '../features/row-source.ts';
import type { Feature, FeatureLayout } from '../models/model.ts';
import { featureColumns } from './encode-chunk.ts';
import { findFiles } from './input-files.ts';
import type { JobInput } from './job-input.ts';
import { REJECTS_TABLE } from './job-state.ts';
import { openInput } from './open-input.ts';

/** How long a look-up in a feature store may take: nobody waits for a single row here. */
const LOOK_UP_MS = 10_000;

export type FrameSource = {
  /** Paths and globs, or a query. */
  input: readonly string[] | undefined;
  query: string | undefined;
  entity: string | undefined;
};

/** The rows of files or of a query, in a database of their own. */
export class FrameInput {
  readonly database: Database;
  readonly rows: number;
  /** Names of all columns. */
  readonly columns: readonly string[];
  /** Lines that are no rows. */
  readonly malformed: number;
  readonly #input: JobInput;
  readonly #folder: string;

  /**
   * @param folder that is made, and removed in the end
   * @param elsewhere whether a feature may lack a column
   * @throws SetupError for files that can't be read, and columns that don't fit
   */
  static async open(
    { input, query, entity }: FrameSource,
    folder: string,
    name: string,
    layout: FeatureLayout,
    elsewhere: (feature: Feature) => boolean,
  ): Promise<FrameInput> {
    rmSync(folder, { recursive: true, force: true });
    const definition = { ...jobDefinition({ model: name, output: '' }), input, query, entity };
    mkdirSync(folder, { recursive: true });
    const database = await Database.open(join(folder, 'rows.db'), {
      temporaryDirectory: join(folder, 'tmp'),
      directories: undefined,
    });
    try {
      await database.run(REJECTS_TABLE);
      const files = await findFiles(database, definition);
      const opened = await openInput(database, definition, files, { name, layout, elsewhere });
      const [counted] = await database.rows<{ found: string }>('SELECT count(*) AS found FROM rejects');
      return new FrameInput(database, folder, opened, Number(counted?.found));
    } catch (error) {
      database.close();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(database: Database, folder: string, input: JobInput, malformed: number) {
    this.database = database;
    this.rows = input.rows;
    this.columns = input.columns;
    this.malformed = malformed;
    this.#input = input;
    this.#folder = folder;
  }

  async *chunks(): AsyncGenerator<FrameChunk> {
    const collector = new ChunkCollector();
    for await (const chunk of this.#input.chunks(0)) {
      const { data, plan } = chunk;
      const nobody = readNulls(data, 0);
      const vector = data.getColumnVector(0);
      yield {
        rows: data.rowCount,
        entities: Array.from({ length: data.rowCount }, (_, row) =>
          nobody?.[row] === 1 ? '' : (vector.getItem(row) as string),
        ),
        columns: featureColumns(chunk),
        features: plan.features,
      };
      collector.count(data);
    }
  }

  close(): void {
    this.database.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export type FrameChunk = {
  rows: number;
  /** '' where the row has none. */
  entities: readonly string[];
  /** By the names of features. */
  columns: ReadonlyMap<string, Column>;
  features: readonly PlannedFeature[];
};

/** Feeds rows as a server does. */
export class RowFeeder {
  readonly #pipeline: FeaturePipeline;
  readonly #encode: BlockEncoder;
  readonly #nowMs: number;

  /** @param nowMs the time that computed features are of, and that the age of stored ones counts to; milliseconds since 1970 */
  constructor(name: string, layout: FeatureLayout, pipeline: FeaturePipeline, nowMs: number) {
    const named = { ...layout, named: true };
    this.#pipeline = pipeline;
    this.#encode = blockEncoder(named, rowEncoder(name, named));
    this.#nowMs = nowMs;
  }

  /** @param columns what requests would bring @throws ScorewireError (rejects with) UNAVAILABLE */
  async feed({ rows, entities }: FrameChunk, columns: ReadonlyMap<string, Column>): Promise<EncodedBlock> {
    const alone = columns.size === 0 && this.#pipeline.byEntity;
    const brought = alone ? undefined : new ColumnRows(rows, columns);
    const completed = await this.#pipeline.completeMany(brought, entities, 0, rows, this.#nowMs, LOOK_UP_MS);
    const wrong = new Set(completed.errors.map(({ row }) => row));
    const nameless = entities.flatMap((entity, row) => (entity === '' && !wrong.has(row) ? [row] : []));
    const errors = [
      ...completed.errors.map((one) => (entities[one.row] === '' ? { row: one.row, error: nobody() } : one)),
      ...nameless.map((row) => ({ row, error: nobody() })),
    ];
    return encodeCompleted(this.#encode, { ...completed, errors }, 0, rows);
  }
}

function nobody(): ScorewireError {
  return new ScorewireError('invalid_argument', 'NO_ENTITY', 'expected an entity id, found nothing');
}
