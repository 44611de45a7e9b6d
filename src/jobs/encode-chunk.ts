// A chunk of the input to blocks that workers take, and what is wrong with the rows that are in none.
import type { DuckDBDataChunk, DuckDBValue } from '@duckdb/node-api';
import { badValues, type ColumnPlan, type PlannedFeature } from '../duckdb/input-columns.ts';
import { readColumn, readNulls } from '../duckdb/vectors.ts';
import type { ScorewireError } from '../errors.ts';
import { type BlockEncoder, blockEncoder } from '../features/block-encoder.ts';
import { encodeCompleted } from '../features/encode-completed.ts';
import type { CompleteRows, FeaturePipeline } from '../features/feature-pipeline.ts';
import type { RowValue } from '../features/row.ts';
import { rowEncoder } from '../features/row-encoder.ts';
import { type Column, ColumnRows } from '../features/row-source.ts';
import type { FeatureLayout } from '../models/model.ts';
import type { RowPiece } from '../scoring/block-feed.ts';
import { free, type TensorData } from '../tensor.ts';
import type { InputChunk } from './job-input.ts';
import type { RejectedRow } from './job-sink.ts';

export type EncodedChunk = {
  piece: RowPiece;
  rejected: RejectedRow[];
  /** Since when the features of a row hold, milliseconds since 1970. */
  asOfMs: Float64Array;
};

/** What a feature store may take for a chunk, milliseconds: nobody waits for an answer. */
const FEATURES_MS = 30_000;

export class ChunkEncoder {
  readonly #blockRows: number;
  readonly #encode: BlockEncoder;
  readonly #pipeline: FeaturePipeline;
  readonly #inputAsOfMs: number;

  /**
   * @param blockRows rows of a block at most
   * @param pipeline finds what the input doesn't have
   * @param inputAsOfMs since when the input's own values hold
   */
  constructor(model: string, layout: FeatureLayout, blockRows: number, pipeline: FeaturePipeline, inputAsOfMs: number) {
    this.#blockRows = blockRows;
    this.#pipeline = pipeline;
    this.#inputAsOfMs = inputAsOfMs;
    // Columns have the names of their features here, be it that they were told by their places.
    const named = { ...layout, named: true };
    this.#encode = blockEncoder(named, rowEncoder(model, named));
  }

