// What keeps a job from ever running is said before a server listens.
import type { JobDefinition } from '../config/job-definition.ts';
import { checkFormats } from '../duckdb/file-format.ts';
import { SetupError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';

/**
 * @param file where the jobs are from
 * @param mayCome whether a model that isn't there may be loaded later
 * @returns warnings of jobs that could not run now
 * @throws SetupError for a model that isn't there and won't come, and a format that nobody can tell
 */
export function checkJobs(
  jobs: ReadonlyMap<string, JobDefinition>,
  specs: readonly ModelSpec[],
  file: string,
  mayCome: (model: string) => boolean,
): string[] {
  const warnings: string[] = [];
  const missing = (model: string, problem: string): void => {
    if (!mayCome(model)) throw new SetupError(problem);
    warnings.push(`${problem}; the job can't run before that is loaded`);
  };
  for (const [name, definition] of jobs) {
    const { model, version } = definition;
    const versions = specs.filter((spec) => spec.name === model).map((spec) => spec.version);
    if (versions.length === 0) {
      const names = [...new Set(specs.map((spec) => spec.name))].join(', ');
      missing(model, `${file}: ${name}.model: there is no model ${model}; there are ${names || 'none'}`);
    } else if (version !== undefined && !versions.includes(version)) {
      missing(model, `${file}: ${name}.version: ${model} has no version ${version}; it has ${versions.join(', ')}`);
    }
    try {
      checkFormats(definition);
    } catch (error) {
      throw new SetupError(`${file}: ${name}.${(error as Error).message}`, error);
    }
  }
  return warnings;
}
