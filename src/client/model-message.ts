import {
  type ModelInfo as ModelInfoMessage,
  type TensorInfo as TensorInfoMessage,
  taskToJSON,
} from '../gen/scorewire/v1/model.ts';
import { toDate } from './score-message.ts';
import { toDataType } from './tensor-values.ts';
import type { ModelInfo, TensorInfo } from './types.ts';

export function toModelInfo(info: ModelInfoMessage): ModelInfo {
  const task = taskToJSON(info.task).slice('TASK_'.length);
  return {
    name: info.name,
    version: Number(info.version),
    live: info.live,
    digest: info.digest,
    task: task === 'UNSPECIFIED' ? undefined : (task as ModelInfo['task']),
    inputs: info.inputs.map(toTensorInfo),
    outputs: info.outputs.map(toTensorInfo),
    features: info.features.map(({ name, dataType, required, allowNan, source, maxAgeSeconds }) => ({
      name,
      dataType: toDataType(dataType),
      required,
      allowNan,
      source: source as ModelInfo['features'][number]['source'],
      maxAgeSeconds,
    })),
    featureStore: info.featureStore === '' ? undefined : info.featureStore,
    score: info.score,
    scoreProblem: info.scoreProblem === '' ? undefined : info.scoreProblem,
    labels: info.labels,
    segments: info.segments,
    batching: info.batching,
    loadedAt: info.loadedAt === undefined ? undefined : toDate(info.loadedAt),
    metadata: Object.fromEntries(info.metadata),
    producer: info.producer,
  };
}

function toTensorInfo({ name, dataType, shape, shapeKnown }: TensorInfoMessage): TensorInfo {
  return { name, dataType: toDataType(dataType), shape: shapeKnown ? shape.map(Number) : undefined };
}
