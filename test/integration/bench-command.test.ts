// `scorewire bench` against servers: ours, and one that speaks the Open Inference Protocol.

import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BenchResult } from '../../src/bench/result.ts';
import {
  GRPCInferenceServiceService,
  type ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataRequest,
  type ModelMetadataResponse,
} from '../../src/gen/inference/inference.ts';
import { runCommand } from '../support/command.ts';
import { EXAMPLES, tempFolder } from '../support/model-folder.ts';
import { TestServer } from '../support/test-server.ts';

const SHORT = [
  '--seconds',
  '0.3',
  '--warm-up',
  '0',
  '--repetitions',
  '2',
  '--in-flight',
  '4',
  '--offline-in-flight',
  '16',
];

let server: TestServer;
let folder: string;

beforeAll(async () => {
  [server, folder] = await Promise.all([TestServer.start(EXAMPLES), tempFolder()]);
});
afterAll(() => server.stop());

async function bench(...args: string[]) {
  return runCommand(['bench', '--address', server.address, ...SHORT, ...args]);
}

async function resultIn(file: string): Promise<BenchResult> {
  return JSON.parse(await readFile(file, 'utf8'));
}

test('every scenario; figures, result, report; compared with itself', async () => {
  const [json, html] = [join(folder, 'a.json'), join(folder, 'a.html')];
  const rows = join(EXAMPLES, 'churn', 'golden.jsonl');
  const metricsUrl = `http://127.0.0.1:${server.running.httpPort}/metrics`;
  const { code, stdout, stderr } = await bench(
    ...['--model', 'churn', '--rows', rows, '--scenarios', 'single-stream,closed,server,offline', '--rate', '100'],
    ...[
      '--metrics-url',
      metricsUrl,
      '--slo',
      'p99=20s,errors=0.1%',
      '--label',
      'a test',
      '--json',
      json,
      '--html',
      html,
    ],
  );
  expect(stderr.split('\n').filter((line) => line.startsWith('server: 100 calls/s'))).toHaveLength(2);
  expect({ code, kept: stdout.includes('kept every limit') }).toEqual({ code: 0, kept: true });
  const result = await resultIn(json);
  expect(result).toMatchObject({
    schema: 'scorewire-bench/1',
    label: 'a test',
    target: { model: 'churn', version: '1' },
    broken: [],
  });
  for (const { reports } of result.scenarios) {
    expect(reports).toHaveLength(2);
    for (const { flows } of reports) {
      expect(flows[0]?.errors).toEqual({});
      expect(flows[0]?.answers.count).toBeGreaterThan(0);
    }
  }
  const [single] = result.scenarios;
  const counted = single?.split?.parts.find(({ name }) => name === 'whole call')?.count;
  expect(counted).toBeGreaterThanOrEqual(
    single?.reports.reduce((sum, { flows }) => sum + (flows[0]?.calls ?? 0), 0) ?? 0,
  );
  expect(await readFile(html, 'utf8')).toContain('<svg');
  const compared = await runCommand(['bench', 'compare', json, json]);
  expect(compared).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing is worse by more than 10.0 %') });
});

test('find-max stops at the ceiling, and says so', async () => {
  const json = join(folder, 'max.json');
  const { code, stdout } = await bench(
    ...[
      '--model',
      'diabetes',
      '--scenarios',
      'find-max',
      '--rate',
      '20',
      '--ceiling',
      '40',
      '--bound',
      'p99=10s',
      '--json',
      json,
    ],
  );
  expect(code).toBe(0);
  expect(stdout).toContain('the highest rate allowed was held: a lower bound');
  const [found] = (await resultIn(json)).scenarios;
  expect(found?.found).toMatchObject({ ratePerSecond: 40, stoppedBy: 'ceiling' });
});

test('a broken limit: exit 1, and which', async () => {
  const { code, stdout } = await bench('--model', 'wine', '--scenarios', 'closed', '--slo', 'p50=1us');
  expect(code).toBe(1);
  expect(stdout).toMatch(/broken:\n {2}closed: p50: .* at most 1\.00 us allowed/);
});

