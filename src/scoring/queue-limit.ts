import type { ModelSpec } from '../models/model.ts';

/**
 * Rows of a model that may wait: what its config allows, and never more than `mostRows`. Configs count requests; one of several rows
 * counts as so many, so that the queue is shorter than asked rather than longer.
 */
export function queueLimit({ queuePolicy }: Pick<ModelSpec, 'queuePolicy'>, mostRows: number): number {
  const wanted = queuePolicy?.maxQueueSize ?? 0;
  return wanted === 0 ? mostRows : Math.min(wanted, mostRows);
}
