// One row, four ways in: unary, on a stream, in a batch, in a job's file. Score, label and segment are the same, bit by bit.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jobDefinition } from '../../src/config/job-definition.ts';
import {
  type Column,
  Origin,
  type ScoreBatchResponse,
  type ScoreChunk,
  type ScoreResponse,
  type ScoreStreamResponse,
} from '../../src/gen/scorewire/v1/scoring.ts';
import { JobRun } from '../../src/jobs/job-run.ts';
import { readGolden } from '../../src/models/golden.ts';
import type { ModelSpec } from '../../src/models/model.ts';
import { readRepository } from '../../src/models/repository.ts';
import { concurrently } from '../support/concurrently.ts';
import { patientExamples, tempFolder } from '../support/model-folder.ts';
import { sql } from '../support/tables.ts';
import { type NamedValue, type RowInit, scoreRequest } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

/** What rounding may do to a score that rides in a matrix of many rows, in models that multiply matrices. */
const ROUNDING = 1e-6;
const EXACT = ['breast-cancer', 'churn', 'digits-int8'];
const NAMES = [...EXACT, 'diabetes', 'digits', 'wine'];

let server: TestServer;
const live = new Map<string, ModelSpec>();

beforeAll(async () => {
  const folder = await patientExamples();
  for (const spec of (await readRepository(folder)).specs) live.set(spec.name, spec);
  server = await TestServer.start(folder, ['workers.count=1']);
});

afterAll(() => server.stop());

type Answer = { score: number; label: number; segment: string };

function answerOf({ score, label, segment }: ScoreResponse): Answer {
  return { score, label: label ?? -1, segment: segment ?? '' };
}

async function streamed(name: string, rows: readonly RowInit[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  const stream = server.client.scoring.scoreStream();
  stream.write({
    items: rows.map((row, index) => ({ id: BigInt(index), request: scoreRequest(name, row) })),
    inOrder: false,
  });
  stream.end();
  for await (const { results } of stream as AsyncIterable<ScoreStreamResponse>) {
    for (const { id, outcome } of results) {
      if (outcome?.$case !== 'response') throw new Error(`item ${id}: ${outcome?.value.message}`);
      answers[Number(id)] = answerOf(outcome.value);
    }
  }
  return answers;
}

async function batched(spec: ModelSpec, rows: readonly RowInit[]): Promise<Answer[]> {
  const stream = server.client.scoring.scoreBatch({
    model: spec.name,
    entityIds: [],
    rows: Array.isArray(rows[0]) ? matrixOf(rows as number[][]) : columnsOf(rows as Record<string, NamedValue>[]),
    policy: 0,
    shared: new Map(),
    chunkRows: 7,
    inOrder: true,
    topK: 0,
  });
  const chunks: ScoreChunk[] = [];
  for await (const { part } of stream as AsyncIterable<ScoreBatchResponse>) {
    if (part?.$case === 'chunk') chunks.push(part.value);
  }
  expect(chunks.flatMap(({ errors }) => errors)).toEqual([]);
  expect(new Set(chunks.flatMap(({ origins }) => origins))).toEqual(new Set([Origin.ORIGIN_REAL_TIME]));
  return chunks.flatMap(({ scores, labels, segments }) =>
    scores.map((score, index) => ({
      score,
      label: labels[index] as number,
      segment: spec.segments[(segments[index] as number) - 1]?.name ?? '',
    })),
  );
}

function matrixOf(rows: number[][]) {
  return { $case: 'matrix', value: { columns: (rows[0] as number[]).length, values: rows.flat() } } as const;
}

function columnsOf(rows: Record<string, NamedValue>[]) {
  const columns = new Map<string, Column>();
  for (const name of Object.keys(rows[0] as object)) {
    const values = rows.map((row) => row[name]);
    const column: Column = { numbers: [], integers: [], texts: [], flags: [] };
    if (typeof values[0] === 'string') column.texts = values as string[];
    else if (typeof values[0] === 'boolean') column.flags = values as boolean[];
    else if (typeof values[0] === 'bigint') column.integers = values as bigint[];
    else column.numbers = values as number[];
    columns.set(name, column);
  }
  return { $case: 'columns', value: { columns } } as const;
}

async function fromFile(spec: ModelSpec, rows: readonly RowInit[]): Promise<Answer[]> {
  const folder = await tempFolder();
  const lines = rows.map((row, index) => {
    const named = Array.isArray(row) ? Object.fromEntries(row.map((value, place) => [`c${place}`, value])) : row;
    return JSON.stringify({ entity_id: `row ${index}`, ...named });
  });
  const file = (name: string) => join(folder, name);
  await writeFile(file('rows.jsonl'), lines.join('\n'));
  await sql(`COPY (SELECT * FROM read_json('${file('rows.jsonl')}')) TO '${file('rows.parquet')}'`);
  const definition = jobDefinition({ model: spec.name, input: file('rows.parquet'), output: file('scores.parquet') });
  const options = { fresh: false, confined: true, name: '', features: NO_FEATURES };
  const job = new JobRun(server.running.engine.bulkScorer, definition, options, { progress() {}, note() {} });
  expect(await job.ended).toMatchObject({ rows: rows.length, scored: rows.length });
  const scored = await sql(`SELECT * FROM '${file('scores.parquet')}'`);
  expect(scored.map(({ entity_id: id }) => id)).toEqual(rows.map((_, index) => `row ${index}`));
  return scored.map(({ score, label, segment }) => ({
    score: score as number,
    label: (label as number | null) ?? -1,
    segment: (segment as string | null) ?? '',
  }));
}

/** All features are in the file. */
const NO_FEATURES = { definitions: undefined, file: undefined, redisUrl: '' };

describe.each(NAMES)('%s', (name) => {
  test('unary, stream, batch and job agree', async () => {
    const spec = live.get(name) as ModelSpec;
    const rows = (await readGolden((spec.golden as { file: string }).file)).map(({ row }) =>
      row instanceof Map ? Object.fromEntries(row) : row,
    ) as RowInit[];
    const unary = (await concurrently(16, rows, (row) => server.client.score(name, row))).map(answerOf);
    const others = {
      stream: await streamed(name, rows),
      batch: await batched(spec, rows),
      job: await fromFile(spec, rows),
    };
    for (const [way, answers] of Object.entries(others)) {
      expect(answers).toHaveLength(unary.length);
      for (const [index, answer] of answers.entries()) {
        const expected = unary[index] as Answer;
        const from = `${way}, row ${index}`;
        expect({ ...answer, from, score: 0 }).toEqual({ ...expected, from, score: 0 });
        if (EXACT.includes(name)) expect(answer.score, from).toBe(expected.score);
        else
          expect(Math.abs(answer.score - expected.score), from).toBeLessThanOrEqual(
            ROUNDING * Math.max(1, Math.abs(expected.score)),
          );
      }
    }
  });
});