test.each([
  [['--model', 'chur'], /GetModel: NOT_FOUND: .*did you mean "churn"/],
  [[], /^scorewire: --model: which model\?/],
  [['--model', 'churn', '--scenarios', 'closd'], /--scenarios: expected single-stream, .*found "closd"/],
  [['--model', 'churn', '--seconds', '-1'], /--seconds: expected a number above 0, found "-1"/],
  [['--model', 'churn', '--slo', 'p99'], /--slo/],
  [['--model', 'churn', '--rows', '/nowhere.jsonl'], /--rows: can't read \/nowhere\.jsonl/],
  [['--model', 'churn', '--json', '/nowhere/a.json'], /--json: can't write \/nowhere\/a\.json/],
  [['--model', 'churn', '--model-version', 'abc'], /--model-version: expected a whole number, found "abc"/],
  [['--model', 'churn', '--metrics-url', 'http://127.0.0.1:1/'], /--metrics-url: no metrics of ours/],
  [['--model', 'churn', '--server-pid', '999999999'], /--server-pid: there is no process 999999999/],
  [['--model', 'churn', '--api', 'rest'], /--api: expected native, oip, json, found "rest"/],
  [['--model', 'churn', '--path', '/score'], /--path is for --api json/],
  [['--model', 'churn', '--api', 'json'], /--rows: with --api json/],
  [['--model', 'churn', '--address', '127.0.0.1:1'], /--address: nothing answers at 127\.0\.0\.1:1/],
])('%j', async (args, said) => {
  const { code, stderr } = await bench(...args);
  expect(code).toBe(1);
  expect(stderr).toMatch(said);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

test('rows that the model refuses: no figure of speed, and exit 1', async () => {
  const file = join(folder, 'short.jsonl');
  await writeFile(file, '[1, 2]\n');
  const { code, stdout, stderr } = await bench('--model', 'diabetes', '--rows', file, '--scenarios', 'closed');
  expect(code).toBe(1);
  expect(stderr).toContain('closed: not one call was answered');
  expect(stdout).toMatch(/errors +100\.0 %/);
  expect(stdout).not.toContain('p99');
  expect(stdout).toMatch(/INVALID_ARGUMENT: /);
});

test('compare: what is no result', async () => {
  const { code, stderr } = await runCommand(['bench', 'compare', join(EXAMPLES, 'churn', 'model.yaml'), 'x']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('model.yaml: not JSON') });
});

describe('the Open Inference Protocol', () => {
  const foreign = new Server();
  const seen: ModelInferRequest[] = [];
  let address: string;

  beforeAll(async () => {
    foreign.addService(GRPCInferenceServiceService, {
      modelMetadata: (
        call: ServerUnaryCall<ModelMetadataRequest, ModelMetadataResponse>,
        callback: sendUnaryData<ModelMetadataResponse>,
      ) =>
        callback(null, {
          name: call.request.name,
          versions: ['3'],
          platform: 'onnxruntime_onnx',
          inputs: [
            { name: 'features', datatype: 'FP32', shape: [-1n, 3n] },
            { name: 'plan', datatype: 'BYTES', shape: [-1n, 1n] },
          ],
          outputs: [{ name: 'score', datatype: 'FP32', shape: [-1n, 1n] }],
        }),
      modelInfer: (
        call: ServerUnaryCall<ModelInferRequest, ModelInferResponse>,
        callback: sendUnaryData<ModelInferResponse>,
      ) => {
        seen.push(call.request);
        callback(null, {
          modelName: 'fraud',
          modelVersion: '3',
          id: '',
          parameters: new Map(),
          outputs: [],
          rawOutputContents: [],
        });
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      foreign.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    address = `127.0.0.1:${port}`;
  });
  afterAll(() => foreign.forceShutdown());

  test('one row a request, raw, little-endian', async () => {
    const rows = join(folder, 'rows.jsonl');
    await writeFile(rows, '{"features": [1, -2, 0.5], "plan": "größer"}\n');
    const { code, stdout } = await runCommand([
      'bench',
      '--address',
      address,
      '--api',
      'oip',
      '--model',
      'fraud',
      '--rows',
      rows,
      '--scenarios',
      'closed',
      ...SHORT,
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`fraud 3 at ${address} (oip)`) });
    const [request] = seen as [ModelInferRequest];
    expect(request.inputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['features', [1n, 3n]],
      ['plan', [1n, 1n]],
    ]);
    const [features, plan] = request.rawInputContents as [Buffer, Buffer];
    expect([0, 4, 8].map((at) => features.readFloatLE(at))).toEqual([1, -2, 0.5]);
    expect([plan.readUInt32LE(0), plan.subarray(4).toString()]).toEqual([8, 'größer']);
  });

  test('a row that doesn’t fit names row and input', async () => {
    const rows = join(folder, 'wrong.jsonl');
    await writeFile(rows, '{"features": [1, -2], "plan": "a"}\n');
    const { code, stderr } = await runCommand([
      'bench',
      '--address',
      address,
      '--api',
      'oip',
      '--model',
      'fraud',
      '--rows',
      rows,
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain('row 1, input features: expected 3 values, found 2');
  });
});

describe('JSON over HTTP/1.1', () => {
  const seen = new Set<string>();
  let connections = 0;
  const foreign = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    seen.add(`${request.method} ${request.url} ${body}`);
    if (request.url === '/predict') response.end('{"score":0.5}');
    else response.writeHead(404).end('{"detail":"Not\n Found"}');
  });
  foreign.on('connection', () => connections++);
  let address: string;
  let rows: string;

  beforeAll(async () => {
    await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${(foreign.address() as AddressInfo).port}`;
    rows = join(folder, 'json-rows.jsonl');
    await writeFile(rows, '{"row": [1, -2.5, null]}\n{"age": 3, "plan": "größer"}\n');
  });
  afterAll(() => {
    foreign.closeAllConnections();
    foreign.close();
  });

  function benchJson(...args: string[]) {
    const flags = ['--address', address, '--api', 'json', '--model', 'fraud', '--rows', rows, ...SHORT, ...args];
    return runCommand(['bench', ...flags]);
  }

  test('a row a POST, an array as features, an object as it is', async () => {
    const { code, stdout } = await benchJson('--path', '/predict', '--scenarios', 'closed');
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`fraud at ${address} (json)`) });
    expect(stdout).toMatch(/errors +0\.0 %|errors +0 %/);
    expect(seen).toEqual(
      new Set(['POST /predict {"features":[1,-2.5,null]}', 'POST /predict {"age":3,"plan":"größer"}']),
    );
    // One to see that the server is there, then one for each call in flight of each of two repetitions.
    expect(connections).toBe(1 + 2 * 4);
  });

  test('an open loop', async () => {
    const flags = ['--path', '/predict', '--scenarios', 'server', '--rate', '50', '--connections', '3'];
    expect(await benchJson(...flags, '--slo', 'errors=0%')).toMatchObject({ code: 0 });
  });

  test('a server that does not take the rows: what it says', async () => {
    const { code, stderr } = await benchJson('--scenarios', 'closed');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `scorewire: POST http://${address}/score: HTTP status 404: {"detail":"Not Found"}\n`,
    });
  });
});
