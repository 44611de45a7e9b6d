// The model repository: <directory>/<model>/<version>/model.onnx, with model.yaml beside the versions where there is one.

import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { SetupError } from '../errors.ts';
import { digestOf, viewOf } from './digest.ts';
import { readLive } from './live-version.ts';
import { MANIFEST_NAME, type Manifest, readManifest } from './manifest.ts';
import type { Golden, ModelSource, ModelSpec } from './model.ts';
import { type OnnxGraph, readGraph } from './onnx-graph.ts';
import { signature } from './signature.ts';
import { isZipMap, withoutZipMap } from './zip-map.ts';

const MODEL_NAME = 'model.onnx';
const VALID_NAME = /^[A-Za-z0-9._-]+$/;
const VERSION = /^[1-9][0-9]{0,14}$/;

export type Repository = {
  /** Every version of every model, by name, then by version. */
  specs: ModelSpec[];
  /** Which version is live, by model, where somebody chose; of all others the highest is. */
  live: Map<string, number>;
  /** What lies in the repository and is not served, one line each. */
  warnings: string[];
};

/** What can't be read; `version` is undefined where that is the folder as a whole. */
export type ModelFailure = { name: string; version: number | undefined; reason: string };

/** What lies in the folder of one model. */
export type ModelFolder = {
  name: string;
  /** Versions that can be served, rising. */
  specs: ModelSpec[];
  /** Which is live, where somebody chose. */
  live: number | undefined;
  warnings: string[];
  failures: ModelFailure[];
};

/** What is taken in the place of what lies on disk. */
export type FolderOverride = { config: string | undefined; files: ReadonlyMap<string, Uint8Array> };

/** Names of the folders under `directory` that may be models. @throws SetupError where it can't be read */
export async function listModels(directory: string): Promise<{ names: string[]; warnings: string[] }> {
  const { folders, files } = await listing(directory, 'models directory');
  const warnings = files
    .filter((name) => name.endsWith('.onnx'))
    .map((file) => {
      const place = join(directory, basename(file, '.onnx'), '1', MODEL_NAME);
      return `${join(directory, file)} is not served: a model lies at ${place}`;
    });
  return { names: folders, warnings };
}

/** Reads the folder of one model; what can't be read is a failure, and nothing is thrown for it. */
export async function readModel(directory: string, name: string, override?: FolderOverride): Promise<ModelFolder> {
  const read: Repository = { specs: [], live: new Map(), warnings: [] };
  const folder = { name, specs: read.specs, warnings: read.warnings, live: undefined };
  try {
    if (override !== undefined) throw new SetupError('a config or files in the place of those on disk are not taken');
    await readInto(name, join(directory, name), read);
    return { ...folder, live: read.live.get(name), failures: [] };
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { ...folder, specs: [], failures: [{ name, version: undefined, reason: error.message }] };
  }
}

/**
 * Reads every model under `directory`. Throws SetupError, which names path, what was found and what is expected, for
 * the first model that can't be served as it lies there.
 */
export async function readRepository(directory: string): Promise<Repository> {
  const repository: Repository = { specs: [], live: new Map(), warnings: [] };
  const { names, warnings } = await listModels(directory);
  repository.warnings.push(...warnings);
  for (const name of names) await readInto(name, join(directory, name), repository);
  if (repository.specs.length > 0) return repository;
  throw new SetupError(`${directory} has no models; a model lies at ${join(directory, 'NAME', '1', MODEL_NAME)}`);
}

async function readInto(name: string, directory: string, into: Repository): Promise<void> {
  if (!VALID_NAME.test(name)) {
    throw new SetupError(
      `${directory}: a model can't be called "${name}"; allowed are letters, digits, "-", "_" and "."`,
    );
  }
  const { folders, files } = await listing(directory, 'model');
  const versions = folders
    .filter((folder) => VERSION.test(folder))
    .map(Number)
    .sort((a, b) => a - b);
  for (const folder of folders.filter((entry) => !VERSION.test(entry))) {
    into.warnings.push(`${join(directory, folder)} is not served: a version is a whole number from 1 on`);
  }
  for (const file of files.filter((entry) => entry.endsWith('.onnx'))) {
    into.warnings.push(
      `${join(directory, file)} is not served: it belongs into a version, such as ${join(directory, '1', MODEL_NAME)}`,
    );
  }
  for (const file of files.filter((entry) => /^(model|manifest|config)\.(ya?ml|json)$/i.test(entry))) {
    if (file !== MANIFEST_NAME)
      into.warnings.push(`${join(directory, file)} is not read: a manifest is called ${MANIFEST_NAME}`);
  }
  if (versions.length === 0) {
    throw new SetupError(`${directory} has no version; expected is ${join(directory, '1', MODEL_NAME)}`);
  }
  const live = await readLive(directory, versions);
  if (live !== undefined) into.live.set(name, live);
  const manifest = await readManifest(join(directory, MANIFEST_NAME));
  for (const version of versions) {
    into.specs.push(await readVersion(name, version, join(directory, String(version)), manifest, into.warnings));
  }
}

