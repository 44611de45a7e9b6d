import { readFeatureStores } from '../config/feature-stores-file.ts';
import type { Settings } from '../config/settings.ts';
import type { FeatureSources } from './messages.ts';

/** The feature stores of the settings, as jobs open them; undefined where there are none. @throws SetupError */
export function featureSources({ features, redis }: Settings): FeatureSources | undefined {
  const { file } = features;
  return file === undefined ? undefined : { definitions: readFeatureStores(file), file, redisUrl: redis.url };
}
