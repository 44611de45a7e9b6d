// What ServerReady and ModelReady answer.
import { ScorewireError } from '../errors.ts';
import { type ModelRegistry, UNLOADED } from '../scoring/model-registry.ts';
import { findModel } from './find-model.ts';

/** Whether every model that somebody wants has a version that is served. */
export function allModelsReady(models: ModelRegistry): boolean {
  return models
    .index()
    .every(({ name, state, reason }) => state !== 'UNAVAILABLE' || reason === UNLOADED || models.has(name));
}

/**
 * False for a model that is not there, or not yet.
 * @param models throws UNAVAILABLE before there are any
 * @throws ScorewireError INVALID_ARGUMENT for what is no version
 */
export function isModelReady(models: () => ModelRegistry, name: string, version: string): boolean {
  try {
    findModel(models(), name, version);
    return true;
  } catch (error) {
    if (error instanceof ScorewireError && (error.kind === 'not_found' || error.kind === 'unavailable')) return false;
    throw error;
  }
}
