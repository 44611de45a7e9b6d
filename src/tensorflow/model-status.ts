// tensorflow.serving.ModelService: what has become of a model's versions.
import { ScorewireError } from '../errors.ts';
import { Code } from '../gen/tensorflow/core/protobuf/error_codes.ts';
import {
  type GetModelStatusRequest,
  type GetModelStatusResponse,
  type ModelVersionStatus,
  ModelVersionStatus_State as State,
} from '../gen/tensorflow_serving/apis/get_model_status.ts';
import type { ReloadConfigRequest, ReloadConfigResponse } from '../gen/tensorflow_serving/apis/model_management.ts';
import { ModelServiceService } from '../gen/tensorflow_serving/apis/model_service.ts';
import { type UnaryEdge, type UnaryHandler, unary } from '../grpc/unary.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import { type IndexEntry, type ModelRegistry, UNLOADED, type VersionState } from '../scoring/model-registry.ts';
import { checkedChoice } from './model-choice.ts';

/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

/** `served` gives the models, or throws UNAVAILABLE before they are there. */
export function modelStatusMethods(edge: UnaryEdge, served: () => ModelRegistry): UnaryMethod[] {
  const getStatus: UnaryHandler<GetModelStatusRequest, GetModelStatusResponse> = (request, context, done) => {
    const models = served();
    const { name, version } = checkedChoice(request.modelSpec);
    const versions = models.index(name).filter((entry) => entry.version !== undefined);
    const wanted = versions.filter((entry) => version === undefined || BigInt(entry.version as number) === version);
    if (wanted.length === 0) throw notFound(name, version);
    context.model = name;
    done(undefined, { modelVersionStatus: wanted.map(toStatus) });
  };
  const reloadConfig: UnaryHandler<ReloadConfigRequest, ReloadConfigResponse> = () => {
    throw new ScorewireError(
      'unimplemented',
      'NOT_CONFIGURED_BY_CALLS',
      'this server takes no configuration by calls: put models into the folder that it serves, and load them by ' +
        'RepositoryModelLoad of inference.GRPCInferenceService or LoadModel of scorewire.v1.ModelService',
    );
  };
  return [
    unary(edge, ModelServiceService.getModelStatus, getStatus),
    unary(edge, ModelServiceService.handleReloadConfigRequest, reloadConfig),
  ];
}

function notFound(name: string, version: bigint | undefined): ScorewireError {
  const model = name.slice(0, MAX_SHOWN);
  const message =
    version === undefined
      ? `Could not find any versions of model ${model}`
      : `Could not find version ${version} of model ${model}`;
  const reason = version === undefined ? 'MODEL_NOT_FOUND' : 'VERSION_NOT_FOUND';
  const metadata = { model, ...(version === undefined ? {} : { version: String(version) }) };
  return new ScorewireError('not_found', reason, message, { metadata });
}

const STATES: Readonly<Record<VersionState, State>> = {
  LOADING: State.LOADING,
  READY: State.AVAILABLE,
  UNLOADING: State.UNLOADING,
  UNAVAILABLE: State.END,
};

function toStatus({ version, state, reason }: IndexEntry): ModelVersionStatus {
  const failed = state === 'UNAVAILABLE' && reason !== '' && reason !== UNLOADED;
  return {
    version: BigInt(version as number),
    state: state === undefined ? State.UNKNOWN : STATES[state],
    status: { errorCode: failed ? Code.UNKNOWN : Code.OK, errorMessage: failed ? reason : '' },
  };
}
