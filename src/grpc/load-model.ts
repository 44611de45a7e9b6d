// ModelService.LoadModel and UnloadModel: what of the models folder is served.
import { invalidField, toScorewireError } from '../errors.ts';
import {
  type LoadModelRequest,
  type LoadModelResponse,
  ModelServiceService,
  type UnloadModelRequest,
  type UnloadModelResponse,
} from '../gen/scorewire/v1/model.ts';
import type { ModelControl } from '../scoring/model-control.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { AdminGate } from './admin-gate.ts';
import { toModelInfo } from './model-info.ts';
import { type Caller, type UnaryEdge, type UnaryHandler, unary } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';
import { toVersionStatus } from './version-status.ts';

export type LoadModelParts = {
  edge: UnaryEdge;
  gate: AdminGate;
  /** Both throw UNAVAILABLE before they are there. */
  models: () => ModelRegistry;
  control: () => ModelControl;
};

export function loadModelMethods({ edge, gate, models, control }: LoadModelParts): UnaryMethod[] {
  const admit = (caller: Caller): void => gate.check(caller);
  const load: UnaryHandler<LoadModelRequest, LoadModelResponse> = ({ model: name, version }, context, done) => {
    const registry = models();
    checkWhole(version);
    if (registry.has(name)) context.model = name;
    control()
      .load(name)
      .then(() => {
        const model = registry.get(name);
        return {
          model: toModelInfo(model, registry.isLive(model)),
          versions: registry.index(name).map(toVersionStatus),
        };
      })
      .then(
        (response) => done(undefined, response),
        (error: unknown) => done(toScorewireError(error)),
      );
  };
  const unload: UnaryHandler<UnloadModelRequest, UnloadModelResponse> = ({ model: name, version }, context, done) => {
    const registry = models();
    checkWhole(version);
    if (registry.has(name)) context.model = name;
    control()
      .unload(name)
      .then(
        () => done(undefined, { versions: registry.index(name).map(toVersionStatus) }),
        (error: unknown) => done(toScorewireError(error)),
      );
  };
  return [
    unary(edge, ModelServiceService.loadModel, load, admit),
    unary(edge, ModelServiceService.unloadModel, unload, admit),
  ];
}

/** @throws ScorewireError INVALID_ARGUMENT */
function checkWhole(version: bigint | undefined): void {
  if (version === undefined) return;
  throw invalidField('version', `expected none, as models are loaded and unloaded as a whole; found ${version}`);
}
