// inference.GRPCInferenceService, what only asks: is the server there, what does it serve, and how did that go.
import { ScorewireError } from '../errors.ts';
import {
  type ModelConfigRequest,
  type ModelConfigResponse,
  type ModelMetadataRequest,
  type ModelMetadataResponse,
  type ModelReadyRequest,
  type ModelReadyResponse,
  type ModelStatisticsRequest,
  type ModelStatisticsResponse,
  type RepositoryIndexRequest,
  type RepositoryIndexResponse,
  type ServerLiveRequest,
  type ServerLiveResponse,
  type ServerMetadataRequest,
  type ServerMetadataResponse,
  type ServerReadyRequest,
  type ServerReadyResponse,
  GRPCInferenceServiceService as Service,
} from '../gen/inference/inference.ts';
import { type UnaryEdge, type UnaryHandler, unary } from '../grpc/unary.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { VERSION } from '../version.ts';
import { findModel } from './find-model.ts';
import { refuseRepository } from './load-model.ts';
import { toModelConfig } from './model-config.ts';
import { toMetadata } from './model-metadata.ts';
import { toStatistics } from './model-statistics.ts';
import { allModelsReady, isModelReady } from './readiness.ts';
import { shownText } from './refused-setting.ts';

export type StatusParts = {
  edge: UnaryEdge;
  /** Throws UNAVAILABLE before they are there. */
  models: () => ModelRegistry;
  /** Whether the server takes requests. */
  serving: () => boolean;
  /** Workers that have every model. */
  workers: () => number;
  serverName: string;
  /** Whether a model that could not be loaded makes the server not ready. */
  strictReadiness: boolean;
  /** Parts of the protocol that clients look for before they use them. */
  extensions: readonly string[];
};

export function statusMethods(parts: StatusParts): UnaryMethod[] {
  const { edge, serving, workers, strictReadiness, serverName, extensions } = parts;
  const models = () => readyModels(parts.models);

  const live: UnaryHandler<ServerLiveRequest, ServerLiveResponse> = (_request, _context, done) => {
    done(undefined, { live: true });
  };
  const ready: UnaryHandler<ServerReadyRequest, ServerReadyResponse> = (_request, _context, done) => {
    done(undefined, { ready: serving() && (!strictReadiness || allModelsReady(models())) });
  };
  const modelReady: UnaryHandler<ModelReadyRequest, ModelReadyResponse> = ({ name, version }, context, done) => {
    const found = isModelReady(models, name, version);
    if (found) context.model = name;
    done(undefined, { ready: found });
  };
  const serverMetadata: UnaryHandler<ServerMetadataRequest, ServerMetadataResponse> = (_request, _context, done) => {
    done(undefined, { name: serverName, version: VERSION, extensions: [...extensions] });
  };
  const modelMetadata: UnaryHandler<ModelMetadataRequest, ModelMetadataResponse> = (request, context, done) => {
    const { name, version } = request;
    const registry = models();
    const model = findModel(registry, name, version);
    context.model = name;
    done(undefined, toMetadata(model, version === '' ? registry.versions(name) : [model]));
  };
  const modelConfig: UnaryHandler<ModelConfigRequest, ModelConfigResponse> = ({ name, version }, context, done) => {
    const model = findModel(models(), name, version);
    context.model = name;
    done(undefined, { config: toModelConfig(model, workers()) });
  };
  const statistics: UnaryHandler<ModelStatisticsRequest, ModelStatisticsResponse> = (request, context, done) => {
    const found = counted(models(), request);
    if (request.name !== '') context.model = request.name;
    done(undefined, { modelStats: found.map((model) => toStatistics(model, workers())) });
  };
  const index: UnaryHandler<RepositoryIndexRequest, RepositoryIndexResponse> = (request, _context, done) => {
    refuseRepository(request.repositoryName);
    const entries = models().index();
    const wanted = request.ready ? entries.filter(({ state }) => state === 'READY') : entries;
    done(undefined, {
      models: wanted.map(({ name, version, state, reason }) => ({
        name,
        version: version === undefined ? '' : String(version),
        state: state ?? '',
        reason,
      })),
    });
  };
  return [
    unary(edge, Service.serverLive, live),
    unary(edge, Service.serverReady, ready),
    unary(edge, Service.modelReady, modelReady),
    unary(edge, Service.serverMetadata, serverMetadata),
    unary(edge, Service.modelMetadata, modelMetadata),
    unary(edge, Service.modelConfig, modelConfig),
    unary(edge, Service.modelStatistics, statistics),
    unary(edge, Service.repositoryIndex, index),
  ];
}

/** @throws ScorewireError UNAVAILABLE before they are there */
export function readyModels(models: () => ModelRegistry): ModelRegistry {
  try {
    return models();
  } catch (cause) {
    throw new ScorewireError('unavailable', 'NOT_READY', 'Server not ready', { cause });
  }
}

/** Whose statistics are asked for. @throws ScorewireError INVALID_ARGUMENT where there are none */
function counted(models: ModelRegistry, { name, version }: ModelStatisticsRequest): readonly ServedModel[] {
  if (name === '') return models.all();
  try {
    const model = findModel(models, name, version);
    return version === '' ? models.versions(name) : [model];
  } catch (error) {
    if (!(error instanceof ScorewireError) || error.kind === 'invalid_argument') throw error;
    const model = `model '${shownText(name)}'`;
    const message = models.has(name)
      ? `requested model version is not available for ${model}`
      : `requested ${model} is not available`;
    throw new ScorewireError('invalid_argument', error.reason, message, { metadata: error.details.metadata ?? {} });
  }
}
