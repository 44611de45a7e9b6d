// What the commands about features share: the model, and its pipeline as a server has it.
import { InvalidArgumentError } from 'commander';
import type { Settings } from '../config/settings.ts';
import { featureLayout } from '../duckdb/input-columns.ts';
import { SetupError } from '../errors.ts';
import type { FeaturePipeline } from '../features/feature-pipeline.ts';
import { FeatureStores } from '../features/feature-stores.ts';
import { featureSources } from '../jobs/feature-sources.ts';
import type { FeatureLayout, ModelSpec } from '../models/model.ts';
import { insist, readRepository } from '../models/repository.ts';
import type { Logger } from '../telemetry/log.ts';

/** How long a Redis may take to be there. */
const CONNECT_MS = 5_000;

export type ModelFeatures = {
  spec: ModelSpec;
  layout: FeatureLayout;
  pipeline: FeaturePipeline;
  close(): Promise<void>;
};

/**
 * The pipeline of one version of a model.
 * @param model undefined: the only one
 * @param version undefined: the highest
 */
export async function modelFeatures(
  settings: Settings,
  model: string | undefined,
  version: number | undefined,
  log: Logger,
): Promise<ModelFeatures> {
  const { dir } = settings.models;
  const repository = await readRepository(dir);
  const { specs, warnings } = repository;
  for (const warning of warnings) log.warn(warning);
  insist(repository, dir, model);
  const spec = pick(specs, dir, model, version);
  const stores = await FeatureStores.open({
    ...featureSources(settings),
    specs: [spec],
    reloadMs: settings.features.reloadSeconds * 1000,
    log,
  });
  await stores.whenConnected(CONNECT_MS);
  return {
    spec,
    layout: featureLayout(spec.name, spec.rows),
    pipeline: stores.pipeline(spec),
    close: () => stores.close(),
  };
}

function pick(
  specs: readonly ModelSpec[],
  dir: string,
  model: string | undefined,
  version: number | undefined,
): ModelSpec {
  const names = [...new Set(specs.map(({ name }) => name))];
  const wanted = model ?? (names.length === 1 ? names[0] : undefined);
  const said = names.join(', ') || 'none';
  if (wanted === undefined) throw new SetupError(`--model: say which; ${dir} has ${said}`);
  const versions = specs.filter(({ name }) => name === wanted).sort((a, b) => b.version - a.version);
  if (versions.length === 0) throw new SetupError(`--model: ${dir} has no model ${wanted}; it has ${said}`);
  const found = version === undefined ? versions[0] : versions.find((spec) => spec.version === version);
  if (found !== undefined) return found;
  const others = versions.map((spec) => spec.version).join(', ');
  throw new SetupError(`--model-version: ${wanted} has no version ${version}; it has ${others}`);
}

/** Milliseconds since 1970. */
export function time(text: string): number {
  const ms = Date.parse(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(ms)) return ms;
  throw new InvalidArgumentError('expected a time such as 2026-07-03T09:00:00Z');
}

export function versionNumber(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 on');
}
