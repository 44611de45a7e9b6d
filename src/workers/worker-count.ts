import { availableParallelism } from 'node:os';

/** One I/O thread feeds about so many workers, even with models that take a millisecond a row. */
const MOST_WORKERS = 16;

/** Workers for `auto`: one core is left to the I/O thread, and no more workers than that thread can feed. */
export function defaultWorkerCount(cores: number = availableParallelism()): number {
  return Math.min(Math.max(cores - 1, 1), MOST_WORKERS);
}
