// What a link to Redis tells the metrics.
import type { Metrics } from '../telemetry/metrics.ts';
import type { LinkObserver } from './redis-link.ts';

/** @param store who uses the link: `scores`, or the name of a feature store */
export function redisObserver(metrics: Metrics, store: string): LinkObserver {
  let away = false;
  metrics.redisAway.observe({ store }, () => (away ? 1 : 0));
  return {
    failed: (failure) => metrics.redisFailures.cell({ store, failure }).add(),
    breaker: (state) => {
      away = state !== 'closed';
    },
  };
}
