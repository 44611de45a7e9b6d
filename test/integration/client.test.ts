// Our client against the server itself, over a socket.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import type { BatchRequest, BatchSummary, Client, InputRow, NamedRow, ScoredChunk } from '../../src/client/types.ts';
import { readGolden } from '../../src/models/golden.ts';
import { eventually } from '../support/concurrently.ts';
import { freePort } from '../support/free-port.ts';
import { modelFolder, patientExamples } from '../support/model-folder.ts';
import { linear, slowLinear } from '../support/onnx-builder.ts';
import { scoreFailureOf } from '../support/score-failure.ts';
import type { RowInit } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const STREAM = 'scorewire.v1.ScoringService/ScoreStream';
const UNARY = 'scorewire.v1.ScoringService/Score';

let examples: TestServer;
let server: TestServer;
let folder: string;
const clients: Client[] = [];

beforeAll(async () => {
  folder = await modelFolder({
    risk: [
      linear([1, -1], 0),
      'features: [{ name: a }, { name: b, default: 1 }]\nsegments: [{ name: Low }, { name: High, from: 0.5 }]',
    ],
    slow: [slowLinear([1], 0, 6000), 'batching: { enabled: false }'],
  });
  examples = await TestServer.start(await patientExamples(), ['workers.count=1']);
  server = await TestServer.start(folder, ['workers.count=1', 'limits.max_batch_message_bytes=1048576']);
});

afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));
afterAll(() => Promise.all([examples.stop(), server.stop()]));

function connected(to: TestServer, options: Parameters<typeof connect>[1] = {}): Client {
  // A connection of its own for each.
  const channelOptions = { 'grpc.use_local_subchannel_pool': 1 };
  const client = connect(to.address, { deadlineMs: 20_000, channelOptions, ...options });
  clients.push(client);
  return client;
}

const calls = (to: TestServer, method: string, code: string) =>
  to.metric('rpc_server_call_duration_seconds_count', { rpc_method: method, rpc_status_code: code });

