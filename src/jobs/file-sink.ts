// Scores as files: collected in the job's state, then written under another name and moved when whole.
import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  BIGINT,
  type DuckDBAppender,
  type DuckDBConnection,
  type DuckDBDataChunk,
  FLOAT,
  INTEGER,
  USMALLINT,
  VARCHAR,
} from '@duckdb/node-api';
import type { FileFormat, JobDefinition } from '../config/job-definition.ts';
import { type Database, sqlList, sqlText } from '../duckdb/database.ts';
import { copyOptions, formatOf } from '../duckdb/file-format.ts';
import { makeChunk } from '../duckdb/vectors.ts';
import type { JobCounts, JobSink, RejectedRow, ScoredRows } from './job-sink.ts';
import { moveFile } from './move-file.ts';

export type FileSinkParts = {
  database: Database;
  definition: JobDefinition;
  model: { name: string; version: number; segments: readonly string[] };
  /** SELECT of the entities of all rows, in order, as entity_id. */
  entities: string;
  /** Of the input. */
  rows: number;
  /** @throws SetupError where the input is not what it was when it was scored */
  checkInput: () => void;
};

export class FileSink implements JobSink {
  readonly rowsKept: number;
  readonly rejectedKept: number;
  readonly #parts: FileSinkParts;
  readonly #connection: DuckDBConnection;
  #scores: DuckDBAppender | undefined;
  #rejects: DuckDBAppender | undefined;

  private constructor(parts: FileSinkParts, connection: DuckDBConnection, rowsKept: number, rejectedKept: number) {
    this.#parts = parts;
    this.#connection = connection;
    this.rowsKept = rowsKept;
    this.rejectedKept = rejectedKept;
  }

  static async open(parts: FileSinkParts): Promise<FileSink> {
    const [kept] = (await parts.database.rows<{ kept: string; rejected: string }>(
      'SELECT (SELECT count(*) FROM scores) AS kept, (SELECT count(*) FROM rejects WHERE "row" IS NOT NULL) AS rejected',
    )) as [{ kept: string; rejected: string }];
    return new FileSink(parts, await parts.database.connect(), Number(kept.kept), Number(kept.rejected));
  }

  /** SELECT of what is kept already: entity_id, score, label, scored_at and as_of, of rows that were scored. */
  get keptScores(): string {
    return `SELECT e.entity_id, s.score, s.label::BIGINT AS label, s.scored_at, s.as_of
      FROM (${this.#parts.entities}) e POSITIONAL JOIN (SELECT * FROM scores) s
      WHERE e.entity_id IS NOT NULL AND s.score IS NOT NULL`;
  }

