// The rows of a job, whatever they come from: so many, in an order that stays, from any row on.
import type { DuckDBDataChunk } from '@duckdb/node-api';
import type { ColumnPlan } from '../duckdb/input-columns.ts';

/** Columns of a chunk: entity, the plan's features, and its `bad` last where it has one. */
export type InputChunk = { firstRow: number; data: DuckDBDataChunk; plan: ColumnPlan };

export interface JobInput {
  readonly rows: number;
  /** Whether the rows still lie in the files that they came from. */
  readonly inFiles: boolean;
  /** Rows from `firstRow` on, in order. @throws Error where the files give fewer than they should */
  chunks(firstRow: number): AsyncGenerator<InputChunk>;
  /** SELECT of the entities of all rows, in order, as entity_id. */
  readonly entities: string;
  /** Names of all columns that the rows came with, each once. */
  readonly columns: readonly string[];
}

/** What messages about a file of an input begin with. */
export function labelOf(paths: readonly string[], path: string): string {
  return paths.length === 1 ? 'input' : `input: ${path}`;
}