  async encode({ firstRow, data, plan }: InputChunk): Promise<EncodedChunk> {
    const rows = data.rowCount;
    const columns = featureColumns({ data, plan });
    const rejected: RejectedRow[] = [];
    const nobody = readNulls(data, 0);
    const source = new ColumnRows(rows, columns);
    const blocks: RowPiece['blocks'][number][] = [];
    const reject = (row: number, reason: string, field: string, message: string): void => {
      rejected.push({ ...rowAt(data, row, plan), row: firstRow + row, reason, field, message });
    };
    const complete = this.#pipeline.adds ? await this.#complete(source, data, columns.size > 0) : undefined;
    for (let from = 0; from < rows; from += this.#blockRows) {
      const to = Math.min(rows, from + this.#blockRows);
      const block =
        complete === undefined ? this.#encode(source, from, to) : encodeCompleted(this.#encode, complete, from, to);
      for (const { row, error } of block.errors) {
        const { field, message } = described(error);
        reject(row, error.reason, field, message);
      }
      if (block.rows.length > 0) blocks.push({ ...block, rows: block.rows.map((row) => firstRow + row) });
    }
    if (nobody !== undefined) {
      const wrong = new Set(rejected.map(({ row }) => row - firstRow));
      for (let row = 0; row < rows; row++) {
        if (nobody[row] === 0 || wrong.has(row)) continue;
        reject(row, 'NO_ENTITY', 'entity', 'expected an entity id, found nothing');
      }
    }
    for (const { values } of columns.values()) free(values as TensorData);
    const asOfMs = complete?.asOfMs ?? new Float64Array(rows).fill(this.#inputAsOfMs);
    return { piece: { firstRow, rows, blocks }, rejected, asOfMs };
  }

  /** @param brings whether the input has any of the features */
  async #complete(source: ColumnRows, data: DuckDBDataChunk, brings: boolean): Promise<CompleteRows> {
    const rows = brings || !this.#pipeline.byEntity ? source : undefined;
    const entities = entitiesOf(data).map((entity) => entity ?? '');
    const complete = await this.#pipeline.completeMany(rows, entities, 0, source.count, Date.now(), FEATURES_MS);
    if (!brings) return complete;
    return { ...complete, asOfMs: complete.asOfMs.map((ms) => Math.min(ms, this.#inputAsOfMs)) };
  }
}

/** Whom the rows of a chunk are about; null: nobody. */
export function entitiesOf(data: DuckDBDataChunk): (string | null)[] {
  const { values, nulls } = readColumn(data, 0);
  return Array.from(values as readonly string[], (entity, row) => (nulls?.[row] === 1 ? null : entity));
}

/** The columns of a chunk, by the names of the features that they are. */
export function featureColumns({ data, plan }: Pick<InputChunk, 'data' | 'plan'>): Map<string, Column> {
  const { features, bad } = plan;
  const columns = new Map<string, Column>();
  for (const [index, { feature }] of features.entries()) columns.set(feature.name, readColumn(data, 1 + index));
  if (bad) putBackBad(readColumn(data, 1 + features.length), features, columns);
  return columns;
}

/** Texts that could not be cast go where their values would be, so that the encoder says what is wrong with them. */
function putBackBad(bad: Column, features: ColumnPlan['features'], columns: Map<string, Column>): void {
  const texts = bad.values as readonly string[];
  for (let row = 0; row < texts.length; row++) {
    if (bad.nulls?.[row] === 1) continue;
    for (const [place, text] of badValues(texts[row] as string)) {
      const { name } = (features[place] as PlannedFeature).feature;
      const column = columns.get(name) as Column;
      const mixed = Array.isArray(column.values) ? column.values : Array.from(column.values as Iterable<RowValue>);
      mixed[row] = text;
      if (column.nulls !== undefined) column.nulls[row] = 0;
      columns.set(name, { ...column, values: mixed as readonly string[] });
    }
  }
}

/** A rejected row as the reject file shows it. */
export function rowAt(
  data: DuckDBDataChunk,
  row: number,
  { features, bad }: ColumnPlan,
): Pick<RejectedRow, 'entityId' | 'values'> {
  const values: Record<string, unknown> = {};
  for (const [index, { feature }] of features.entries()) {
    values[feature.name] = asJson(data.getColumnVector(1 + index).getItem(row));
  }
  const texts = bad ? data.getColumnVector(1 + features.length).getItem(row) : null;
  for (const [place, text] of typeof texts === 'string' ? badValues(texts) : []) {
    values[(features[place] as PlannedFeature).feature.name] = text;
  }
  return { entityId: data.getColumnVector(0).getItem(row) as string | null, values: JSON.stringify(values) };
}

/** JSON has no NaN and no infinity, and few readers of it take integers beyond 2^53. */
function asJson(value: DuckDBValue): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

/** What is wrong with a row, by the names that its columns have. */
function described({ message, details }: ScorewireError): { field: string; message: string } {
  const violations = (details.violations ?? []).map(({ field, description }) => ({
    field: columnOf(field),
    description,
  }));
  if (violations.length === 0) return { field: '', message };
  return {
    field: (violations[0] as { field: string }).field,
    message: violations.map(({ field, description }) => `${field}: ${description}`).join('; '),
  };
}

function columnOf(field: string): string {
  const [, quoted] = /^row\.named\.values\[(".*")\]$/s.exec(field) ?? [];
  return quoted === undefined ? field : (JSON.parse(quoted) as string);
}