  async take(rows: ScoredRows): Promise<void> {
    if (this.#scores === undefined) {
      await this.#connection.run('BEGIN');
      this.#scores = await this.#connection.createAppender('scores');
      this.#rejects = await this.#connection.createAppender('rejects');
    }
    this.#scores.appendDataChunk(scoresChunk(rows));
    for (const row of rows.rejected) appendReject(this.#rejects as DuckDBAppender, row);
  }

  async keep(): Promise<void> {
    if (this.#scores === undefined) return;
    this.#scores.closeSync();
    this.#rejects?.closeSync();
    this.#scores = undefined;
    this.#rejects = undefined;
    await this.#connection.run('COMMIT');
  }

  async finish(): Promise<JobCounts> {
    this.#connection.closeSync();
    const { definition, checkInput } = this.#parts;
    const counts = await this.#count();
    checkInput();
    const format = definition.outputFormat ?? formatOf(definition.output, 'output');
    const output = await this.#write(this.#outputSelect(format), definition.output, format);
    // The answer to a file that changed while it was read is no answer.
    checkInput();
    if (Object.keys(counts.rejected).length === 0) rmSync(definition.rejects, { force: true });
    else moveFile(await this.#write(REJECTS, definition.rejects, 'jsonl'), definition.rejects);
    moveFile(output, definition.output);
    return counts;
  }

  /** A row without an entity is in the reject file only. */
  #outputSelect(format: FileFormat): string {
    const { model, entities } = this.#parts;
    const at = `make_timestamp(s.scored_at)`;
    // Parquet has a type for instants in UTC; text has ISO 8601.
    const scoredAt = format === 'parquet' ? `(${at} AT TIME ZONE 'UTC')` : `strftime(${at}, '%Y-%m-%dT%H:%M:%S.%fZ')`;
    const segment = model.segments.length === 0 ? 'NULL::VARCHAR' : `${sqlList(model.segments)}[s.segment]`;
    return `SELECT e.entity_id, s.score, s.label, ${segment} AS segment, ${sqlText(model.name)} AS model,
        ${model.version}::BIGINT AS version, ${scoredAt} AS scored_at, s.error
      FROM (${entities}) e POSITIONAL JOIN (SELECT * FROM scores) s WHERE e.entity_id IS NOT NULL`;
  }

  /** Writes beside `path`; returns where. */
  async #write(select: string, path: string, format: FileFormat): Promise<string> {
    const written = join(dirname(path), `.${basename(path)}.part`);
    await this.#parts.database.run(`COPY (${select}) TO ${sqlText(written)} (${copyOptions(format, path)})`);
    return written;
  }

  async #count(): Promise<JobCounts> {
    const { database, model, entities, rows } = this.#parts;
    const [found] = await database.rows<{ taken: string; scored: string; entities: string }>(
      `SELECT count(*) AS taken, count(score) AS scored, (SELECT count(*) FROM (${entities})) AS entities FROM scores`,
    );
    // They are put side by side by their places.
    if (Number(found?.taken) !== rows || Number(found?.entities) !== rows) {
      throw new Error(`${rows} rows, ${found?.taken} scores and ${found?.entities} entities: begin anew`);
    }
    const reasons = await database.rows<{ reason: string; malformed: string; found: string }>(
      `SELECT reason, count(*) AS found, count(*) FILTER (WHERE "row" IS NULL) AS malformed FROM rejects
        GROUP BY reason ORDER BY found DESC, reason`,
    );
    const segments = await database.rows<{ segment: number; found: string }>(
      'SELECT segment, count(*) AS found FROM scores WHERE segment IS NOT NULL GROUP BY segment',
    );
    const bySegment = new Map(segments.map(({ segment, found }) => [segment, Number(found)]));
    return {
      rows: rows + reasons.reduce((sum, { malformed }) => sum + Number(malformed), 0),
      scored: Number(found?.scored),
      rejected: Object.fromEntries(reasons.map(({ reason, found }) => [reason, Number(found)])),
      segments: Object.fromEntries(model.segments.map((name, index) => [name, bySegment.get(index + 1) ?? 0])),
    };
  }
}

const REJECTS = `SELECT "row", entity_id, file, line, reason, field, message,
    CASE WHEN json_valid("values") THEN "values"::JSON ELSE to_json("values") END AS "values"
  FROM rejects ORDER BY "row" NULLS FIRST, file, line`;

function scoresChunk({
  scores,
  labels,
  segments,
  rejected,
  firstRow,
  scoredAtMs,
  asOfMs,
}: ScoredRows): DuckDBDataChunk {
  const rows = scores.length;
  const noScore = Uint8Array.from(scores, (score) => (Number.isNaN(score) ? 1 : 0));
  const noLabel = Uint8Array.from(labels, (label) => (label === -1 ? 1 : 0));
  const noSegment = Uint8Array.from(segments, (segment) => (segment === -1 ? 1 : 0));
  return makeChunk(rows, [
    { type: FLOAT, values: scores, nulls: noScore },
    { type: INTEGER, values: labels, nulls: noLabel },
    // SQL's lists begin at 1.
    { type: USMALLINT, values: Uint16Array.from(segments, (segment) => segment + 1), nulls: noSegment },
    { type: VARCHAR, values: new Map(rejected.map(({ row, message }) => [row - firstRow, message])) },
    { type: BIGINT, values: new BigInt64Array(rows).fill(BigInt(scoredAtMs) * 1000n) },
    { type: BIGINT, values: BigInt64Array.from(asOfMs, (ms) => BigInt(Math.floor(ms))) },
  ]);
}

function appendReject(appender: DuckDBAppender, { row, entityId, reason, field, message, values }: RejectedRow): void {
  appender.appendBigInt(BigInt(row));
  if (entityId === null) appender.appendNull();
  else appender.appendVarchar(entityId);
  appender.appendNull();
  appender.appendNull();
  for (const text of [reason, field, message, values]) appender.appendVarchar(text);
  appender.endRow();
}
