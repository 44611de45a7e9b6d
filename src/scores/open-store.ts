// The store that the settings ask for.
import type { Settings } from '../config/settings.ts';
import { RedisLink } from '../redis/redis-link.ts';
import { redisObserver } from '../redis/redis-observer.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { MemoryStore } from './memory-store.ts';
import { RedisStore } from './redis-store.ts';
import type { ScoreStore } from './score-store.ts';
import { TieredStore } from './tiered-store.ts';

/** Undefined: scores are not kept. A Redis that isn't there now may come later. */
export function openScoreStore({ store, redis }: Settings, metrics: Metrics, log: Logger): ScoreStore | undefined {
  const { kind, maxEntries, maxBytes, memoryForSeconds } = store;
  if (kind === 'off') return undefined;
  if (kind === 'memory') return new MemoryStore({ maxEntries, maxBytes });
  const link = new RedisLink({
    ...redis,
    reason: 'STORE_UNAVAILABLE',
    log,
    observer: redisObserver(metrics, 'scores'),
  });
  const inRedis = new RedisStore(link);
  if (kind === 'redis') return inRedis;
  const memory = new MemoryStore({ maxEntries, maxBytes, trustForMs: 1000 * memoryForSeconds });
  return new TieredStore({ memory, redis: inRedis, link });
}
