// ModelConfig: what Triton's config says of a model, and what holds where there is none.
import {
  ModelInput_Format as Format,
  ModelInstanceGroup_Kind as InstanceKind,
  ModelConfig,
  type ModelInput,
  type ModelInstanceGroup,
  type ModelOutput,
  type ModelVersionPolicy,
} from '../gen/inference/model_config.ts';
import type { ServedTensor } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { configType } from './datatypes.ts';
import { PLATFORM, wireDims } from './model-metadata.ts';

/** @param workers that have the model */
export function toModelConfig(model: ServedModel, workers: number): ModelConfig {
  const { spec, contract } = model;
  const config = ModelConfig.fromJSON(spec.triton?.content ?? {});
  config.name = spec.name;
  if (config.platform === '') config.platform = PLATFORM;
  if (config.backend === '') config.backend = 'onnxruntime';
  if (config.defaultModelFilename === '') config.defaultModelFilename = 'model.onnx';
  config.maxBatchSize = contract.maxRows;
  config.versionPolicy ??= spec.triton === undefined ? ALL_VERSIONS : LATEST_VERSION;
  if (config.input.length === 0) config.input = contract.inputs.map(toInput);
  if (config.output.length === 0) config.output = contract.outputs.map(toOutput);
  if (config.instanceGroup.length === 0) config.instanceGroup = [instances(spec.name, workers)];
  if (spec.triton === undefined && contract.maxRows > 0 && model.batchingProblem === '') {
    config.schedulingChoice = { $case: 'dynamicBatching', value: batchingOf(model) };
  }
  return config;
}

/** What is served where no config says which. */
const ALL_VERSIONS: ModelVersionPolicy = { policyChoice: { $case: 'all', value: {} } };

/** What a config means that doesn't say. */
const LATEST_VERSION: ModelVersionPolicy = { policyChoice: { $case: 'latest', value: { numVersions: 1 } } };

function toInput({ name, type, dims, reshape, optional }: ServedTensor): ModelInput {
  return {
    name,
    dataType: configType(type),
    format: Format.FORMAT_NONE,
    dims: wireDims(dims),
    reshape: reshape === undefined ? undefined : { shape: wireDims(reshape) },
    isShapeTensor: false,
    allowRaggedBatch: false,
    optional: optional ?? false,
    isNonLinearFormatIo: false,
  };
}

function toOutput({ name, type, dims, reshape }: ServedTensor): ModelOutput {
  return {
    name,
    dataType: configType(type),
    dims: wireDims(dims),
    labelFilename: '',
    reshape: reshape === undefined ? undefined : { shape: wireDims(reshape) },
    isShapeTensor: false,
    isNonLinearFormatIo: false,
  };
}

function instances(name: string, count: number): ModelInstanceGroup {
  return {
    name: `${name}_0`,
    kind: InstanceKind.KIND_CPU,
    count,
    rateLimiter: undefined,
    gpus: [],
    secondaryDevices: [],
    profile: [],
    passive: false,
    hostPolicy: '',
  };
}

function batchingOf({ maxRows, maxDelayMs }: ServedModel) {
  return {
    preferredBatchSize: [maxRows],
    maxQueueDelayMicroseconds: BigInt(Math.round(1000 * maxDelayMs)),
    preserveOrdering: false,
    priorityLevels: 0n,
    defaultPriorityLevel: 0n,
    defaultQueuePolicy: undefined,
    priorityQueuePolicy: new Map(),
  };
}
