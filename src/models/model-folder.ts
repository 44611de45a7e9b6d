// One model of the repository: <model>/<version>/model.onnx, with model.yaml and config.pbtxt beside the versions where there are any.

import { join } from 'node:path';
import { SetupError } from '../errors.ts';
import { readLive } from './live-version.ts';
import { emptyManifest, MANIFEST_NAME, type Manifest, parseManifest } from './manifest.ts';
import type { ModelSpec } from './model.ts';
import { DiskFiles, GivenFiles, isInside, type ModelFiles, type ModelOverride } from './model-files.ts';
import { type ModelParts, readVersion } from './model-version.ts';
import { CONFIG_NAME, MODEL_NAME, parameterWarnings, readTritonConfig, servedVersions } from './triton-config.ts';
import type { TritonDocument } from './triton-content.ts';

const VALID_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;
const VERSION = /^[1-9][0-9]{0,14}$/;

/** Folders beside the versions that a config speaks of, or Triton knows. */
const CONFIG_FOLDERS = ['warmup', 'configs', 'initial_state'];

/** A model, or a version of one, that can't be served as it lies there. */
export type ModelFailure = {
  name: string;
  /** Undefined: none of its versions could be looked at. */
  version: number | undefined;
  /** One line that names file and field, what was found and what is allowed. */
  reason: string;
};

export type ModelFolder = {
  name: string;
  /** Whether there is such a folder. */
  found: boolean;
  /** The versions that are to be served and can be, rising. */
  specs: ModelSpec[];
  /** The live version, where somebody chose. */
  live: number | undefined;
  /** What lies in the folder and is not served or heeded, one line each. */
  warnings: string[];
  failures: ModelFailure[];
};

/**
 * Reads the model called `name` under `directory`, all of its versions that are to be served. Never rejects: what can't be
 * read is a failure.
 */
export async function readModel(directory: string, name: string, override?: ModelOverride): Promise<ModelFolder> {
  const folder = join(directory, name);
  const model: ModelFolder = { name, found: true, specs: [], live: undefined, warnings: [], failures: [] };
  const fail = (version: number | undefined, error: unknown): void => {
    const reason = error instanceof SetupError ? error.message : `${folder}: ${error}`;
    model.failures.push({ name, version, reason: reason.replaceAll('\n', '; ') });
  };
  try {
    if (!VALID_NAME.test(name)) {
      model.found = false;
      model.found = (await new DiskFiles().list(directory, 'models directory')).folders.includes(name);
      throw new SetupError(
        `${folder}: a model can't be called "${name.slice(0, 100)}"; allowed are letters, digits, "-", "_" and "."`,
      );
    }
    const files = filesOf(folder, override);
    const { folders, files: names } = await files.list(folder, 'model').catch((error: unknown) => {
      model.found = false;
      throw error;
    });
    const config = await configOf(folder, name, files, override);
    warnOfLost(folder, folders, names, config !== undefined, model.warnings);
    const versions = folders
      .filter((one) => VERSION.test(one))
      .map(Number)
      .sort((a, b) => a - b);
    model.live = files.onDisk ? await readLive(folder, versions) : undefined;
    const wanted = wantedVersions(folder, versions, model.live, config, fail);
    if (config !== undefined) model.warnings.push(...config.warnings, ...parameterWarnings(config));
    const manifest = await manifestOf(join(folder, MANIFEST_NAME), files);
    const labels = await labelsOf(config, folder, files);
    const parts: ModelParts = { name, folder, files, manifest, config, labels };
    for (const version of wanted) {
      try {
        const { spec, warnings } = await readVersion(parts, version);
        model.specs.push(spec);
        model.warnings.push(...warnings);
      } catch (error) {
        fail(version, error);
      }
    }
  } catch (error) {
    fail(undefined, error);
  }
  return model;
}

function filesOf(folder: string, override: ModelOverride | undefined): ModelFiles {
  return override === undefined || override.files.size === 0 ? new DiskFiles() : new GivenFiles(folder, override.files);
}

/** By the version policy; the live one too, as somebody chose it. */
function wantedVersions(
  folder: string,
  versions: readonly number[],
  live: number | undefined,
  config: TritonDocument | undefined,
  fail: (version: number, error: SetupError) => void,
): number[] {
  if (versions.length === 0) {
    throw new SetupError(`${folder} has no version; expected is ${join(folder, '1', MODEL_NAME)}`);
  }
  if (config === undefined) return [...versions];
  const { served, missing } = servedVersions(config, versions);
  const path = ['version_policy', 'specific', 'versions'];
  const there = `versions that are there: ${versions.join(', ')}`;
  for (const version of missing) fail(version, config.mistake(path, there, String(version)));
  if (served.length === 0 && missing.length === 0) throw config.mistake(path, there);
  return versions.filter((version) => version === live || served.includes(version));
}

async function configOf(
  folder: string,
  name: string,
  files: ModelFiles,
  override: ModelOverride | undefined,
): Promise<TritonDocument | undefined> {
  if (override?.config !== undefined) {
    return readTritonConfig(override.config, 'json', `the config given for ${name}`, name);
  }
  const file = join(folder, CONFIG_NAME);
  const bytes = await files.read(file);
  return bytes && readTritonConfig(Buffer.from(bytes).toString(), 'text', file, name);
}

async function manifestOf(file: string, files: ModelFiles): Promise<Manifest> {
  const bytes = await files.read(file);
  return bytes === undefined ? emptyManifest(file) : parseManifest(Buffer.from(bytes).toString(), file);
}

/** One a line, in the order of the elements. */
async function labelsOf(
  config: TritonDocument | undefined,
  folder: string,
  files: ModelFiles,
): Promise<Map<number, readonly string[]>> {
  const labels = new Map<number, readonly string[]>();
  for (const [index, { label_filename: name = '' }] of (config?.content.output ?? []).entries()) {
    if (name === '') continue;
    const path = join(folder, name);
    const bytes = isInside(name) && (await files.isFile(path)) ? await files.read(path) : undefined;
    if (bytes === undefined) throw config?.mistake(['output', index, 'label_filename'], `a file in ${folder}`);
    // Without the mark that some editors begin a file with.
    const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
    if (lines.at(-1) === '') lines.pop();
    labels.set(index, lines);
  }
  return labels;
}

function warnOfLost(
  folder: string,
  folders: readonly string[],
  files: readonly string[],
  hasConfig: boolean,
  warnings: string[],
): void {
  for (const name of folders) {
    if (VERSION.test(name) || (hasConfig && CONFIG_FOLDERS.includes(name))) continue;
    warnings.push(`${join(folder, name)} is not served: a version is a whole number from 1 on`);
  }
  for (const file of files.filter((entry) => entry.endsWith('.onnx'))) {
    warnings.push(
      `${join(folder, file)} is not served: it belongs into a version, such as ${join(folder, '1', MODEL_NAME)}`,
    );
  }
  for (const file of files.filter((entry) => /^(model|manifest|config)\.(ya?ml|json)$/i.test(entry))) {
    if (file !== MANIFEST_NAME)
      warnings.push(`${join(folder, file)} is not read: a manifest is called ${MANIFEST_NAME}`);
  }
}
