// Label and segment of a score: the one place where thresholds are compared, for every path that scores come by.
import type { Segment } from '../models/model.ts';

/** 1 strictly above the threshold, else 0; both sides in float32, as scores are. */
export function binaryLabel(score: number, threshold: number): number {
  return Math.fround(score) > Math.fround(threshold) ? 1 : 0;
}

/** Index of the segment that the score is in, each closed below and open above; -1 where there are none, or for NaN. */
export function segmentIndex(score: number, segments: readonly Segment[]): number {
  const value = Math.fround(score);
  if (Number.isNaN(value)) return -1;
  let index = segments.length - 1;
  while (index > 0 && value < Math.fround((segments[index] as Segment).from as number)) index--;
  return index;
}

/** Index of the largest of `width` values from `offset` on, the first of equals: the predicted class. */
export function predictedClass(values: ArrayLike<number>, offset: number, width: number): number {
  let best = 0;
  for (let i = 1; i < width; i++) {
    if ((values[offset + i] as number) > (values[offset + best] as number)) best = i;
  }
  return best;
}
