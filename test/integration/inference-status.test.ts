// The Open Inference Protocol but for inference: what is served, how it is configured, what became of it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DataType, type ModelConfig } from '../../src/gen/inference/model_config.ts';
import { startServer } from '../../src/server.ts';
import { VERSION } from '../../src/version.ts';
import { eventually } from '../support/concurrently.ts';
import { accepts, freePort } from '../support/free-port.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { folderOf, modelFolder } from '../support/model-folder.ts';
import { linear, meanOverBatch, onnxModel, openWidth, slowLinear } from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer, testLog, testSettings } from '../support/test-server.ts';

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  // Texts and a scalar, and no dimension for rows.
  const fixed = onnxModel({
    inputs: [
      { name: 'text', type: 'string', dims: [2, 'W'] },
      { name: 'scalar', type: 'int64', dims: [] },
    ],
    outputs: [
      { name: 'same', type: 'string', dims: [2, 'W'] },
      { name: 'number', type: 'int64', dims: [] },
    ],
    nodes: [
      { op: 'Identity', inputs: ['text'], outputs: ['same'] },
      { op: 'Identity', inputs: ['scalar'], outputs: ['number'] },
    ],
  });
  const folder = await folderOf({
    'score/1/model.onnx': linear([1, -1], 0),
    'score/3/model.onnx': linear([1, -1], 1),
    'score/12/model.onnx': linear([1, -1], 2),
    'score/live': '3',
    'open/1/model.onnx': openWidth(),
    'mean/1/model.onnx': meanOverBatch(3),
    'fixed/1/model.onnx': fixed,
  });
  server = await TestServer.start(folder, ['workers.count=2', 'batching.max_rows=16', 'batching.max_delay_ms=1.5']);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

describe('the server', () => {
  test('lives and is ready', async () => {
    expect(await client.call('serverLive', {})).toEqual({ live: true });
    expect(await client.call('serverReady', {})).toEqual({ ready: true });
  });

  test('calls itself as clients of Triton expect, and names what it has of the protocol', async () => {
    const { extensions, ...rest } = await client.call('serverMetadata', {});
    expect(rest).toEqual({ name: 'triton', version: VERSION });
    expect(extensions).toEqual(expect.arrayContaining(['classification', 'model_configuration', 'statistics']));
    expect(extensions).not.toContain('sequence');
    // Off unless it is switched on.
    expect(extensions).not.toContain('system_shared_memory');
  });

  test('is in the health checks', async () => {
    expect(await server.client.check('inference.GRPCInferenceService')).toBe('SERVING');
  });
});

describe('ModelReady', () => {
  test.each([
    ['score', '', true],
    ['score', '1', true],
    ['score', '2', false],
    ['score', '99999999999', false],
    ['nothing', '', false],
    ['nothing', '1', false],
  ])('%s "%s": %s', async (name, version, ready) => {
    expect(await client.call('modelReady', { name, version })).toEqual({ ready });
  });

  test('what is no version', async () => {
    expect(await failureOf(client.call('modelReady', { name: 'score', version: 'new' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining("failed to get model version from specified version string 'new'"),
    });
  });
});

describe('ModelMetadata', () => {
  test('rows have a dimension in front; all versions are listed', async () => {
    expect(await client.call('modelMetadata', { name: 'score', version: '' })).toEqual({
      name: 'score',
      versions: ['1', '3', '12'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 2n] }],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1n, 1n] }],
    });
  });

  test('of one version', async () => {
    expect(await client.call('modelMetadata', { name: 'score', version: '12' })).toMatchObject({ versions: ['12'] });
  });

  test('texts, a scalar, dimensions that are open, and none in front where there are no rows', async () => {
    expect(await client.call('modelMetadata', { name: 'fixed', version: '1' })).toMatchObject({
      inputs: [
        { name: 'text', datatype: 'BYTES', shape: [2n, -1n] },
        { name: 'scalar', datatype: 'INT64', shape: [] },
      ],
      outputs: [{ name: 'same' }, { name: 'number', datatype: 'INT64', shape: [] }],
    });
    expect(await client.call('modelMetadata', { name: 'open', version: '1' })).toMatchObject({
      inputs: [{ shape: [-1n, -1n] }],
    });
  });

  test.each([
    ['nothing', '', 'NOT_FOUND', "Request for unknown model: 'nothing' is not found"],
    ['score', '7', 'NOT_FOUND', "Request for unknown model: 'score' version 7 is not found"],
    [
      'score',
      '-1',
      'INVALID_ARGUMENT',
      "invalid model version specified '-1' , version should be an integral value > 0",
    ],
  ])('%s "%s": %s', async (name, version, code, message) => {
    expect(await failureOf(client.call('modelMetadata', { name, version }))).toMatchObject({ code, message });
    expect(await failureOf(client.call('modelConfig', { name, version }))).toMatchObject({ code, message });
  });
});

