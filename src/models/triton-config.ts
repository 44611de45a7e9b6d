// A Triton config for one model: read, checked as far as its folder tells, and what it says of versions and batches.

import { basename } from 'node:path';
import type { Manifest } from './manifest.ts';
import type { Batching, QueuePolicy } from './model.ts';
import { type TritonDocument, tritonFromJson, tritonFromText } from './triton-content.ts';

export const CONFIG_NAME = 'config.pbtxt';
export const MODEL_NAME = 'model.onnx';

const PLATFORM = 'onnxruntime_onnx';
const BACKEND = 'onnxruntime';

/** Triton's own default of `latest`. */
const LATEST_VERSIONS = 1;

/** The only parameter of the backend that is honoured. */
const THREADS = 'intra_op_thread_count';

/**
 * Reads the config of the model in the folder called `folder`.
 * @throws SetupError with a line for each mistake in it, or one for a model that is not for onnxruntime
 */
export function readTritonConfig(text: string, format: 'text' | 'json', file: string, folder: string): TritonDocument {
  const read = format === 'text' ? tritonFromText : tritonFromJson;
  const document = read(text, file, checkBackend);
  const { content, mistake } = document;
  if ((content.name ?? '') !== '' && content.name !== folder) {
    throw mistake(['name'], `"${folder}", the name of its folder, or nothing`);
  }
  const name = content.default_model_filename ?? '';
  if (name !== basename(name) || name.startsWith('.')) {
    throw mistake(['default_model_filename'], 'the name of a file in a version');
  }
  if ((content.max_batch_size ?? 0) < 0) throw mistake(['max_batch_size'], 'a whole number, 0 or more');
  checkPolicy(document);
  const threads = content.parameters?.[THREADS]?.string_value ?? '0';
  if (!/^\d{1,3}$/.test(threads))
    throw mistake(['parameters', THREADS, 'string_value'], 'a number of threads in quotes');
  return document;
}

/** Whose config it is comes first: that of another backend may have what is a mistake here. */
function checkBackend({ content: { platform = '', backend = '' }, mistake }: TritonDocument): void {
  const only = 'only ONNX models are served';
  if (platform !== '' && platform !== PLATFORM) throw mistake(['platform'], `"${PLATFORM}": ${only}`);
  if (backend !== '' && backend !== BACKEND) throw mistake(['backend'], `"${BACKEND}": ${only}`);
}

function checkPolicy({ content: { version_policy: policy = {} }, mistake }: TritonDocument): void {
  const choices = Object.keys(policy);
  if (choices.length > 1) throw mistake(['version_policy'], 'one of latest, all and specific', choices.join(' and '));
  if (policy.latest?.num_versions === 0) {
    throw mistake(['version_policy', 'latest', 'num_versions'], 'a whole number from 1 on');
  }
}

/**
 * Which of a model's versions its config has served, rising; those that it names and that are not there in `missing`.
 * @param versions rising
 */
export function servedVersions(
  { content: { version_policy: policy = {} } }: TritonDocument,
  versions: readonly number[],
): { served: number[]; missing: number[] } {
  if (policy.all !== undefined) return { served: [...versions], missing: [] };
  if (policy.specific === undefined) {
    return { served: versions.slice(-(policy.latest?.num_versions ?? LATEST_VERSIONS)), missing: [] };
  }
  const wanted = policy.specific.versions ?? [];
  return {
    served: versions.filter((version) => wanted.includes(version)),
    missing: wanted.filter((version) => !versions.includes(version)),
  };
}

/** Of what the config leaves out, what follows from being served here. */
export function namedContent(document: TritonDocument, folder: string): Readonly<Record<string, unknown>> {
  return {
    ...document.content,
    name: folder,
    platform: PLATFORM,
    backend: BACKEND,
    default_model_filename: document.content.default_model_filename || MODEL_NAME,
  };
}

/** What a config warns of beside the fields of its table. */
export function parameterWarnings({ content, place }: TritonDocument): string[] {
  return Object.keys(content.parameters ?? {})
    .filter((name) => name !== THREADS)
    .map((name) => `${place(['parameters', name])}: parameters["${name}"] is ignored: only ${THREADS} is read`);
}

/** Threads of a run; undefined: as the settings say. */
export function intraOpThreads({ content }: TritonDocument): number | undefined {
  return Number(content.parameters?.[THREADS]?.string_value ?? 0) || undefined;
}

/** Undefined where the config says nothing of the queue. */
export function queuePolicy({ content: { dynamic_batching: batching } }: TritonDocument): QueuePolicy | undefined {
  const policy = batching?.default_queue_policy;
  return (
    policy && {
      timeoutAction: policy.timeout_action ?? 'REJECT',
      defaultTimeoutUs: policy.default_timeout_microseconds ?? 0,
      allowTimeoutOverride: policy.allow_timeout_override ?? false,
      maxQueueSize: policy.max_queue_size ?? 0,
    }
  );
}

export type TritonBatching = { maxBatchRows?: number; maxDelayMs?: number; batching: Batching };

/**
 * What manifest and config together say of batches; `byGraph` is what the graph says.
 * @param rows the config's max_batch_size, undefined where the graph decides
 * @throws SetupError where they contradict each other
 */
export function tritonBatching(
  { content: { dynamic_batching: dynamic }, place }: TritonDocument,
  rows: number | undefined,
  manifest: Manifest,
  byGraph: Batching,
): TritonBatching {
  const key = (name: string) => ['batching', name];
  const { maxBatchRows, maxDelayMs, batchingEnabled } = manifest;
  const size = `max_batch_size is ${rows} in ${place(['max_batch_size'])}`;
  if (rows !== undefined && maxBatchRows !== undefined && maxBatchRows > Math.max(rows, 1)) {
    throw manifest.mistake(key('max_rows'), `at most ${Math.max(rows, 1)}, as ${size}`);
  }
  if (!batchingEnabled && dynamic !== undefined) {
    throw manifest.mistake(key('enabled'), `true, as dynamic_batching is set in ${place(['dynamic_batching'])}`);
  }
  const delay = ['dynamic_batching', 'max_queue_delay_microseconds'];
  const delayMs = dynamic?.max_queue_delay_microseconds && dynamic.max_queue_delay_microseconds / 1000;
  if (maxDelayMs !== undefined && delayMs !== undefined && maxDelayMs !== delayMs) {
    throw manifest.mistake(
      key('max_delay_ms'),
      `${delayMs}, as ${delay.join('.')} is ${delayMs * 1000} in ${place(delay)}`,
    );
  }
  return {
    maxBatchRows: maxBatchRows ?? (rows || undefined),
    maxDelayMs: maxDelayMs ?? delayMs,
    batching: byGraph.supported && rows === 0 ? { supported: false, reason: size } : byGraph,
  };
}