describe('a score', () => {
  test.each(['churn', 'breast-cancer', 'wine'])('of every golden row of %s, as any client gets it', async (model) => {
    const client = connected(examples);
    const golden = (await readGolden(`${await patientExamples()}/${model}/golden.jsonl`)).map(({ row }) =>
      Array.isArray(row) ? row : (Object.fromEntries(row as ReadonlyMap<string, number>) as NamedRow),
    ) as InputRow[];
    const found = await Promise.all(golden.map((row) => client.score({ model, row })));
    const alone = await Promise.all(golden.map((row) => client.score({ model, row }, { multiplex: false })));
    for (const [index, row] of golden.entries()) {
      const expected = await examples.client.score(model, row as RowInit);
      for (const one of [found[index], alone[index]]) {
        expect(one?.score).toBeCloseTo(expected.score, 5);
        expect(one).toMatchObject({
          model,
          version: Number(expected.version),
          label: expected.label,
          origin: 'REAL_TIME',
        });
        expect([one?.labelName, one?.segment]).toEqual([expected.labelName, expected.segment]);
      }
    }
  });

  test('of every kind of row', async () => {
    const client = connected(server);
    const expected = (await server.client.score('risk', [3, 1])).score;
    const rows: InputRow[] = [[3, 1], Float32Array.of(3, 1), Float64Array.of(3, 1), { a: 3, b: 1 }, { a: 3n }];
    for (const row of [...rows, { a: 3, b: undefined }]) {
      expect((await client.score({ model: 'risk', row })).score).toBe(expected);
    }
  });

  test('with whom it is about, when it was made, where the time went, and the tensors that were asked for', async () => {
    const client = connected(server);
    const beforeMs = Date.now();
    const answer = await client.score({ model: 'risk', row: [3, 1], entityId: 42, outputs: ['score'], version: 1 });
    expect(answer).toMatchObject({ entityId: '42', version: 1, segment: 'High', timing: { batchRows: 1 } });
    expect(answer.scoredAt.getTime()).toBeGreaterThanOrEqual(beforeMs);
    expect(answer.scoredAt.getTime()).toBeLessThanOrEqual(Date.now());
    expect(answer.outputs).toEqual({
      score: { dataType: 'FLOAT32', shape: [1], values: Float32Array.of(answer.score) },
    });
    expect(await client.score({ model: 'risk', row: [3, 1] })).toMatchObject({ entityId: undefined, outputs: {} });
  });

  test('rides on a stream, unless it wants a call of its own', async () => {
    const client = connected(server);
    const before = [await calls(server, STREAM, 'OK'), await calls(server, UNARY, 'OK')] as [number, number];
    await Promise.all(Array.from({ length: 700 }, () => client.score({ model: 'risk', row: [1, 1] })));
    await client.score({ model: 'risk', row: [1, 1] }, { multiplex: false });
    expect([await calls(server, STREAM, 'OK'), await calls(server, UNARY, 'OK')]).toEqual([
      before[0] + 700,
      before[1] + 1,
    ]);
  });

  test.each([true, false])('that is refused says why, multiplexed: %s', async (multiplex) => {
    const client = connected(server, { multiplex });
    expect(await scoreFailureOf(client.score({ model: 'risc', row: [1, 1] }))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'MODEL_NOT_FOUND',
      message: expect.stringContaining('did you mean "risk"'),
    });
    expect(await scoreFailureOf(client.score({ model: 'risk', row: { b: 1 } }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_ROW',
      violations: [{ field: 'row.named.values["a"]', description: expect.stringMatching(/^expected a number/) }],
    });
    await expect(client.score({ model: 'risk', row: { a: null } as never })).rejects.toThrow(TypeError);
    await expect(client.score({ model: 'risk', row: [1, 1] }, { deadlineMs: 0 })).rejects.toThrow(RangeError);
    expect((await client.score({ model: 'risk', row: [1, 1] })).score).toBe(0.5);
  });

  test.each([true, false])(
    'that finds the server overloaded knows when to come back, multiplexed: %s',
    async (multiplex) => {
      const full = await TestServer.start(folder, ['workers.count=1', 'limits.max_in_flight=1']);
      const client = connected(full, { multiplex, retry: false });
      const first = client.score({ model: 'slow', row: [0] });
      await eventually(() => full.running.engine.scheduler.running === 1);
      const second = await scoreFailureOf(client.score({ model: 'slow', row: [0] }));
      expect(second).toMatchObject({ code: 'RESOURCE_EXHAUSTED', retryAfterMs: expect.any(Number) });
      await first;
      await full.stop();
    },
  );

  test('of a server that is not there', async () => {
    const client = connect(`127.0.0.1:${await freePort()}`, { deadlineMs: 20_000 });
    clients.push(client);
    expect(await scoreFailureOf(client.score({ model: 'risk', row: [1, 1] }))).toMatchObject({ code: 'UNAVAILABLE' });
  });
});

test('what is served', async () => {
  const client = connected(examples);
  const models = await client.listModels();
  expect(models.map(({ name, version }) => `${name} ${version}`)).toContain('diabetes 1');
  const churn = await client.getModel('churn');
  expect(churn).toMatchObject({
    name: 'churn',
    version: 1,
    live: true,
    task: 'BINARY',
    labels: ['stays', 'churns'],
    scoreProblem: undefined,
    score: { output: 'probabilities', column: 1 },
  });
  expect(churn.features[1]).toEqual({
    name: 'plan',
    dataType: 'STRING',
    required: true,
    allowNan: false,
    source: 'store',
  });
  expect(churn.featureStore).toBe('customers');
  expect(churn.segments.map(({ name }) => name)).toEqual(['Low', 'Medium', 'High']);
  expect(churn.loadedAt).toBeInstanceOf(Date);
  expect((await client.getModel('diabetes', { version: 1 })).version).toBe(1);
  expect(await scoreFailureOf(client.getModel('churn', { version: 9 }))).toMatchObject({ code: 'NOT_FOUND' });
});

test('a server that goes away and comes back loses nobody a score', async () => {
  const port = await freePort();
  const start = () => TestServer.start(folder, ['workers.count=1', `server.port=${port}`]);
  let serving = await start();
  const client = connected(serving, { retry: { maxAttempts: 1000, maxBackoffMs: 50, budgetTokens: 1e9 } });
  let answered = 0;
  let stopped = false;
  const lanes = Array.from({ length: 32 }, async () => {
    while (!stopped) {
      expect((await client.score({ model: 'risk', row: [1, 1] })).score).toBe(0.5);
      answered++;
    }
  });
  const all = Promise.all(lanes);
  for (let round = 0; round < 2; round++) {
    const before = answered;
    await eventually(() => answered > before + 500);
    await serving.stop();
    serving = await start();
  }
  const before = answered;
  await eventually(() => answered > before + 500);
  stopped = true;
  await all;
  await client.close();
  await serving.stop();
});

