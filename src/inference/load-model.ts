// RepositoryModelLoad and RepositoryModelUnload: what is asked, checked, and what became of it in Triton's words.
import { type ErrorKind, ScorewireError } from '../errors.ts';
import type { ModelRepositoryParameter } from '../gen/inference/inference.ts';
import type { ModelOverride } from '../models/model-files.ts';
import type { ModelControl } from '../scoring/model-control.ts';
import { shownText } from './refused-setting.ts';

/** Of both: `repository_name` is what KServe's clients have the model's name in. */
export type ControlRequest = {
  repositoryName: string;
  modelName: string;
  parameters: ReadonlyMap<string, ModelRepositoryParameter>;
};

const FILE = 'file:';

/**
 * @returns the model's name
 * @throws ScorewireError INVALID_ARGUMENT, UNIMPLEMENTED for a repository, UNAVAILABLE where callers may not load, INTERNAL
 * where it could not be loaded
 */
export async function loadModel(control: ModelControl | undefined, request: ControlRequest): Promise<string> {
  const name = nameOf(request);
  const override = overrideOf(request.parameters);
  const explicit = explicitControl(control);
  const trimmed = name.trim();
  if (trimmed === '') {
    throw failure(
      'invalid_argument',
      'INVALID_NAME',
      'Model name cannot be empty. Please enter a valid name to deploy.',
    );
  }
  if (trimmed.includes('/') || trimmed === '..') {
    const message = `invalid model name '${shownText(name)}', model name must not contain path traversal characters`;
    throw failure('invalid_argument', 'INVALID_NAME', message);
  }
  const failed = (problem: string, cause?: unknown) =>
    failure('internal', 'LOAD_FAILED', `failed to load '${shownText(name)}', ${problem}`, cause);
  // As Triton: files alone don't say what they are.
  if (override !== undefined && override.config === undefined)
    throw failed(`${UNREADABLE}: files need a config beside`);
  try {
    await explicit.load(name, override);
  } catch (error) {
    if (!(error instanceof ScorewireError)) throw error;
    if (error.reason === 'MODEL_NOT_FOUND') throw failed(UNREADABLE, error);
    if (error.reason !== 'LOAD_FAILED') throw inTritonsWords(error);
    throw failed(`${override === undefined ? 'no version is available' : UNREADABLE}: ${error.message}`, error);
  }
  return name;
}

const UNREADABLE = 'failed to poll from model repository';

/**
 * A model that there is not is none.
 * @returns the model's name
 * @throws ScorewireError INVALID_ARGUMENT, UNIMPLEMENTED for a repository, UNAVAILABLE where callers may not unload
 */
export async function unloadModel(control: ModelControl | undefined, request: ControlRequest): Promise<string> {
  const name = nameOf(request);
  const dependents = request.parameters.get('unload_dependents');
  // Without ensembles no model depends on another one.
  if (dependents !== undefined && dependents.parameterChoice?.$case !== 'boolParam') {
    const message = "invalid value type for 'unload_dependents' parameter, expected bool_param.";
    throw badParameter('unload_dependents', message);
  }
  const explicit = explicitControl(control);
  try {
    await explicit.unload(name);
  } catch (error) {
    throw error instanceof ScorewireError ? inTritonsWords(error) : error;
  }
  return name;
}

/** Whether the request is in KServe's form, which has the model's name in the place of the repository's. */
export function isKserve({ repositoryName, modelName }: ControlRequest): boolean {
  return repositoryName !== '' && modelName === '';
}

function nameOf(request: ControlRequest): string {
  if (isKserve(request)) return request.repositoryName;
  refuseRepository(request.repositoryName);
  return request.modelName;
}

/** There is one repository, which has no name. @throws ScorewireError UNIMPLEMENTED */
export function refuseRepository(name: string): void {
  if (name === '') return;
  throw failure('unimplemented', 'ONE_REPOSITORY', "'repository_name' specification is not supported");
}

/** Undefined where the model is loaded as it lies on disk. */
function overrideOf(parameters: ControlRequest['parameters']): ModelOverride | undefined {
  let config: string | undefined;
  const files = new Map<string, Uint8Array>();
  for (const [name, { parameterChoice: choice }] of parameters) {
    const wrongType = (expected: string) =>
      badParameter(name, `invalid value type for load parameter '${shownText(name)}', expected ${expected}.`);
    if (name === 'config') {
      if (choice?.$case !== 'stringParam') throw wrongType('string_param');
      config = choice.value;
    } else if (name.startsWith(FILE)) {
      if (choice?.$case !== 'bytesParam') throw wrongType('bytes_param');
      // The message's own bytes are not ours to keep.
      files.set(checkedPath(name), Uint8Array.from(choice.value));
    } else {
      throw badParameter(name, `unrecognized load parameter '${shownText(name)}'.`);
    }
  }
  return config === undefined && files.size === 0 ? undefined : { config, files };
}

/** Of a file in the model's folder. @throws ScorewireError */
function checkedPath(parameter: string): string {
  const path = parameter.slice(FILE.length);
  const parts = path.split('/');
  if (parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\\0]/.test(part))) return path;
  const shown = shownText(parameter);
  throw badParameter(
    parameter,
    `load parameter '${shown}' must be a path in the model's folder, such as file:1/model.onnx`,
  );
}

function explicitControl(control: ModelControl | undefined): ModelControl {
  if (control?.mode === 'explicit') return control;
  throw notExplicit();
}

function inTritonsWords(error: ScorewireError): ScorewireError {
  return error.reason === 'CONTROL_MODE' ? notExplicit() : error;
}

function notExplicit(): ScorewireError {
  const message = 'explicit model load / unload is not allowed if polling is enabled';
  return failure('unavailable', 'CONTROL_MODE', message);
}

function badParameter(name: string, message: string): ScorewireError {
  const violations = [{ field: `parameters["${shownText(name)}"]`, description: message }];
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, { violations });
}

function failure(kind: ErrorKind, reason: string, message: string, cause?: unknown): ScorewireError {
  return new ScorewireError(kind, reason, message, { cause });
}
