// scorewire.v1.ModelService: what is served.
import {
  type GetModelRequest,
  type GetModelResponse,
  type ListModelsRequest,
  type ListModelsResponse,
  ModelServiceService,
} from '../gen/scorewire/v1/model.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { toModelInfo } from './model-info.ts';
import { type UnaryEdge, type UnaryHandler, unary } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';
import { toVersionStatus } from './version-status.ts';

/** `served` gives the models, or throws UNAVAILABLE before they are there. */
export function modelMethods(edge: UnaryEdge, served: () => ModelRegistry): UnaryMethod[] {
  const listModels: UnaryHandler<ListModelsRequest, ListModelsResponse> = (_request, _context, done) => {
    const models = served();
    done(undefined, {
      models: models.all().map((model) => toModelInfo(model, models.isLive(model))),
      versions: models.index().map(toVersionStatus),
    });
  };
  const getModel: UnaryHandler<GetModelRequest, GetModelResponse> = (request, context, done) => {
    const models = served();
    const model = models.get(request.model, request.version);
    context.model = request.model;
    done(undefined, { model: toModelInfo(model, models.isLive(model)) });
  };
  return [unary(edge, ModelServiceService.listModels, listModels), unary(edge, ModelServiceService.getModel, getModel)];
}
