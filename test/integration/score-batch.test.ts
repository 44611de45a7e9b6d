// Many rows in one call, their scores back in chunks.

import { type ServiceError, status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  Column,
  ScoreBatchRequest,
  ScoreBatchResponse,
  ScoreBatchSummary,
  ScoreChunk,
  Value,
} from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { gatherRow, linear, slowLinear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

let folder: string;
let server: TestServer;

beforeAll(async () => {
  folder = await modelFolder({
    risk: [linear([1, -1], 0), 'features: [{ name: a }, { name: b, default: 1 }]'],
    plain: linear([1, -1], 0),
    slow: [slowLinear([1], 0, 6000), 'batching: { enabled: false }'],
    gather: gatherRow(),
  });
  server = await TestServer.start(folder, ['workers.count=1', 'limits.max_batch_message_bytes=8388608']);
});

afterAll(() => server.stop());

type Answer = {
  chunks: ScoreChunk[];
  summary: ScoreBatchSummary | undefined;
  code: number;
  details: string;
};

function batch(request: Partial<ScoreBatchRequest>, on = server): Promise<Answer> {
  const answer: Answer = { chunks: [], summary: undefined, code: -1, details: '' };
  const stream = on.client.scoring.scoreBatch({ ...EMPTY, ...request });
  stream.on('data', ({ part }: ScoreBatchResponse) => {
    if (part?.$case === 'chunk') answer.chunks.push(part.value);
    else if (part?.$case === 'summary') answer.summary = part.value;
  });
  return new Promise((resolve) => {
    stream.on('error', ({ code, details }: ServiceError) => resolve({ ...answer, code, details }));
    stream.on('status', ({ code, details }) => resolve({ ...answer, code, details }));
  });
}

const EMPTY: ScoreBatchRequest = {
  model: 'risk',
  entityIds: [],
  policy: 0,
  shared: new Map(),
  chunkRows: 0,
  inOrder: false,
  topK: 0,
};

function matrix(columns: number, values: number[]): Partial<ScoreBatchRequest> {
  return { rows: { $case: 'matrix', value: { columns, values } } };
}

function columns(lists: Record<string, Partial<Column>>): Partial<ScoreBatchRequest> {
  const none = { numbers: [], integers: [], texts: [], flags: [] };
  const entries = Object.entries(lists).map(([name, list]) => [name, { ...none, ...list }] as const);
  return { rows: { $case: 'columns', value: { columns: new Map(entries) } } };
}

const shared = (values: Record<string, number>): Map<string, Value> =>
  new Map(Object.entries(values).map(([name, value]) => [name, { kind: { $case: 'number', value } }]));

/** Score by row, over all chunks; NaN where the row has an error. */
function scores({ chunks }: Answer): Map<number, number> {
  return new Map(
    chunks.flatMap(({ firstRow, rows, scores: list }) =>
      list.map((score, index) => [Number(firstRow) + (rows[index] ?? index), score] as const),
    ),
  );
}

const ROWS = Array.from({ length: 2500 }, (_, index) => [index / 1000, 1] as const);

test('each row of a matrix has the score that it has alone', async () => {
  const answer = await batch({ ...matrix(2, ROWS.flat()), chunkRows: 700 });
  expect(answer).toMatchObject({ code: Status.OK });
  expect(answer.summary).toMatchObject({ model: 'risk', version: 1n, rows: 2500n, scored: 2500n, failed: 0n });
  const found = scores(answer);
  expect(found.size).toBe(2500);
  for (const index of [0, 699, 700, 1234, 2499]) {
    const alone = await server.client.score('risk', ROWS[index] as [number, number]);
    expect(found.get(index)).toBe(alone.score);
    const chunk = answer.chunks.find(
      ({ firstRow, scores: list }) => index >= Number(firstRow) && index < Number(firstRow) + list.length,
    ) as ScoreChunk;
    expect(chunk.labels[index - Number(chunk.firstRow)]).toBe(alone.label ?? -1);
  }
  expect(answer.chunks.map(({ scores: list }) => list.length).sort()).toEqual([400, 700, 700, 700]);
});

test('columns, defaults and what is shared make the same rows', async () => {
  const a = ROWS.map(([value]) => value);
  const expected = scores(await batch(matrix(2, ROWS.flat())));
  expect(scores(await batch(columns({ a: { numbers: a }, b: { numbers: a.map(() => 1) } })))).toEqual(expected);
  expect(scores(await batch(columns({ a: { numbers: a } })))).toEqual(expected);
  expect(scores(await batch({ ...columns({ a: { numbers: a } }), shared: shared({ b: 1 }) }))).toEqual(expected);
  const whole = Array.from({ length: 10 }, (_, index) => BigInt(index));
  expect(scores(await batch(columns({ a: { integers: whole } }))).get(7)).toBe(
    (await server.client.score('risk', { a: 7, b: 1 })).score,
  );
});

test('a bad row fails alone', async () => {
  const values = ROWS.slice(0, 100).flat() as number[];
  values[2 * 3] = Number.NaN;
  values[2 * 70 + 1] = Number.POSITIVE_INFINITY;
  const answer = await batch({ ...matrix(2, values), chunkRows: 64, inOrder: true });
  expect(answer.summary).toMatchObject({ rows: 100n, scored: 98n, failed: 2n });
  const errors = answer.chunks.flatMap((chunk) => chunk.errors);
  expect(errors).toMatchObject([
    { row: 3n, code: Status.INVALID_ARGUMENT, reason: 'INVALID_ROW', field: 'row.dense.values[0]' },
    { row: 70n, code: Status.INVALID_ARGUMENT, reason: 'INVALID_ROW', field: 'row.dense.values[1]' },
  ]);
  const found = scores(answer);
  expect(found.get(3)).toBeNaN();
  expect(found.get(70)).toBeNaN();
  expect([...found.values()].filter(Number.isNaN)).toHaveLength(2);
});

test('a row that the model refuses fails alone', async () => {
  // The model takes an index; 99 is none.
  const answer = await batch({ model: 'gather', ...matrix(1, [0, 1, 99, 1]) });
  expect(answer.summary).toMatchObject({ rows: 4n, scored: 3n, failed: 1n });
  expect(answer.chunks.flatMap((chunk) => chunk.errors)).toMatchObject([{ row: 2n, code: Status.INTERNAL }]);
});

test('a fault inside says which entity it was, where the caller gave ids', async () => {
  const entityIds = ['c-0', 'c-1', 'käse-2', 'c-3'];
  const answer = await batch({ model: 'gather', entityIds, ...matrix(1, [0, 1, 99, 1]) });
  const [error, ...others] = answer.chunks.flatMap((chunk) => chunk.errors);
  expect(others).toEqual([]);
  expect(error?.message).toMatch(/\(entity käse-2, id [0-9a-f-]{36}\)$/);
  const id = /id ([0-9a-f-]{36})/.exec(error?.message ?? '')?.[1];
  await eventually(() => server.lines.some((line) => line.id === id && line.entityId === 'käse-2'));
});

test('rows that are all wrong each say so, and keep nobody else waiting', async () => {
  const values = ROWS.concat(ROWS, ROWS, ROWS).flatMap(([value]) => [value, Number.NaN]);
  const all = batch({ ...matrix(2, values), chunkRows: 10_000 });
  expect((await server.client.score('risk', [1, 1])).score).toBe(0.5);
  const { summary, chunks } = await all;
  expect(summary).toMatchObject({ rows: 10_000n, scored: 0n, failed: 10_000n });
  expect(chunks.flatMap(({ errors }) => errors.map(({ row }) => Number(row)))).toEqual(
    Array.from({ length: 10_000 }, (_, row) => row),
  );
  const best = await batch({ ...matrix(2, values), topK: 3 });
  expect(best.chunks).toMatchObject([{ rows: [], scores: [] }]);
  expect(best.summary).toMatchObject({ scored: 0n, failed: 10_000n });
});

test('chunks in order, where that is wanted', async () => {
  const answer = await batch({ ...matrix(2, ROWS.flat()), chunkRows: 100, inOrder: true });
  expect(answer.chunks.map(({ firstRow }) => Number(firstRow))).toEqual(
    Array.from({ length: 25 }, (_, index) => index * 100),
  );
});

test('only rows strictly above a score', async () => {
  const all = scores(await batch(matrix(2, ROWS.flat())));
  const limit = all.get(1500) as number;
  const answer = await batch({ ...matrix(2, ROWS.flat()), minScore: limit });
  expect(scores(answer)).toEqual(new Map([...all].filter(([, score]) => score > limit)));
  expect(scores(answer).size).toBe(999);
  expect(answer.summary).toMatchObject({ rows: 2500n, scored: 2500n });
});

test('the k best, sorted, in one chunk', async () => {
  const all = scores(await batch(matrix(2, ROWS.flat())));
  const { chunks } = await batch({ ...matrix(2, ROWS.flat()), topK: 5, chunkRows: 100 });
  expect(chunks).toHaveLength(1);
  expect(chunks[0]).toMatchObject({ firstRow: 0n, rows: [2499, 2498, 2497, 2496, 2495] });
  expect(chunks[0]?.scores).toEqual([2499, 2498, 2497, 2496, 2495].map((row) => all.get(row)));
});

test('no rows', async () => {
  expect(await batch(matrix(2, []))).toMatchObject({ code: Status.OK, chunks: [], summary: { rows: 0n, scored: 0n } });
});

describe('refused whole, naming the field', () => {
  test.each([
    ['no rows at all', {}, Status.INVALID_ARGUMENT, /^rows: /],
    ['half a row', matrix(2, [1, 2, 3]), Status.INVALID_ARGUMENT, /^matrix\.values: .*rows of 2 values, found 3/],
    ['no columns said', matrix(0, [1, 2]), Status.INVALID_ARGUMENT, /^matrix\.columns: /],
    ['other columns', matrix(3, [1, 2, 3]), Status.INVALID_ARGUMENT, /^matrix\.columns: expected 2 columns, found 3/],
    ['ids for some rows', { ...matrix(2, [1, 2]), entityIds: ['a', 'b'] }, Status.INVALID_ARGUMENT, /^entity_ids: /],
    [
      'shared beside a matrix',
      { ...matrix(2, [1, 2]), shared: shared({ b: 1 }) },
      Status.INVALID_ARGUMENT,
      /^shared: /,
    ],
    [
      'columns of different length',
      columns({ a: { numbers: [1, 2] }, b: { numbers: [1] } }),
      Status.INVALID_ARGUMENT,
      /^columns\.columns\["b"\]: expected 2 values, as in "a", found 1/,
    ],
    [
      'an unknown column',
      columns({ a: { numbers: [1] }, z: { numbers: [1] } }),
      Status.INVALID_ARGUMENT,
      /"z"\]: risk has/,
    ],
    ['a column that is missing', columns({ b: { numbers: [1] } }), Status.INVALID_ARGUMENT, /^columns: .*"a"/],
    [
      'a column that is shared as well',
      { ...columns({ a: { numbers: [1] } }), shared: shared({ a: 1 }) },
      Status.INVALID_ARGUMENT,
      /^shared\["a"\]: /,
    ],
    [
      'two lists in a column',
      columns({ a: { numbers: [1], texts: ['x'] } }),
      Status.INVALID_ARGUMENT,
      /^columns\.columns\["a"\]/,
    ],
    [
      'chunks that no message holds',
      { ...matrix(2, [1, 2]), chunkRows: 1_000_000 },
      Status.INVALID_ARGUMENT,
      /^chunk_rows: /,
    ],
    ['no such model', { model: 'nobody', ...matrix(2, [1, 2]) }, Status.NOT_FOUND, /nobody/],
    [
      'a policy of the store without ids',
      { ...matrix(2, [1, 2]), policy: 1 as const },
      Status.INVALID_ARGUMENT,
      /^entity_ids: /,
    ],
  ])('%s', async (_, request, code, details) => {
    const answer = await batch(request as Partial<ScoreBatchRequest>);
    expect(answer).toMatchObject({ code, details: expect.stringMatching(details), chunks: [] });
    expect(await server.metric('scorewire_calls_in_flight')).toBe(0);
  });

  test('more than a message may hold: how to send it', async () => {
    const answer = await batch(matrix(2, Array(3_000_000).fill(1)));
    expect(answer.code).toBe(Status.RESOURCE_EXHAUSTED);
    expect(answer.details).toMatch(/larger than max.*; send the rows in 2 calls or more/);
  });
});

