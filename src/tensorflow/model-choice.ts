// Which version of a model a ModelSpec means, in the words that clients of TensorFlow Serving know.
import { ScorewireError } from '../errors.ts';
import type { ModelSpec } from '../gen/tensorflow_serving/apis/model.ts';
import type { ModelRegistry } from '../scoring/model-registry.ts';
import type { ServedModel } from '../scoring/served-model.ts';

/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

/**
 * The version asked for; without one the live one.
 * @throws ScorewireError INVALID_ARGUMENT, NOT_FOUND
 */
export function chosenModel(models: ModelRegistry, spec: ModelSpec | undefined): ServedModel {
  const { name, version } = checkedChoice(spec);
  const model = version === undefined ? models.find(name) : models.find(name, Number(version));
  if (model !== undefined) return model;
  const shown = name.slice(0, MAX_SHOWN);
  const what = version === undefined ? `Latest(${shown})` : `Specific(${shown}, ${version})`;
  const reason = version === undefined ? 'MODEL_NOT_FOUND' : 'VERSION_NOT_FOUND';
  const metadata = { model: shown, ...(version === undefined ? {} : { version: String(version) }) };
  throw new ScorewireError('not_found', reason, `Servable not found for request: ${what}`, { metadata });
}

/** A model's name, and the version that is asked for. @throws ScorewireError INVALID_ARGUMENT */
export function checkedChoice(spec: ModelSpec | undefined): { name: string; version: bigint | undefined } {
  if (spec === undefined) throw wrong('Missing ModelSpec', 'model_spec', 'expected a model, found nothing');
  const { name, versionChoice } = spec;
  if (name === '') {
    throw wrong('ModelSpec has no name specified.', 'model_spec.name', "expected a model's name, found nothing");
  }
  if (versionChoice?.$case === 'versionLabel') {
    const label = versionChoice.value.slice(0, MAX_SHOWN);
    const description = 'expected a version by its number, or none for the live one: versions have no labels here';
    throw wrong(`Unrecognized servable version label: ${label}`, 'model_spec.version_label', description);
  }
  // An Int64Value whose value is not set is 0.
  return { name, version: versionChoice === undefined ? undefined : (versionChoice.value ?? 0n) };
}

function wrong(message: string, field: string, description: string): ScorewireError {
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, { violations: [{ field, description }] });
}

/** The model that answered, and by which of its signatures. */
export function answeredBy({ spec }: ServedModel, signatureName: string): ModelSpec {
  return { name: spec.name, versionChoice: { $case: 'version', value: BigInt(spec.version) }, signatureName };
}