describe('ModelConfig of a model without a config of its own', () => {
  const configOf = async (name: string): Promise<ModelConfig> => {
    const { config } = await client.call('modelConfig', { name, version: '' });
    return config as ModelConfig;
  };

  test('says what holds', async () => {
    expect(await configOf('score')).toMatchObject({
      name: 'score',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      maxBatchSize: 1_000_000,
      versionPolicy: { policyChoice: { $case: 'all' } },
      input: [{ name: 'x', dataType: DataType.TYPE_FP32, dims: [2n], optional: false }],
      output: [{ name: 'score', dataType: DataType.TYPE_FP32, dims: [1n] }],
      instanceGroup: [{ name: 'score_0', kind: 2, count: 2 }],
      defaultModelFilename: 'model.onnx',
      schedulingChoice: {
        $case: 'dynamicBatching',
        value: { preferredBatchSize: [16], maxQueueDelayMicroseconds: 1500n },
      },
    });
  });

  test('no batches where they would change scores, or where there are no rows', async () => {
    expect((await configOf('mean')).schedulingChoice).toBeUndefined();
    expect(await configOf('fixed')).toMatchObject({
      maxBatchSize: 0,
      schedulingChoice: undefined,
      input: [
        { name: 'text', dataType: DataType.TYPE_STRING, dims: [2n, -1n] },
        { name: 'scalar', dataType: DataType.TYPE_INT64, dims: [] },
      ],
    });
  });
});

describe('ModelStatistics', () => {
  const statisticsOf = async (name: string, version: string) =>
    (await client.call('modelStatistics', { name, version })).modelStats;

  test('counts requests of the version that answered, with the time that they took', async () => {
    const [before] = await statisticsOf('score', '1');
    const begunMs = Date.now();
    for (let i = 0; i < 3; i++) await server.client.score('score', [1, 0], { version: 1n });
    const [after] = await statisticsOf('score', '1');
    expect(before).toMatchObject({ name: 'score', version: '1', inferenceCount: 0n, lastInference: 0n });
    expect(after).toMatchObject({
      inferenceCount: 3n,
      inferenceStats: {
        success: { count: 3n },
        fail: { count: 0n, ns: 0n },
        queue: { count: 3n },
        computeInfer: { count: 3n },
        cacheHit: { count: 0n, ns: 0n },
        cacheMiss: { count: 0n, ns: 0n },
      },
    });
    expect(Number(after?.lastInference)).toBeGreaterThanOrEqual(begunMs);
    const { success, computeInfer } = after?.inferenceStats ?? {};
    expect(computeInfer?.ns).toBeGreaterThan(0n);
    expect(success?.ns).toBeGreaterThanOrEqual(computeInfer?.ns as bigint);
    expect(after?.memoryUsage).toMatchObject([{ type: 'CPU' }]);
    expect(after?.memoryUsage[0]?.byteSize).toBeGreaterThan(0n);
  });

  test('of all versions, and of all models', async () => {
    expect((await statisticsOf('score', '')).map(({ version }) => version)).toEqual(['1', '3', '12']);
    const all = (await statisticsOf('', '')).map(({ name, version }) => `${name} ${version}`);
    expect(all).toEqual(['fixed 1', 'mean 1', 'open 1', 'score 1', 'score 3', 'score 12']);
  });

  test.each([
    ['nothing', '', "requested model 'nothing' is not available"],
    ['nothing', '1', "requested model 'nothing' is not available"],
    ['score', '7', "requested model version is not available for model 'score'"],
  ])('%s "%s"', async (name, version, message) => {
    expect(await failureOf(statisticsOf(name, version))).toMatchObject({ code: 'INVALID_ARGUMENT', message });
  });
});

describe('RepositoryIndex', () => {
  test.each([false, true])('every version and its state (ready: %s)', async (ready) => {
    const { models } = await client.call('repositoryIndex', { repositoryName: '', ready });
    expect(models).toContainEqual({ name: 'score', version: '12', state: 'READY', reason: '' });
    expect(models.map(({ name, version }) => `${name} ${version}`)).toEqual([
      'fixed 1',
      'mean 1',
      'open 1',
      'score 1',
      'score 3',
      'score 12',
    ]);
  });

  test('of a repository by name', async () => {
    const call = client.call('repositoryIndex', { repositoryName: 'other', ready: false });
    expect(await failureOf(call)).toMatchObject({
      code: 'UNIMPLEMENTED',
      message: "'repository_name' specification is not supported",
    });
  });
});

test('before the models are there: live, not ready, and no errors for those who wait', async () => {
  const folder = await modelFolder({ slow: [slowLinear([1], 0, 30_000), 'batching: { enabled: false }'] });
  const port = await freePort();
  const { log } = testLog();
  const starting = startServer(testSettings(folder, [`server.port=${port}`, 'workers.count=2']), log);
  await eventually(() => accepts(port));
  const early = new InferenceClient(`127.0.0.1:${port}`);
  try {
    expect(await early.call('serverReady', {})).toEqual({ ready: false });
    expect(await early.call('serverLive', {})).toEqual({ live: true });
    expect(await early.call('modelReady', { name: 'slow', version: '' })).toEqual({ ready: false });
    expect(await failureOf(early.call('modelMetadata', { name: 'slow', version: '' }))).toMatchObject({
      code: 'UNAVAILABLE',
      message: 'Server not ready',
    });
    await starting;
    expect(await early.call('serverReady', {})).toEqual({ ready: true });
    expect(await early.call('modelReady', { name: 'slow', version: '' })).toEqual({ ready: true });
  } finally {
    early.close();
    await (await starting).drain();
  }
});

test('the name that ServerMetadata answers is a setting', async () => {
  const folder = await modelFolder({ first: linear([1], 0) });
  const other = await TestServer.start(folder, [
    'inference.server_name=scorewire',
    'inference.client_shared_memory=on',
  ]);
  const asking = new InferenceClient(other.address);
  try {
    const { name, extensions } = await asking.call('serverMetadata', {});
    expect(name).toBe('scorewire');
    expect(extensions).toContain('system_shared_memory');
  } finally {
    asking.close();
    await other.stop();
  }
});
