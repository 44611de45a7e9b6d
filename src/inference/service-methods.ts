// inference.GRPCInferenceService but for inference itself.
import type { Settings } from '../config/settings.ts';
import type { UnaryMethod } from '../grpc/unary-call.ts';
import type { Logger } from '../telemetry/log.ts';
import { type ControlParts, controlMethods } from './control-methods.ts';
import { LogSettings } from './log-settings.ts';
import { type StatusParts, statusMethods } from './status-methods.ts';
import { TraceSettings } from './trace-settings.ts';

export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';

export type ServiceParts = Pick<StatusParts, 'edge' | 'models' | 'serving' | 'workers'> &
  Pick<ControlParts, 'gate' | 'control' | 'regions'> & { settings: Settings; log: Logger };

/** Of those that Triton knows, by its names. */
const EXTENSIONS = [
  'classification',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'model_configuration',
  'parameters',
  'statistics',
  'trace',
  'logging',
];

export function inferenceMethods({ settings, log, ...parts }: ServiceParts): UnaryMethod[] {
  const { tracing } = parts.edge;
  const { inference, limits, telemetry } = settings;
  return [
    ...statusMethods({
      ...parts,
      serverName: inference.serverName,
      strictReadiness: inference.strictReadiness === 'on',
      extensions: inference.clientSharedMemory === 'on' ? [...EXTENSIONS, 'system_shared_memory'] : EXTENSIONS,
    }),
    ...controlMethods({
      ...parts,
      logSettings: new LogSettings(log),
      traceSettings: new TraceSettings(telemetry.traceRatio, (ratio) => tracing.setRatio(ratio)),
      maxLoadBytes: limits.maxInferMessageBytes,
    }),
  ];
}
