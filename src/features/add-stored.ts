// What many records have for many rows, feature by feature: which values count, and what stands where none does.
import type { Feature } from '../models/model.ts';
import type { FeatureRecord, FeatureRecords } from './feature-store.ts';
import type { RowValue } from './row.ts';
import { type Column, type ColumnPart, type ColumnValues, valueAt } from './row-source.ts';

/** A feature that rows lack: all of them (its name was not given at all, or with no value set), or those with nulls in a column. */
export type Gap = { feature: Feature; part: ColumnPart | 'unset' | undefined };

type Added = {
  /** By names: null where the feature's default is to be taken. */
  columns: Map<string, Column>;
  /** 1 for rows that a value of their record is used in. */
  used: Uint8Array;
  /** 1 for entities that lack a feature; only where they are alone. */
  wrong: Uint8Array;
  /** Whether a row lacks a feature of which a column can't say that: null would be NaN. */
  odd: boolean;
};

/**
 * What the records give the rows.
 * @param alone rows are nothing but entities, and one that lacks a feature is wrong; otherwise the encoder says so
 */
export function addStored(
  gaps: readonly Gap[],
  records: FeatureRecords | undefined,
  rows: number,
  nowMs: number,
  alone: boolean,
): Added {
  const added: Added = { columns: new Map(), used: new Uint8Array(rows), wrong: new Uint8Array(rows), odd: false };
  if (records === undefined) return added;
  const allFound = !records.found.includes(0);
  for (const gap of gaps) {
    const column = records.columns.get(gap.feature.name) as Column;
    const whole = allFound && column.nulls === undefined && gap.feature.maxAgeSeconds === undefined;
    if (whole && typeof gap.part !== 'object') {
      added.used.fill(1);
      added.columns.set(gap.feature.name, column);
    } else {
      addColumn(gap, column, records, rows, nowMs, alone, added);
    }
  }
  return added;
}

function addColumn(
  { feature, part }: Gap,
  column: Column,
  { found, asOfMs }: FeatureRecords,
  rows: number,
  nowMs: number,
  alone: boolean,
  added: Added,
): void {
  const { allowNan, default: fallback } = feature;
  const values = column.values.slice() as RowValue[];
  const nulls = column.nulls?.slice() ?? new Uint8Array(rows);
  const lacking = typeof part === 'object' ? part : undefined;
  for (let row = 0; row < rows; row++) {
    if (lacking !== undefined && (lacking.nulls as Uint8Array)[lacking.start + row] === 0) continue;
    const known = found[row] === 1;
    const has = known && nulls[row] === 0;
    if (has && !isTooOld(feature, asOfMs[row] as number, nowMs)) {
      added.used[row] = 1;
    } else if (allowNan) {
      nulls[row] = 0;
      values[row] = fallback ?? Number.NaN;
      if (fallback !== undefined || (known && !has)) continue;
      if (alone) added.wrong[row] = 1;
      else added.odd = true;
    } else if (fallback !== undefined || !alone) {
      nulls[row] = 1;
    } else {
      added.wrong[row] = 1;
      // So that the rows around it are encoded as if it were right.
      nulls[row] = 0;
      values[row] = harmless(feature, column);
    }
  }
  added.columns.set(feature.name, { values: values as unknown as ColumnValues, nulls });
}

/** A value that no feature of the type refuses, as the column has it. */
function harmless({ type }: Feature, { values }: Column): RowValue {
  if (values instanceof BigInt64Array) return 0n;
  if (type === 'text') return '';
  return Array.isArray(values) ? false : 0;
}

/** Whether a value of the feature store is older than the feature may be. */
export function isTooOld({ maxAgeSeconds }: Feature, asOfMs: number, nowMs: number): boolean {
  return maxAgeSeconds !== undefined && nowMs - asOfMs > maxAgeSeconds * 1000;
}

/** One record of many. */
export function recordAt(records: FeatureRecords | undefined, row: number): FeatureRecord | undefined {
  if (records === undefined || records.found[row] !== 1) return undefined;
  const values = new Map<string, RowValue>();
  for (const [name, { values: list, nulls }] of records.columns) {
    if (nulls === undefined || nulls[row] === 0) values.set(name, valueAt(list, row));
  }
  return { values, asOfMs: records.asOfMs[row] as number };
}
