// What ModelService says of a version.
import { type FeatureInfo, type ModelInfo, Task, type TensorInfo } from '../gen/scorewire/v1/model.ts';
import type { Feature } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { TensorSpec } from '../tensor.ts';
import { WIRE_TYPES } from './tensor-message.ts';
import { toTimestamp } from './timestamp.ts';

const TASKS = { binary: Task.TASK_BINARY, multiclass: Task.TASK_MULTICLASS, regression: Task.TASK_REGRESSION };

export function toModelInfo(model: ServedModel, live: boolean): ModelInfo {
  const { spec, cost } = model;
  const features = spec.rows.kind === 'features' ? spec.rows.features : [];
  return {
    name: spec.name,
    version: BigInt(spec.version),
    live,
    digest: spec.digest,
    task: TASKS[spec.task],
    inputs: spec.inputs.map(toTensorInfo),
    outputs: spec.outputs.map(toTensorInfo),
    features: features.map(toFeature),
    score:
      spec.score === undefined
        ? undefined
        : {
            output: spec.score.output,
            column: spec.score.column === 'predicted' ? undefined : spec.score.column,
            threshold: spec.task === 'binary' ? spec.threshold : undefined,
          },
    scoreProblem: spec.scoreProblem,
    labels: [...spec.labels],
    segments: spec.segments.map(({ name, from }) => ({ name, from })),
    batching: {
      enabled: model.batchingProblem === '',
      reason: model.batchingProblem,
      maxBatchRows: model.maxRows,
      maxDelayMs: model.maxDelayMs,
      latencyBudgetMs: model.latencyBudgetMs,
      kneeRows: Math.min(cost.kneeRows, model.maxRows),
      costCurve: cost.sizes.map((rows) => ({ rows, runUs: cost.runUs(rows) })),
    },
    loadedAt: toTimestamp(model.loadedAtMs),
    metadata: new Map(spec.metadata),
    producer: spec.producer,
    featureStore: spec.featureView.store ?? '',
    timeZone: features.some(({ source }) => source === 'computed') ? spec.featureView.timeZone : '',
  };
}

function toTensorInfo({ name, type, shape }: TensorSpec): TensorInfo {
  return {
    name,
    dataType: WIRE_TYPES[type],
    shape: (shape ?? []).map((dim) => BigInt(dim ?? -1)),
    shapeKnown: shape !== undefined,
  };
}

function toFeature({ name, dataType, default: value, allowNan, source, maxAgeSeconds }: Feature): FeatureInfo {
  return {
    name,
    dataType: WIRE_TYPES[dataType],
    required: value === undefined,
    allowNan,
    source: source ?? 'request',
    maxAgeSeconds,
  };
}
