// scorewire.v1.ModelService: what is served.
import {
  type GetModelRequest,
  type GetModelResponse,
  type ListModelsRequest,
  type ListModelsResponse,
  type ModelInfo,
  ModelServiceService,
  Task,
  type TensorInfo,
} from '../gen/scorewire/v1/model.ts';
import type { Feature } from '../models/model.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import type { TensorSpec } from '../tensor.ts';
import { WIRE_TYPES } from './tensor-message.ts';
import { toTimestamp } from './timestamp.ts';
import { type UnaryEdge, type UnaryHandler, unary } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';

const TASKS = { binary: Task.TASK_BINARY, multiclass: Task.TASK_MULTICLASS, regression: Task.TASK_REGRESSION };

/** `served` gives the models, or throws UNAVAILABLE before they are there. */
export function modelMethods(edge: UnaryEdge, served: () => ModelRegistry): UnaryMethod[] {
  const listModels: UnaryHandler<ListModelsRequest, ListModelsResponse> = (_request, _context, done) => {
    const models = served();
    done(undefined, { models: models.all().map((model) => toInfo(model, models.isLive(model))) });
  };
  const getModel: UnaryHandler<GetModelRequest, GetModelResponse> = (request, context, done) => {
    const models = served();
    const model = models.get(request.model, request.version);
    context.model = request.model;
    done(undefined, { model: toInfo(model, models.isLive(model)) });
  };
  return [unary(edge, ModelServiceService.listModels, listModels), unary(edge, ModelServiceService.getModel, getModel)];
}

function toInfo(model: ServedModel, live: boolean): ModelInfo {
  const { spec, cost } = model;
  return {
    name: spec.name,
    version: BigInt(spec.version),
    live,
    digest: spec.digest,
    task: TASKS[spec.task],
    inputs: spec.inputs.map(toTensorInfo),
    outputs: spec.outputs.map(toTensorInfo),
    features: spec.rows.kind === 'features' ? spec.rows.features.map(toFeature) : [],
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

function toFeature({ name, dataType, default: value, allowNan }: Feature) {
  return { name, dataType: WIRE_TYPES[dataType], required: value === undefined, allowNan };
}
