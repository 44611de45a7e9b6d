// Answers of many rows, as callers have them.
import type { RowError as RowErrorMessage, ScoreBatchSummary, ScoreChunk } from '../gen/scorewire/v1/scoring.ts';
import { nameOf } from './score-error.ts';
import { toDate, toOrigin } from './score-message.ts';
import type { BatchSummary, RowError, ScoredChunk } from './types.ts';

export function toChunk(chunk: ScoreChunk): ScoredChunk {
  const { rows, scores } = chunk;
  const firstRow = Number(chunk.firstRow);
  return {
    rows: Uint32Array.from(scores, (_, index) => firstRow + (rows[index] ?? index)),
    scores: Float32Array.from(scores),
    labels: Int32Array.from(chunk.labels),
    // On the wire 0 is none.
    segments: Int32Array.from(chunk.segments, (segment) => segment - 1),
    origins: chunk.origins.map(toOrigin),
    errors: chunk.errors.map(toRowError),
  };
}

export function toRowError({ row, code, reason, field, message }: RowErrorMessage): RowError {
  return { row: Number(row), code: nameOf(code), reason, field: field === '' ? undefined : field, message };
}

export function toSummary(summary: ScoreBatchSummary): BatchSummary {
  const { model, version, rows, scored, failed, scoredAt, precomputed, realTime, stale, defaulted } = summary;
  return {
    model,
    version: Number(version),
    rows: Number(rows),
    scored: Number(scored),
    failed: Number(failed),
    scoredAt: toDate(scoredAt),
    origins: {
      PRECOMPUTED: Number(precomputed),
      REAL_TIME: Number(realTime),
      STALE: Number(stale),
      DEFAULT: Number(defaulted),
    },
  };
}
