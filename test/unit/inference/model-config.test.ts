// What ModelConfig answers for a model that has a config of Triton's.
import { expect, test } from 'vitest';
import { DataType, ModelConfig } from '../../../src/gen/inference/model_config.ts';
import { toModelConfig } from '../../../src/inference/model-config.ts';
import { toMetadata } from '../../../src/inference/model-metadata.ts';
import type { ServedTensor } from '../../../src/models/model.ts';
import { fakeModel } from '../../support/fake-model.ts';

const INPUTS: ServedTensor[] = [
  { name: 'a', type: 'int32', dims: [16], reshape: [4, 4] },
  { name: 'b', type: 'string', dims: [-1], optional: true },
];
const OUTPUTS: ServedTensor[] = [{ name: 'c', type: 'float16', dims: [2], labels: ['no', 'yes'] }];

const ALWAYS = {
  name: 'churn',
  platform: 'onnxruntime_onnx',
  backend: 'onnxruntime',
  default_model_filename: 'model.onnx',
};

function answered(content: Readonly<Record<string, unknown>>): ModelConfig {
  const triton = {
    file: 'config.pbtxt',
    content: { ...ALWAYS, ...content },
    maxBatchSize: 8,
    inputs: INPUTS,
    outputs: OUTPUTS,
  };
  const config = toModelConfig(fakeModel({ triton }), 4);
  // As it is on the wire.
  return ModelConfig.decode(ModelConfig.encode(config).finish());
}

test('all that it says', () => {
  const config = answered({
    max_batch_size: 8,
    input: [
      { name: 'a', data_type: 'TYPE_INT32', dims: [16], reshape: { shape: [4, 4] } },
      { name: 'b', data_type: 'TYPE_STRING', dims: [-1], optional: true },
    ],
    output: [{ name: 'c', data_type: 'TYPE_FP16', dims: [2], label_filename: 'labels.txt' }],
    version_policy: { specific: { versions: [1, 3] } },
    dynamic_batching: {
      preferred_batch_size: [4, 8],
      max_queue_delay_microseconds: 100,
      default_queue_policy: { timeout_action: 'DELAY', default_timeout_microseconds: 5, max_queue_size: 7 },
      priority_queue_policy: { 1: { max_queue_size: 2 } },
    },
    instance_group: [{ name: 'mine', count: 2, kind: 'KIND_CPU' }],
    parameters: { intra_op_thread_count: { string_value: '1' } },
    model_warmup: [
      { name: 'zeros', batch_size: 1, inputs: { a: { data_type: 'TYPE_INT32', dims: [16], zero_data: true } } },
    ],
  });
  expect(config).toMatchObject({
    name: 'churn',
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    maxBatchSize: 8,
    input: [
      { name: 'a', dataType: DataType.TYPE_INT32, dims: [16n], reshape: { shape: [4n, 4n] } },
      { name: 'b', dataType: DataType.TYPE_STRING, dims: [-1n], optional: true },
    ],
    output: [{ name: 'c', dataType: DataType.TYPE_FP16, dims: [2n], labelFilename: 'labels.txt' }],
    versionPolicy: { policyChoice: { $case: 'specific', value: { versions: [1n, 3n] } } },
    schedulingChoice: {
      $case: 'dynamicBatching',
      value: {
        preferredBatchSize: [4, 8],
        maxQueueDelayMicroseconds: 100n,
        defaultQueuePolicy: { timeoutAction: 1, defaultTimeoutMicroseconds: 5n, maxQueueSize: 7 },
      },
    },
    instanceGroup: [{ name: 'mine', count: 2, kind: 2 }],
    modelWarmup: [{ name: 'zeros', batchSize: 1 }],
  });
  expect(config.parameters).toEqual(new Map([['intra_op_thread_count', { stringValue: '1' }]]));
});

test('what it leaves out is completed from what is served, and no batching is made up', () => {
  const config = answered({});
  expect(config).toMatchObject({
    maxBatchSize: 8,
    input: [
      { name: 'a', dataType: DataType.TYPE_INT32, dims: [16n], reshape: { shape: [4n, 4n] }, optional: false },
      { name: 'b', dataType: DataType.TYPE_STRING, dims: [-1n], optional: true },
    ],
    output: [{ name: 'c', dataType: DataType.TYPE_FP16, dims: [2n] }],
    versionPolicy: { policyChoice: { $case: 'latest', value: { numVersions: 1 } } },
    instanceGroup: [{ name: 'churn_0', count: 4, kind: 2 }],
  });
  expect(config.schedulingChoice).toBeUndefined();
});

test('an answer does not change what the next one says', () => {
  const triton = { file: 'config.pbtxt', content: ALWAYS, maxBatchSize: 0 };
  const model = fakeModel({ triton });
  const first = toModelConfig(model, 1);
  first.input.length = 0;
  first.instanceGroup.length = 0;
  expect(toModelConfig(model, 1)).toMatchObject({ input: [{ name: 'x' }], instanceGroup: [{ count: 1 }] });
});

test('metadata has the shapes that requests have: with rows in front, without what the graph makes of them', () => {
  const triton = { file: 'config.pbtxt', content: ALWAYS, maxBatchSize: 8, inputs: INPUTS, outputs: OUTPUTS };
  const model = fakeModel({ triton });
  expect(toMetadata(model, [model])).toMatchObject({
    inputs: [
      { name: 'a', datatype: 'INT32', shape: [-1n, 16n] },
      { name: 'b', datatype: 'BYTES', shape: [-1n, -1n] },
    ],
    outputs: [{ name: 'c', datatype: 'FP16', shape: [-1n, 2n] }],
  });
});
