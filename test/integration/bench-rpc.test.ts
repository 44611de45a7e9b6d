// `scorewire bench --rpc`: streams and batches, against a stand-in that has them and a server that doesn't.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { flowOf } from '../../src/bench/report.ts';
import { type BenchResult, metricsOf } from '../../src/bench/result.ts';
import type { ScoreBatchRequest } from '../../src/gen/scorewire/v1/scoring.ts';
import { runCommand } from '../support/command.ts';
import { EXAMPLES, tempFolder } from '../support/model-folder.ts';
import { answerBatch, echoItems, serveScores } from '../support/scoring-stub.ts';
import { TestServer } from '../support/test-server.ts';

const SHORT = ['--seconds', '0.3', '--warm-up', '0', '--repetitions', '1', '--in-flight', '8'];

let server: TestServer;
let folder: string;

beforeAll(async () => {
  [server, folder] = await Promise.all([TestServer.start(EXAMPLES), tempFolder()]);
});
afterAll(() => server.stop());

function bench(address: string, ...args: string[]) {
  return runCommand(['bench', '--address', address, ...SHORT, ...args]);
}

async function resultIn(file: string): Promise<BenchResult> {
  return JSON.parse(await readFile(file, 'utf8'));
}

test('streams: every scenario, what was measured is said', async () => {
  const port = await serveScores({ stream: echoItems });
  const [json, html] = [join(folder, 'stream.json'), join(folder, 'stream.html')];
  const { code, stdout } = await bench(
    `127.0.0.1:${port}`,
    ...['--model', 'm', '--rpc', 'stream', '--streams', '2', '--items', '4'],
    ...['--scenarios', 'single-stream,closed,server,offline,find-max', '--rate', '200', '--ceiling', '400'],
    ...['--bound', 'p99=10s', '--processes', '2', '--json', json, '--html', html],
  );
  const how = 'ScoreStream, 2 streams a connection, 4 items a message';
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: expect.stringContaining(`m 1 at 127.0.0.1:${port} (native, ${how})`),
  });
  expect(stdout).toContain('server, 200 items/s');
  expect(await readFile(html, 'utf8')).toContain(how);
  const { settings, scenarios } = await resultIn(json);
  expect(settings.rpc).toEqual({ kind: 'stream', streams: 2, items: 4 });
  expect(scenarios).toHaveLength(5);
  for (const { name, reports } of scenarios) {
    for (const flow of reports.map(flowOf)) {
      expect({ name, errors: flow.errors, rest: flow.calls % 4 }).toEqual({ name, errors: {}, rest: 0 });
      expect(flow.answers.count).toBeGreaterThan(8);
    }
  }
});

test('batches: rows a second beside calls a second', async () => {
  const requests: ScoreBatchRequest[] = [];
  const port = await serveScores({
    batch: (call) => {
      requests.push(call.request);
      answerBatch(call);
    },
  });
  const json = join(folder, 'bulk.json');
  const rows = join(folder, 'rows.jsonl');
  await writeFile(rows, '[1, 2]\n{"b": 4, "a": 3}\n[5, 6]\n');
  const { code, stdout } = await bench(
    `127.0.0.1:${port}`,
    ...['--model', 'm', '--rpc', 'bulk', '--batch-rows', '1250', '--rows', rows, '--scenarios', 'single-stream,closed'],
    ...['--json', json],
  );
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: expect.stringContaining('(native, ScoreBatch, 1,250 rows a call)'),
  });
  for (const scenario of (await resultIn(json)).scenarios) {
    const figures = Object.fromEntries(metricsOf(scenario).map(({ name, values }) => [name, values[0] ?? 0]));
    expect(figures.throughput).toBeGreaterThan(0);
    expect(figures.rows).toBe(1250 * (figures.throughput as number));
    expect(figures.errors).toBe(0);
  }
  // The rows go on where the last request left off.
  const firsts = requests.map(({ rows: form }) => (form?.$case === 'matrix' ? form.value.values.slice(0, 4) : []));
  expect(firsts.slice(1, 4)).toEqual([
    [1, 2, 3, 4],
    [5, 6, 1, 2],
    [3, 4, 5, 6],
  ]);
});

test.each([
  [['--rpc', 'bulk', '--model', 'churn'], /sends matrices of floats, and "tenure_months" of churn is INT64/],
  [['--rpc', 'streams'], /--rpc: expected unary, stream, bulk, found "streams"/],
  [['--rpc', 'stream', '--api', 'oip'], /--rpc stream: only with --api native/],
  [['--items', '2'], /--items: only with --rpc stream/],
  [['--rpc', 'stream', '--batch-rows', '2'], /--batch-rows: only with --rpc bulk/],
  [['--rpc', 'stream', '--items', '9'], /--in-flight: 9 items a message need as many in flight at least, found 8/],
  [['--rpc', 'bulk', '--batch-rows', '10000000'], /--batch-rows: expected at most 1000000/],
])('%j', async (args, said) => {
  const { code, stderr } = await bench(server.address, '--model', 'wine', ...args);
  expect(code).toBe(1);
  expect(stderr).toMatch(said);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});
