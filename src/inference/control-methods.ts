// inference.GRPCInferenceService, what changes the server: models loaded and unloaded, shared memory, trace and log settings.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { ScorewireError, toScorewireError } from '../errors.ts';
import {
  type CudaSharedMemoryRegisterRequest,
  type CudaSharedMemoryRegisterResponse,
  type CudaSharedMemoryStatusRequest,
  type CudaSharedMemoryStatusResponse,
  type CudaSharedMemoryUnregisterRequest,
  type CudaSharedMemoryUnregisterResponse,
  type LogSettingsRequest,
  type LogSettingsResponse,
  GRPCInferenceServiceService as Service,
  type SystemSharedMemoryRegisterRequest,
  type SystemSharedMemoryRegisterResponse,
  type SystemSharedMemoryStatusRequest,
  type SystemSharedMemoryStatusResponse,
  type SystemSharedMemoryUnregisterRequest,
  type SystemSharedMemoryUnregisterResponse,
  type TraceSettingRequest,
  type TraceSettingResponse,
} from '../gen/inference/inference.ts';
import type { AdminGate } from '../grpc/admin-gate.ts';
import { type Caller, type CallerHandler, type UnaryEdge, type UnaryHandler, unary } from '../grpc/unary.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import type { ModelControl } from '../scoring/model-control.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import { type ControlRequest, isKserve, loadModel, unloadModel } from './load-model.ts';
import type { LogSettings } from './log-settings.ts';
import type { MemoryRegions } from './memory-regions.ts';
import { shownText } from './refused-setting.ts';
import { readyModels } from './status-methods.ts';
import type { TraceSettings } from './trace-settings.ts';

export type ControlParts = {
  edge: UnaryEdge;
  gate: AdminGate;
  /** Throws UNAVAILABLE before they are there. */
  models: () => ModelRegistry;
  /** Undefined: nothing is loaded or unloaded after the start. */
  control: () => ModelControl | undefined;
  regions: MemoryRegions;
  logSettings: LogSettings;
  traceSettings: TraceSettings;
  /** Of a load that brings the model's files along. */
  maxLoadBytes: number;
};

export function controlMethods(parts: ControlParts): UnaryMethod[] {
  return [...repositoryMethods(parts), ...memoryMethods(parts), ...settingMethods(parts)];
}

function repositoryMethods({ edge, gate, models, control, maxLoadBytes }: ControlParts): UnaryMethod[] {
  const admit = (caller: Caller): void => gate.check(caller);
  const handler =
    (change: typeof loadModel): UnaryHandler<ControlRequest, ControlAnswer> =>
    (request, context, done) => {
      const registry = readyModels(models);
      change(control(), request).then(
        (name) => {
          if (registry.has(name)) context.model = name;
          done(undefined, { kserveModel: isKserve(request) ? name : undefined });
        },
        (error: unknown) => done(toScorewireError(error)),
      );
    };
  return [
    {
      ...unary(edge, answeringBoth(Service.repositoryModelLoad), handler(loadModel), admit),
      maxMessageBytes: maxLoadBytes,
      tooLargeHint: () => "put the model's files into its folder, or raise limits.max_infer_message_bytes",
    },
    unary(edge, answeringBoth(Service.repositoryModelUnload), handler(unloadModel), admit),
  ];
}

/** `kserveModel` is the model's name where the caller's answer has fields, which in Triton's is empty. */
type ControlAnswer = { kserveModel: string | undefined };

type ControlMethod = typeof Service.repositoryModelLoad | typeof Service.repositoryModelUnload;

/** `method` with answers that clients of Triton and of KServe read. */
function answeringBoth(method: ControlMethod) {
  return {
    ...method,
    responseSerialize: ({ kserveModel }: ControlAnswer): Buffer => {
      const writer = new BinaryWriter();
      // model_name, and isLoaded or isUnloaded.
      if (kserveModel !== undefined) writer.uint32(10).string(kserveModel).uint32(16).bool(true);
      return Buffer.from(writer.finish());
    },
    responseDeserialize: (): ControlAnswer => ({ kserveModel: undefined }),
  };
}

function memoryMethods({ edge, gate, regions }: ControlParts): UnaryMethod[] {
  const admit = (caller: Caller): void => gate.check(caller);
  const status: UnaryHandler<SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse> = (
    { name },
    _context,
    done,
  ) => {
    done(undefined, { regions: new Map(regions.status(name).map((region) => [region.name, region])) });
  };
  const register: UnaryHandler<SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse> = (
    request,
    _context,
    done,
  ) => {
    regions.register(request);
    done(undefined, {});
  };
  // Clients ask for this before anything else, from wherever they are: what is not there can be let go by everybody.
  const unregister: CallerHandler<SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse> = (
    { name },
    _context,
    done,
    caller,
  ) => {
    if (regions.has(name)) gate.check(caller);
    regions.unregister(name);
    done(undefined, {});
  };
  // Clients ask for these before anything else, on a machine without a GPU too.
  const cudaStatus: UnaryHandler<CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse> = (
    { name },
    _context,
    done,
  ) => {
    if (name === '') {
      done(undefined, { regions: new Map() });
      return;
    }
    const message = `Unable to find cuda shared memory region: '${shownText(name)}'`;
    throw new ScorewireError('not_found', 'REGION_NOT_FOUND', message);
  };
  const cudaRegister: UnaryHandler<CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse> = ({ name }) => {
    const message = `failed to register CUDA shared memory region: '${shownText(name)}', GPUs not supported`;
    throw new ScorewireError('invalid_argument', 'NO_GPU', message);
  };
  const cudaUnregister: UnaryHandler<CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse> = (
    _request,
    _context,
    done,
  ) => {
    done(undefined, {});
  };
  return [
    unary(edge, Service.systemSharedMemoryStatus, status),
    unary(edge, Service.systemSharedMemoryRegister, register, admit),
    unary(edge, Service.systemSharedMemoryUnregister, unregister),
    unary(edge, Service.cudaSharedMemoryStatus, cudaStatus),
    unary(edge, Service.cudaSharedMemoryRegister, cudaRegister),
    unary(edge, Service.cudaSharedMemoryUnregister, cudaUnregister),
  ];
}

/** Everybody may ask; changes are for those that the gate lets in. */
function settingMethods({ edge, gate, models, logSettings, traceSettings }: ControlParts): UnaryMethod[] {
  const trace: CallerHandler<TraceSettingRequest, TraceSettingResponse> = (request, context, done, caller) => {
    const { modelName, settings } = request;
    if (modelName !== '') {
      if (readyModels(models).find(modelName) === undefined) {
        const message = `Request for unknown model : ${shownText(modelName)}`;
        throw new ScorewireError('invalid_argument', 'MODEL_NOT_FOUND', message);
      }
      context.model = modelName;
    }
    if (settings.size > 0) {
      gate.check(caller);
      traceSettings.update(modelName, settings);
    }
    done(undefined, traceSettings.read(modelName));
  };
  const log: CallerHandler<LogSettingsRequest, LogSettingsResponse> = ({ settings }, _context, done, caller) => {
    if (settings.size > 0) {
      gate.check(caller);
      logSettings.update(settings);
    }
    done(undefined, logSettings.read());
  };
  return [unary(edge, Service.traceSetting, trace), unary(edge, Service.logSettings, log)];
}
