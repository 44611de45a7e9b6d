// Which version of a model a request means, in the words that clients of Triton know.
import { type ErrorDetails, type ErrorKind, ScorewireError } from '../errors.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';

const LARGEST = 2n ** 63n - 1n;
/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

/**
 * The version asked for; with '' the live one.
 * @throws ScorewireError INVALID_ARGUMENT for what is no version, NOT_FOUND, UNAVAILABLE for one that is not ready
 */
export function findModel(registry: ModelRegistry, name: string, version: string): ServedModel {
  const number = version === '' ? undefined : versionNumber(version);
  const found = number === undefined ? registry.find(name) : registry.find(name, Number(number));
  return found ?? notFound(registry, name, number);
}

/** @throws ScorewireError INVALID_ARGUMENT */
function versionNumber(version: string): bigint {
  const number = /^\s*[+-]?\d{1,40}$/.test(version) ? BigInt(version.replace('+', '')) : undefined;
  const rule = 'version should be an integral value > 0';
  if (number === undefined || number > LARGEST || number < -LARGEST - 1n) {
    const shown = version.slice(0, MAX_SHOWN);
    const message = `failed to get model version from specified version string '${shown}' (details: stol), ${rule}`;
    throw badVersion(message, version);
  }
  if (number < 0n) throw badVersion(`invalid model version specified '${version}' , ${rule}`, version);
  return number;
}

function badVersion(message: string, version: string): ScorewireError {
  const description = `expected a whole number, found "${version.slice(0, MAX_SHOWN)}"`;
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, {
    violations: [{ field: 'model_version', description }],
  });
}

function notFound(registry: ModelRegistry, name: string, version: bigint | undefined): never {
  const model = name.slice(0, MAX_SHOWN);
  const known = registry.index().filter((entry) => entry.name === name && entry.version !== undefined);
  const refuse = (kind: ErrorKind, reason: string, problem: string): never => {
    const metadata = { model, ...(version === undefined ? {} : { version: String(version) }) };
    const details: ErrorDetails = { metadata };
    throw new ScorewireError(kind, reason, `Request for unknown model: '${model}' ${problem}`, details);
  };
  if (known.length === 0) refuse('not_found', 'MODEL_NOT_FOUND', 'is not found');
  if (version === undefined) refuse('not_found', 'VERSION_NOT_FOUND', 'has no available versions');
  if (known.some((entry) => entry.version === Number(version))) {
    refuse('unavailable', 'VERSION_NOT_READY', `version ${version} is not at ready state`);
  }
  return refuse('not_found', 'VERSION_NOT_FOUND', `version ${version} is not found`);
}
