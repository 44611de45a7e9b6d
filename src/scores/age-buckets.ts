// Entries by age.
import { AGE_BUCKETS_SECONDS } from './score-store.ts';

export const AGE_BUCKETS = AGE_BUCKETS_SECONDS.length + 1;

/** The bucket of an age: the first whose upper end it does not exceed; the last one has none. */
export function ageBucket(ageMs: number): number {
  let bucket = 0;
  while (bucket < AGE_BUCKETS_SECONDS.length && ageMs > (AGE_BUCKETS_SECONDS[bucket] as number) * 1000) bucket++;
  return bucket;
}
