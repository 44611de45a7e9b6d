// One version of a model: its graph, and what manifest and config make of it.

import { dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { SetupError } from '../errors.ts';
import { digestOf, viewOf } from './digest.ts';
import type { Manifest } from './manifest.ts';
import type { Golden, ModelSource, ModelSpec } from './model.ts';
import type { ModelFiles } from './model-files.ts';
import { type OnnxGraph, readGraph } from './onnx-graph.ts';
import { optionalInputs, withoutValues } from './optional-inputs.ts';
import { signature } from './signature.ts';
import { tensorContract } from './tensor-contract.ts';
import { intraOpThreads, MODEL_NAME, namedContent, queuePolicy, tritonBatching } from './triton-config.ts';
import type { TritonDocument } from './triton-content.ts';
import { tritonTensors } from './triton-tensors.ts';
import { warmUpSamples } from './triton-warm-up.ts';
import { isZipMap, withoutZipMap } from './zip-map.ts';

/** What holds for all versions of a model. */
export type ModelParts = {
  name: string;
  /** The model's folder. */
  folder: string;
  files: ModelFiles;
  manifest: Manifest;
  config: TritonDocument | undefined;
  /** Names of the elements of outputs, by the output's place in the config. */
  labels: ReadonlyMap<number, readonly string[]>;
};

/**
 * Reads one version. `warnings` are what is left out of it, one line each.
 * @throws SetupError that names path, what was found and what is expected, where it can't be served as it lies there
 */
export async function readVersion(
  parts: ModelParts,
  version: number,
): Promise<{ spec: ModelSpec; warnings: readonly string[] }> {
  const { name, folder, files, manifest, config } = parts;
  const directory = join(folder, String(version));
  const { path, bytes } = await readModelFile(directory, config?.content.default_model_filename || MODEL_NAME, files);
  const graph = readGraph(bytes, path);
  const { warnings, ...decided } = signature(name, path, graph, manifest);
  const dataFiles = await findDataFiles(graph, path, files);
  // Without a list of inputs a config leaves them to the graph.
  const listed = config?.content.input?.length ? config.content.input : undefined;
  const optional = optionalInputs(
    graph,
    listed?.map((input) => input.name ?? ''),
    path,
  );
  const spec: ModelSpec = {
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
    optionalInputs: optional,
    maxBatchRows: manifest.maxBatchRows,
    maxDelayMs: manifest.maxDelayMs,
    latencyBudgetMs: manifest.latencyBudgetMs,
    featureView: manifest.featureView,
    storedScores: manifest.storedScores,
    defaultScore: manifest.defaultScore,
    view: viewOf({ ...decided, featureView: manifest.featureView }),
    golden: await findGolden(directory, manifest, files),
    warmUp: [],
    source: sourceOf(bytes, graph, path, dataFiles.length > 0, new Set(optional.map((input) => input.name))),
  };
  if (config === undefined) return { spec, warnings };
  return { spec: await configured(spec, config, parts), warnings };
}

async function configured(
  spec: ModelSpec,
  config: TritonDocument,
  { name, folder, files, manifest, labels }: ModelParts,
): Promise<ModelSpec> {
  const tensors = tritonTensors(
    config,
    { inputs: spec.inputs, optional: spec.optionalInputs, outputs: spec.outputs },
    labels,
  );
  const complete: ModelSpec = {
    ...spec,
    ...tritonBatching(config, tensors.maxBatchSize, manifest, spec.batching),
    queuePolicy: queuePolicy(config),
    intraOpThreads: intraOpThreads(config),
    triton: { file: config.file, content: namedContent(config, name), ...tensors },
  };
  const contract = tensorContract(complete, complete.batching.supported);
  return { ...complete, warmUp: await warmUpSamples(config, contract, folder, files) };
}

/**
 * The bytes that were digested, so that a worker which starts later gets the same model, whatever became of the file.
 * Models with data files are read by onnxruntime itself, unless their graph had to be edited: they may be larger than
 * memory.
 * @param replaceable inputs whose values callers may replace
 */
function sourceOf(
  bytes: Uint8Array,
  graph: OnnxGraph,
  path: string,
  hasDataFiles: boolean,
  replaceable: ReadonlySet<string>,
): ModelSource {
  const hasZipMap = graph.nodes.some(isZipMap);
  if (hasDataFiles && !hasZipMap && replaceable.size === 0) return { kind: 'file', path: resolve(path) };
  const served = withoutValues(hasZipMap ? withoutZipMap(bytes) : bytes, replaceable);
  return { kind: 'bytes', bytes: shared(served), externalDataDir: resolve(dirname(path)) };
}

/** In memory that threads share, so that workers need no copies of their own. */
function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

/** The file of that name, or the model.onnx in a folder of that name, as large models lie with their data files. */
async function readModelFile(
  directory: string,
  name: string,
  files: ModelFiles,
): Promise<{ path: string; bytes: Uint8Array }> {
  const file = join(directory, name);
  for (const path of [file, join(file, MODEL_NAME)]) {
    const bytes = (await files.isFile(path)) ? await files.read(path) : undefined;
    if (bytes !== undefined) return { path, bytes };
  }
  const { folders, files: names } = await files.list(directory, 'version');
  if (folders.includes(name)) throw new SetupError(`${file} has no ${MODEL_NAME}`);
  const others = names.filter((other) => other.endsWith('.onnx'));
  const hint = others.length > 0 ? `; found ${others.join(', ')}, which must be called ${name}` : '';
  throw new SetupError(`${directory} has no ${name}${hint}`);
}

/** Absolute paths of the graph's data files, by name. */
async function findDataFiles(graph: OnnxGraph, path: string, files: ModelFiles): Promise<string[]> {
  const directory = dirname(path);
  const found: string[] = [];
  for (const location of graph.dataFiles) {
    if (!files.onDisk)
      throw new SetupError(`${path}: it keeps weights in "${location}", which a model that comes with a load can't`);
    const inside = location !== '' && !isAbsolute(location) && !normalize(location).startsWith('..');
    if (!inside) throw new SetupError(`${path}: its data file "${location}" must lie beside it, in ${directory}`);
    const file = join(directory, location);
    if (!(await files.isFile(file))) throw new SetupError(`${file} isn't there; ${path} keeps its weights in it`);
    found.push(resolve(file));
  }
  return found;
}

/** The golden file of this version if it has its own, else that of the model. */
async function findGolden(directory: string, manifest: Manifest, files: ModelFiles): Promise<Golden | undefined> {
  if (manifest.golden === undefined) return undefined;
  const { file, tolerance } = manifest.golden;
  const places = [resolve(directory, file), resolve(dirname(manifest.file), file)];
  for (const place of files.onDisk ? places : []) {
    if (await files.isFile(place)) return { file: place, tolerance };
  }
  throw manifest.mistake(['golden', 'file'], `a file in ${dirname(manifest.file)} or in ${directory}`);
}
