// What a model is fed as a file: the entity, and a column a feature in the model's order.
import { basename, dirname, join } from 'node:path';
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  type DuckDBType,
  FLOAT,
  INTEGER,
  SMALLINT,
  TINYINT,
  UBIGINT,
  UINTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api';
import { type Database, sqlName, sqlText } from '../duckdb/database.ts';
import { copyOptions, formatOf } from '../duckdb/file-format.ts';
import { makeChunk, type NumericValues } from '../duckdb/vectors.ts';
import { SetupError } from '../errors.ts';
import type { EncodedBlock } from '../features/block-encoder.ts';
import type { Feature, FeatureLayout, RowInput } from '../models/model.ts';
import { allocate, type DataType, type TensorData } from '../tensor.ts';
import { moveFile } from './move-file.ts';

/** As DuckDB calls them, beside what its binding does. */
const TYPES: Record<Exclude<DataType, 'float16'>, readonly [sql: string, type: DuckDBType]> = {
  float32: ['FLOAT', FLOAT],
  float64: ['DOUBLE', DOUBLE],
  int8: ['TINYINT', TINYINT],
  int16: ['SMALLINT', SMALLINT],
  int32: ['INTEGER', INTEGER],
  int64: ['BIGINT', BIGINT],
  uint8: ['UTINYINT', UTINYINT],
  uint16: ['USMALLINT', USMALLINT],
  uint32: ['UINTEGER', UINTEGER],
  uint64: ['UBIGINT', UBIGINT],
  bool: ['BOOLEAN', BOOLEAN],
  string: ['VARCHAR', VARCHAR],
};

const ENTITY = 'entity_id';

/** Rows that are written before DuckDB lets go of them. */
const KEEP_ROWS = 122_880;

export class FeatureFile {
  readonly #database: Database;
  readonly #connection: DuckDBConnection;
  readonly #layout: FeatureLayout;
  readonly #output: string;
  #appender: DuckDBAppender | undefined;
  #unkept = 0;

  /** @throws SetupError for an output of no known format, and features that can't be columns of one table */
  static async create(database: Database, layout: FeatureLayout, output: string): Promise<FeatureFile> {
    formatOf(output, 'output');
    checkNames(layout.features);
    const columns = layout.features.map((feature) => `${sqlName(feature.name)} ${typeOf(feature)[0]}`);
    await database.run(`CREATE TABLE features (${[`${ENTITY} VARCHAR`, ...columns].join(', ')})`);
    return new FeatureFile(database, await database.connect(), layout, output);
  }

  private constructor(database: Database, connection: DuckDBConnection, layout: FeatureLayout, output: string) {
    this.#database = database;
    this.#connection = connection;
    this.#layout = layout;
    this.#output = output;
  }

  /** @param entities of all rows that the block is of */
  async take(block: EncodedBlock, entities: readonly string[]): Promise<void> {
    const rows = block.rows.length;
    if (rows === 0) return;
    if (this.#appender === undefined) {
      await this.#connection.run('BEGIN');
      this.#appender = await this.#connection.createAppender('features');
    }
    const { features, inputs } = this.#layout;
    this.#appender.appendDataChunk(
      makeChunk(rows, [
        { type: VARCHAR, values: new Map(Array.from(block.rows, (row, place) => [place, entities[row] as string])) },
        ...features.map((feature) => ({
          type: typeOf(feature)[1],
          values: asVector(feature, columnOf(feature, inputs, block, rows)),
        })),
      ]),
    );
    this.#unkept += rows;
    if (this.#unkept >= KEEP_ROWS) await this.#keep();
  }

  /** The file is there when this resolves, and before that there is none or the one before it. */
  async finish(): Promise<void> {
    await this.#keep();
    this.close();
    const written = join(dirname(this.#output), `.${basename(this.#output)}.part`);
    const options = copyOptions(formatOf(this.#output, 'output'), this.#output);
    await this.#database.run(`COPY (SELECT * FROM features) TO ${sqlText(written)} (${options})`);
    moveFile(written, this.#output);
  }

  close(): void {
    this.#appender?.closeSync();
    this.#appender = undefined;
    this.#connection.closeSync();
  }

  async #keep(): Promise<void> {
    if (this.#appender === undefined) return;
    this.#appender.closeSync();
    this.#appender = undefined;
    this.#unkept = 0;
    await this.#connection.run('COMMIT');
  }
}

/** One feature of all rows of a block, as the model gets it. */
export function columnOf(
  { input, column }: Feature,
  inputs: readonly RowInput[],
  block: EncodedBlock,
  rows: number,
): TensorData {
  const { type, width } = inputs[input] as RowInput;
  const data = block.inputs[input] as (number | bigint | string)[];
  const values = allocate(type, rows) as (number | bigint | string)[];
  for (let row = 0; row < rows; row++) values[row] = data[row * width + column] as number;
  return values as TensorData;
}

function asVector(feature: Feature, values: TensorData): NumericValues | ReadonlyMap<number, string> {
  if (Array.isArray(values)) return new Map(values.entries());
  return feature.type === 'flag' ? Uint8Array.from(values as ArrayLike<unknown> as number[], Number) : values;
}

/** A flag is true or false, whatever it is fed as. */
function typeOf({ type, dataType }: Feature): readonly [sql: string, type: DuckDBType] {
  return TYPES[type === 'flag' ? 'bool' : (dataType as keyof typeof TYPES)];
}

function checkNames(features: readonly Feature[]): void {
  const seen = new Map([[ENTITY, 'the entity']]);
  for (const { name } of features) {
    const other = seen.get(name.toLowerCase());
    if (other !== undefined) throw new SetupError(`output: ${name} and ${other} would be one column`);
    seen.set(name.toLowerCase(), name);
  }
}
