// The model repository: a directory with a folder for each model.

import { basename, join } from 'node:path';
import { SetupError } from '../errors.ts';
import type { ModelSpec } from './model.ts';
import { DiskFiles } from './model-files.ts';
import { type ModelFailure, readModel } from './model-folder.ts';
import { MODEL_NAME } from './triton-config.ts';

export type Repository = {
  /** Every version of every model that can be served, by name, then by version. */
  specs: ModelSpec[];
  /** Which version is live, by model, where somebody chose; of all others the highest is. */
  live: Map<string, number>;
  /** What lies in the repository and is not served or heeded, one line each. */
  warnings: string[];
  /** What is to be served and can't be, by name; it keeps nothing else from being served. */
  failures: ModelFailure[];
  /** Every folder, whatever is in it. */
  names: string[];
};

/**
 * Reads every model under `directory`.
 * @throws SetupError where the directory itself can't be read
 */
export async function readRepository(directory: string): Promise<Repository> {
  const repository: Repository = { ...(await listModels(directory)), specs: [], live: new Map(), failures: [] };
  for (const name of repository.names) {
    const { specs, live, warnings, failures } = await readModel(directory, name);
    repository.specs.push(...specs);
    if (live !== undefined) repository.live.set(name, live);
    repository.warnings.push(...warnings);
    repository.failures.push(...failures);
  }
  return repository;
}

/**
 * Every folder under `directory`, and what else lies there that looks like a model.
 * @throws SetupError where the directory can't be read
 */
export async function listModels(directory: string): Promise<{ names: string[]; warnings: string[] }> {
  const { folders, files } = await new DiskFiles().list(directory, 'models directory');
  const warnings = files
    .filter((name) => name.endsWith('.onnx'))
    .map((file) => `${join(directory, file)} is not served: a model lies at ${placeOf(directory, file)}`);
  return { names: folders, warnings };
}

/**
 * For those who can't do without: all models, or the one called `name`.
 * @throws SetupError with a line for each that can't be served as it lies there, or where there is no model at all
 */
export function insist({ specs, failures }: Repository, directory: string, name?: string): void {
  const missed = failures.filter((failure) => name === undefined || failure.name === name);
  if (missed.length > 0) throw new SetupError(missed.map(({ reason }) => reason).join('\n'));
  if (specs.length === 0) throw noModels(directory);
}

/** For a directory without a single model to serve. */
export function noModels(directory: string): SetupError {
  return new SetupError(`${directory} has no models; a model lies at ${placeOf(directory, 'NAME.onnx')}`);
}

function placeOf(directory: string, file: string): string {
  return join(directory, basename(file, '.onnx'), '1', MODEL_NAME);
}