async function readVersion(
  name: string,
  version: number,
  directory: string,
  manifest: Manifest,
  warnings: string[],
): Promise<ModelSpec> {
  const path = join(directory, MODEL_NAME);
  const bytes = await readModelFile(path, directory);
  const graph = readGraph(bytes, path);
  const { warnings: leftOut, ...decided } = signature(name, path, graph, manifest);
  warnings.push(...leftOut);
  const dataFiles = await findDataFiles(graph, path, directory);
  return {
    name,
    version,
    directory: resolve(directory),
    file: resolve(path),
    ...(await digestOf(bytes, dataFiles)),
    description: manifest.description,
    producer: graph.producer,
    opset: graph.opset,
    metadata: graph.metadata,
    ...decided,
    maxBatchRows: manifest.maxBatchRows,
    maxDelayMs: manifest.maxDelayMs,
    latencyBudgetMs: manifest.latencyBudgetMs,
    featureView: manifest.featureView,
    storedScores: manifest.storedScores,
    defaultScore: manifest.defaultScore,
    view: viewOf({ ...decided, featureView: manifest.featureView }),
    golden: await findGolden(directory, manifest),
    warmUp: [],
    source: sourceOf(bytes, graph, path, dataFiles.length > 0),
  };
}

/**
 * The bytes that were digested, so that a worker which starts later gets the same model, whatever became of the file.
 * Models with data files are read by onnxruntime itself, unless their graph had to be edited: they may be larger than
 * memory.
 */
function sourceOf(bytes: Uint8Array, graph: OnnxGraph, path: string, hasDataFiles: boolean): ModelSource {
  const edited = graph.nodes.some(isZipMap);
  if (hasDataFiles && !edited) return { kind: 'file', path: resolve(path) };
  const served = edited ? withoutZipMap(bytes) : bytes;
  return { kind: 'bytes', bytes: shared(served), externalDataDir: resolve(dirname(path)) };
}

/** In memory that threads share, so that workers need no copies of their own. */
function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

async function readModelFile(path: string, directory: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unreadable(path, error);
    const { files } = await listing(directory, 'version');
    const others = files.filter((file) => file.endsWith('.onnx'));
    const hint = others.length > 0 ? `; found ${others.join(', ')}, which must be called ${MODEL_NAME}` : '';
    throw new SetupError(`${directory} has no ${MODEL_NAME}${hint}`);
  }
}

/** Absolute paths of the graph's data files, by name. */
async function findDataFiles(graph: OnnxGraph, path: string, directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const location of graph.dataFiles) {
    const inside = location !== '' && !isAbsolute(location) && !normalize(location).startsWith('..');
    if (!inside) throw new SetupError(`${path}: its data file "${location}" must lie beside it, in ${directory}`);
    const file = join(directory, location);
    if (!(await isFile(file))) throw new SetupError(`${file} isn't there; ${path} keeps its weights in it`);
    found.push(resolve(file));
  }
  return found;
}

/** The golden file of this version if it has its own, else that of the model. */
async function findGolden(directory: string, manifest: Manifest): Promise<Golden | undefined> {
  if (manifest.golden === undefined) return undefined;
  const { file, tolerance } = manifest.golden;
  const places = [resolve(directory, file), resolve(dirname(manifest.file), file)];
  for (const place of places) {
    if (await isFile(place)) return { file: place, tolerance };
  }
  throw manifest.mistake(['golden', 'file'], `a file in ${dirname(manifest.file)} or in ${directory}`);
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

/** Names in a directory in order, hidden ones left out, links followed. */
async function listing(directory: string, what: string): Promise<{ folders: string[]; files: string[] }> {
  let entries: Dirent[];
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new SetupError(`${directory} isn't there; expected is a ${what}`);
    if (code === 'ENOTDIR') throw new SetupError(`${directory} is a file; expected is a ${what}`);
    throw unreadable(directory, error);
  }
  const names = entries.map((entry) => entry.name).filter((name) => !name.startsWith('.'));
  const folders: string[] = [];
  const files: string[] = [];
  for (const name of names.sort()) {
    const kind = await stat(join(directory, name)).catch(() => undefined);
    (kind?.isDirectory() ? folders : files).push(name);
  }
  return { folders, files };
}

function unreadable(path: string, error: unknown): SetupError {
  return new SetupError(`${path} can't be read: ${(error as Error).message}`, error);
}
