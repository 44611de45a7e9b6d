import { readFeatureStores } from '../config/feature-stores-file.ts';
import type { Settings } from '../config/settings.ts';
import type { FeatureSources } from './messages.ts';

/** Where features come from that requests don't bring, as the settings say it. @throws SetupError */
export function featureSources({ features, redis }: Settings): FeatureSources {
  const { file } = features;
  const definitions = file === undefined ? undefined : readFeatureStores(file);
  return { definitions, file, redisUrl: redis.url };
}
