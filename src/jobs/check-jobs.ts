// What keeps a job from ever running is said before a server listens.
import type { JobDefinition } from '../config/job-definition.ts';
import { checkFormats } from '../duckdb/file-format.ts';
import { SetupError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';

/** @throws SetupError for a model that isn't there, and a format that nobody can tell; `file` is where the jobs are from */
export function checkJobs(jobs: ReadonlyMap<string, JobDefinition>, specs: readonly ModelSpec[], file: string): void {
  for (const [name, definition] of jobs) {
    const { model, version } = definition;
    const versions = specs.filter((spec) => spec.name === model).map((spec) => spec.version);
    if (versions.length === 0) {
      const names = [...new Set(specs.map((spec) => spec.name))].join(', ');
      throw new SetupError(`${file}: ${name}.model: there is no model ${model}; there are ${names}`);
    }
    if (version !== undefined && !versions.includes(version)) {
      throw new SetupError(
        `${file}: ${name}.version: ${model} has no version ${version}; it has ${versions.join(', ')}`,
      );
    }
    try {
      checkFormats(definition);
    } catch (error) {
      throw new SetupError(`${file}: ${name}.${(error as Error).message}`, error);
    }
  }
}