const ROWS = Array.from({ length: 2500 }, (_, index) => [index / 1000, 1] as const);

async function read(client: Client, request: Partial<BatchRequest>): Promise<[ScoredChunk[], BatchSummary]> {
  const batch = client.scoreBatch({ model: 'risk', ...request });
  const chunks: ScoredChunk[] = [];
  for await (const one of batch) chunks.push(one);
  return [chunks, await batch.summary];
}

const byRow = (chunks: readonly ScoredChunk[]): Map<number, number> =>
  new Map(chunks.flatMap(({ rows, scores }) => Array.from(rows, (row, index) => [row, scores[index] as number])));

describe('a batch', () => {
  test('of every form has the scores that its rows have alone', async () => {
    const client = connected(server);
    const a = ROWS.map(([value]) => value);
    const [chunks, summary] = await read(client, { matrix: { columns: 2, values: ROWS.flat() }, chunkRows: 700 });
    expect(summary).toMatchObject({ model: 'risk', version: 1, rows: 2500, scored: 2500, failed: 0 });
    expect(chunks.map(({ rows }) => rows.length).sort()).toEqual([400, 700, 700, 700]);
    const expected = byRow(chunks);
    expect(expected.size).toBe(2500);
    for (const row of [0, 699, 700, 2499]) {
      const alone = await client.score({ model: 'risk', row: ROWS[row] as readonly number[] });
      expect(expected.get(row)).toBe(alone.score);
    }
    const forms: Partial<BatchRequest>[] = [
      { matrix: { columns: 2, values: Float32Array.from(ROWS.flat()) } },
      { rows: ROWS },
      { rows: a.map((value) => ({ a: value, b: 1 })) },
      { columns: { a, b: new Float64Array(2500).fill(1) } },
      { columns: { a: Float64Array.from(a) }, shared: { b: 1 } },
      { columns: { a } },
    ];
    for (const form of forms) expect(byRow((await read(client, form))[0])).toEqual(expected);
  });

  test('has labels, segments and origins, each at the place of its row', async () => {
    const client = connected(server);
    const [[chunk]] = await read(client, {
      rows: [
        [0, 1],
        [2, 1],
      ],
    });
    const { segments } = await client.getModel('risk');
    expect(chunk?.rows).toEqual(Uint32Array.of(0, 1));
    expect(Array.from(chunk?.segments ?? [], (segment) => segments[segment]?.name)).toEqual(['Low', 'High']);
    expect(chunk?.origins).toEqual(['REAL_TIME', 'REAL_TIME']);
    const alone = await client.score({ model: 'risk', row: [2, 1] });
    expect(chunk?.labels[1]).toBe(alone.label ?? -1);
  });

  test('loses the rows that are wrong, and no others', async () => {
    const client = connected(server);
    const rows = ROWS.slice(0, 100).map((row) => [...row]);
    (rows[70] as number[])[1] = Number.NaN;
    const [chunks, summary] = await read(client, { rows, chunkRows: 64, inOrder: true });
    expect(summary).toMatchObject({ rows: 100, scored: 99, failed: 1 });
    expect(chunks.flatMap(({ errors }) => errors)).toEqual([
      {
        row: 70,
        code: 'INVALID_ARGUMENT',
        reason: 'INVALID_ROW',
        field: 'row.dense.values[1]',
        message: expect.any(String),
      },
    ]);
    expect([...byRow(chunks)].filter(([, score]) => Number.isNaN(score))).toEqual([[70, Number.NaN]]);
  });

  test('gives what is above a score, and the best, sorted', async () => {
    const client = connected(server);
    const all = byRow((await read(client, { rows: ROWS }))[0]);
    const limit = all.get(1500) as number;
    const [above] = await read(client, { rows: ROWS, minScore: limit });
    expect(byRow(above)).toEqual(new Map([...all].filter(([, score]) => score > limit)));
    const [best] = await read(client, { rows: ROWS, topK: 3 });
    expect(best.map(({ rows }) => [...rows])).toEqual([[2499, 2498, 2497]]);
  });

  test('that is refused whole', async () => {
    const client = connected(server);
    const refused = await scoreFailureOf(read(client, { matrix: { columns: 3, values: [1, 2, 3] } }));
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', violations: [{ field: 'matrix.columns' }] });
  });

  test('that is left runs no further', async () => {
    const client = connected(server);
    const ran = () => server.metric('scorewire_batch_rows_sum', { model: 'slow' });
    const before = await ran();
    const rows = Array.from({ length: 300 }, () => [0]);
    for await (const _ of client.scoreBatch({ model: 'slow', rows, chunkRows: 1 })) break;
    await eventually(async () => (await server.metric('scorewire_calls_in_flight')) === 0);
    expect((await ran()) - before).toBeLessThan(200);
  });

  test('of which nobody reads on waits at the server', async () => {
    const client = connected(server, { bulkDeadlineMs: 120_000 });
    const ran = () => server.metric('scorewire_batch_rows_sum', { model: 'risk' });
    const before = await ran();
    const values = new Float32Array(2 * 120_000).fill(1);
    let read = 0;
    for await (const { rows } of client.scoreBatch({
      model: 'risk',
      matrix: { columns: 2, values },
      chunkRows: 1000,
    })) {
      if (read === 0) {
        // Until nothing moves any more.
        let last = -1;
        await eventually(async () => {
          const now = await ran();
          const still = now === last;
          last = now;
          if (!still) await new Promise((resolve) => setTimeout(resolve, 100));
          return still;
        });
        expect(last - before).toBeLessThan(100_000);
        // Others are served meanwhile, on the same connection.
        expect((await client.score({ model: 'slow', row: [0] })).score).toBe(0.5);
      }
      read += rows.length;
    }
    expect(read).toBe(120_000);
  });
});

