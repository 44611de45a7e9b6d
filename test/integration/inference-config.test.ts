// What the Open Inference Protocol says of models that come with a config.pbtxt, as a Triton repository has them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DataType } from '../../src/gen/inference/model_config.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { folderOf } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

const CONFIG = `name: "configured"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1, 2 ] reshape: { shape: [ 2 ] } } ]
output [ { name: "score" data_type: TYPE_FP32 dims: [ 1 ] label_filename: "labels.txt" } ]
version_policy: { specific: { versions: [ 1, 3 ] } }
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters { key: "team" value: { string_value: "risk" } }
`;

let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  const model = linear([1, -1], 0);
  const folder = await folderOf({
    'configured/config.pbtxt': CONFIG,
    'configured/labels.txt': 'likely\n',
    'configured/1/model.onnx': model,
    'configured/2/model.onnx': model,
    'configured/3/model.onnx': model,
    'short/config.pbtxt': 'max_batch_size: 4',
    'short/1/model.onnx': model,
    'short/2/model.onnx': model,
    'broken/config.pbtxt': 'backend: "python"',
    'broken/1/model.onnx': model,
  });
  server = await TestServer.start(folder);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

test('the config, as it is', async () => {
  const { config } = await client.call('modelConfig', { name: 'configured', version: '' });
  expect(config).toMatchObject({
    name: 'configured',
    platform: 'onnxruntime_onnx',
    maxBatchSize: 8,
    input: [{ name: 'x', dataType: DataType.TYPE_FP32, dims: [1n, 2n], reshape: { shape: [2n] } }],
    output: [{ name: 'score', dataType: DataType.TYPE_FP32, dims: [1n], labelFilename: 'labels.txt' }],
    versionPolicy: { policyChoice: { $case: 'specific', value: { versions: [1n, 3n] } } },
    schedulingChoice: {
      $case: 'dynamicBatching',
      value: { preferredBatchSize: [4, 8], maxQueueDelayMicroseconds: 100n },
    },
    instanceGroup: [{ count: 2 }],
    parameters: new Map([['team', { stringValue: 'risk' }]]),
  });
});

test('tensors as requests have them, and the versions that the policy serves', async () => {
  expect(await client.call('modelMetadata', { name: 'configured', version: '' })).toMatchObject({
    versions: ['1', '3'],
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 1n, 2n] }],
    outputs: [{ name: 'score', datatype: 'FP32', shape: [-1n, 1n] }],
  });
});

test('a config that says little is completed from the graph', async () => {
  const { config } = await client.call('modelConfig', { name: 'short', version: '' });
  expect(config).toMatchObject({
    maxBatchSize: 4,
    backend: 'onnxruntime',
    input: [{ name: 'x', dims: [2n] }],
    output: [{ name: 'score', dims: [1n] }],
    versionPolicy: { policyChoice: { $case: 'latest', value: { numVersions: 1 } } },
    schedulingChoice: undefined,
  });
  expect(await client.call('modelMetadata', { name: 'short', version: '' })).toMatchObject({ versions: ['2'] });
});
