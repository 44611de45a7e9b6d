// What a request wants of its outputs beside their names: their largest elements, or that they lie in shared memory.
import { shown, wrongField } from './infer-error.ts';
import { classCount, type SharedPlace, sharedPlace } from './infer-parameters.ts';
import type { RequestedOutput } from './infer-request.ts';
import type { SharedMemory, SharedPart } from './shared-memory.ts';

/** Of one output that is not to come as it is. */
export type OutputForm = {
  /** The largest elements that are wanted; 0: all, as they are. */
  classes: number;
  shared: { place: SharedPlace; part: SharedPart } | undefined;
};

/**
 * By place in the request; undefined where none has a form of its own. Whoever gets them closes their parts.
 * @throws ScorewireError
 */
export function outputForms(
  outputs: readonly RequestedOutput[],
  memory: SharedMemory,
): readonly (OutputForm | undefined)[] | undefined {
  if (outputs.every(({ parameters }) => parameters.size === 0)) return undefined;
  const forms: (OutputForm | undefined)[] = [];
  try {
    for (const output of outputs) forms.push(formOf(output, memory));
  } catch (error) {
    closeForms(forms);
    throw error;
  }
  return forms.some((form) => form !== undefined) ? forms : undefined;
}

export function closeForms(forms: readonly (OutputForm | undefined)[] | undefined): void {
  for (const form of forms ?? []) form?.shared?.part.close();
}

function formOf({ name, parameters }: RequestedOutput, memory: SharedMemory): OutputForm | undefined {
  if (parameters.size === 0) return undefined;
  const path = `outputs["${shown(name)}"]`;
  const place = sharedPlace('outputs', { name, parameters });
  const classes = classCount(path, parameters);
  if (place === undefined) return classes === 0 ? undefined : { classes, shared: undefined };
  if (classes > 0) {
    throw wrongField(`${path}.parameters`, "output can't set both 'shared_memory_region' and 'classification'");
  }
  return { classes: 0, shared: { place, part: memory.open(place.region, place.offset, place.byteSize) } };
}