describe('rows without end', () => {
  test('more of them than a message holds', async () => {
    const client = connected(server);
    const count = 200_000;
    const values = Float32Array.from({ length: 2 * count }, (_, index) => (index % 2 === 0 ? index / count : 1));
    const tooLarge = await scoreFailureOf(read(client, { matrix: { columns: 2, values } }));
    expect(tooLarge).toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: expect.stringMatching(/in \d+ calls/) });

    async function* rows(): AsyncGenerator<Float32Array[]> {
      for (let at = 0; at < count; at += 1000) {
        yield Array.from({ length: 1000 }, (_, index) => values.subarray(2 * (at + index), 2 * (at + index) + 2));
      }
    }
    const scores = new Float32Array(count);
    let next = 0;
    for await (const scored of client.scoreRows('risk', rows(), { callRows: 1e9, callBytes: 500_000 })) {
      expect([scored.firstRow, scored.version, scored.errors]).toEqual([next, 1, []]);
      scores.set(scored.scores, scored.firstRow);
      next += scored.scores.length;
    }
    expect(next).toBe(count);
    for (const row of [0, 62_499, 62_500, 123_456, count - 1]) {
      const alone = await client.score({ model: 'risk', row: values.subarray(2 * row, 2 * row + 2) });
      expect(scores[row]).toBe(alone.score);
    }
  });

  test('that leave out different features', async () => {
    const client = connected(examples);
    const golden = (await readGolden(`${await patientExamples()}/churn/golden.jsonl`)).map(
      ({ row }) => Object.fromEntries(row as ReadonlyMap<string, number>) as NamedRow,
    );
    const rows = golden.map((row, index) => ({
      ...row,
      region: index % 2 === 0 ? row.region : undefined,
      data_gb: index % 3 === 0 ? row.data_gb : undefined,
    }));
    const alone = await Promise.all(rows.map((row) => client.score({ model: 'churn', row })));
    const { segments } = await client.getModel('churn');
    let next = 0;
    for await (const found of client.scoreRows('churn', rows, { callRows: 13 })) {
      expect([found.firstRow, found.errors]).toEqual([next, []]);
      for (const [index, score] of found.scores.entries()) {
        const one = alone[next++];
        expect(score).toBeCloseTo(one?.score as number, 5);
        expect([found.labels[index], segments[found.segments[index] as number]?.name]).toEqual([
          one?.label,
          one?.segment,
        ]);
      }
    }
    expect(next).toBe(rows.length);
  });

  test('that leave out what they must not', async () => {
    const client = connected(server);
    const reading = async () => {
      for await (const _ of client.scoreRows('risk', [{ a: 1 }, { b: 2 }]))
        throw new Error('there should be no scores');
    };
    expect(await scoreFailureOf(reading())).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