test('single rows come before the rows of a batch', async () => {
  // Some three seconds of work.
  const long = batch({ model: 'slow', ...matrix(1, Array(100).fill(0)) });
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 1);
  await server.client.score('risk', [1, 1]);
  expect(await server.metric('scorewire_batch_rows_sum', { model: 'slow' })).toBeLessThan(100);
  await long;
});

test('of a batch whose caller left nothing more runs', async () => {
  const ran = () => server.metric('scorewire_batch_rows_sum', { model: 'slow' });
  const before = await ran();
  const stream = server.client.scoring.scoreBatch({ ...EMPTY, model: 'slow', ...matrix(1, Array(300).fill(0)) });
  stream.on('error', () => {});
  await eventually(async () => (await ran()) > before);
  stream.cancel();
  await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
  expect((await ran()) - before).toBeLessThan(300);
});

test('requests that are too large together are refused, and what was held is given back', async () => {
  const small = await TestServer.start(folder, [
    'workers.count=1',
    'limits.max_batch_message_bytes=8388608',
    'limits.max_batch_bytes=6000000',
  ]);
  const large = matrix(2, Array(1_000_000).fill(1));
  const codes = (await Promise.all([batch(large, small), batch(large, small)])).map(({ code }) => code);
  expect(codes.sort()).toEqual([Status.OK, Status.RESOURCE_EXHAUSTED]);
  expect((await batch(large, small)).code).toBe(Status.OK);
  await small.stop();
});
