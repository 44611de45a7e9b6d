// The folders of models as a server finds them when it starts.
import type { Settings } from '../config/settings.ts';
import type { Engine } from '../engine.ts';
import { SetupError } from '../errors.ts';
import { folderStates } from '../models/folder-states.ts';
import type { ModelSpec } from '../models/model.ts';
import { type ModelFailure, readModel } from '../models/model-folder.ts';
import { listModels, noModels } from '../models/repository.ts';
import type { Logger } from '../telemetry/log.ts';
import { RepositoryControl } from './repository-control.ts';
import { RepositoryWatch } from './repository-watch.ts';

export type StartRepository = {
  /** Versions to serve from the start. */
  specs: readonly ModelSpec[];
  /** Which is live, by model, where somebody chose. */
  live: ReadonlyMap<string, number>;
  failures: readonly ModelFailure[];
  /** All folders, those too that are not loaded. */
  names: readonly string[];
  /** Undefined: what lies there is not looked at again. */
  watch: RepositoryWatch | undefined;
};

/** @throws SetupError where the folder can't be read, or has nothing to serve and nothing can come */
export async function readRepositoryAtStart({ models }: Settings, log: Logger): Promise<StartRepository> {
  const { names, warnings } = await listModels(models.dir);
  // Before anything is read, so that no change after that is missed.
  const watch =
    models.control === 'none'
      ? undefined
      : await RepositoryWatch.of({
          directory: models.dir,
          everyMs: 1000 * models.pollSeconds,
          look: folderStates,
          log,
        });
  const specs: ModelSpec[] = [];
  const live = new Map<string, number>();
  const failures: ModelFailure[] = [];
  for (const name of namesToLoad(models, names)) {
    const folder = await readModel(models.dir, name);
    specs.push(...folder.specs);
    failures.push(...folder.failures);
    warnings.push(...folder.warnings);
    if (folder.live !== undefined) live.set(name, folder.live);
  }
  for (const warning of warnings) log.warn(warning);
  if (models.control === 'none' && specs.length === 0) {
    if (failures.length === 0) throw noModels(models.dir);
    throw new SetupError(failures.map(({ reason }) => reason).join('\n'));
  }
  for (const { name, version, reason } of failures) {
    log.error({ model: name, version, reason }, 'a model could not be loaded');
  }
  return { specs, live, failures, names, watch };
}

/** @throws SetupError for one that isn't there */
function namesToLoad({ dir, control, loadAtStart }: Settings['models'], names: readonly string[]): readonly string[] {
  if (control !== 'explicit' || loadAtStart === 'all') return names;
  if (loadAtStart === 'none') return [];
  const wanted = loadAtStart.split(',').map((name) => name.trim());
  for (const name of wanted) {
    if (names.includes(name)) continue;
    throw new SetupError(`models.load_at_start: ${dir} has no model ${name}; it has ${names.join(', ') || 'none'}`);
  }
  return [...new Set(wanted)];
}

/**
 * Takes over what is served from here on, as the settings say who decides.
 * @throws SetupError where nothing is served and nothing can come
 */
export function controlRepository(
  settings: Settings,
  { names, failures, live, watch }: StartRepository,
  { models, modelSet, failures: unloaded }: Engine,
  log: Logger,
): RepositoryControl {
  const { dir: directory, control: mode } = settings.models;
  if (mode === 'none' && models.all().length === 0) {
    const reasons = [...unloaded.values(), ...failures.map(({ reason }) => reason)];
    throw new SetupError(reasons.join('\n'));
  }
  for (const { name, version, reason } of failures) models.note(name, version, 'UNAVAILABLE', reason);
  const control = new RepositoryControl({ directory, mode, models, modelSet, live, log });
  control.setFolders(names);
  // What becomes of it is in the log and in the index.
  const follow = (done: Promise<void>): void => void done.catch(() => {});
  watch?.start({
    listed: (all) => control.setFolders(all),
    changed: (name) => {
      if (mode === 'poll') follow(control.refresh(name));
    },
    gone: (name) => {
      if (mode === 'poll') follow(control.drop(name));
    },
  });
  return control;
}
