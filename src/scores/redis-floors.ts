// What was invalidated of a whole model: one key a model, read with every look-up, so that it holds at once everywhere.
import type { Invalidation, StoredScore } from './score-store.ts';

const BYTES = 16;

/** Entries below are gone, though they lie in Redis until they expire. */
export type Floors = {
  /** Features read then or before don't count. */
  readonly featuresAsOfMs: number;
  /** Scores computed before don't count. */
  readonly scoredBeforeMs: number;
};

export const NO_FLOORS: Floors = {
  featuresAsOfMs: Number.NEGATIVE_INFINITY,
  scoredBeforeMs: Number.NEGATIVE_INFINITY,
};

export function packFloors({ featuresAsOfMs, scoredBeforeMs }: Floors): Buffer {
  const bytes = Buffer.allocUnsafe(BYTES);
  bytes.writeDoubleLE(featuresAsOfMs, 0);
  bytes.writeDoubleLE(scoredBeforeMs, 8);
  return bytes;
}

/** @returns undefined for bytes that are no floors: then nobody knows what counts */
export function unpackFloors(bytes: Buffer | null): Floors | undefined {
  if (bytes === null) return NO_FLOORS;
  if (bytes.length !== BYTES) return undefined;
  return { featuresAsOfMs: bytes.readDoubleLE(0), scoredBeforeMs: bytes.readDoubleLE(8) };
}

/** What an invalidation of a whole model raises floors to. */
export function floorsOf(invalidation: Exclude<Invalidation, { kind: 'entities' }>): Floors {
  return invalidation.kind === 'model'
    ? { ...NO_FLOORS, featuresAsOfMs: invalidation.atMs }
    : { ...NO_FLOORS, scoredBeforeMs: invalidation.scoredBeforeMs };
}

export function standsAbove(stored: StoredScore, { featuresAsOfMs, scoredBeforeMs }: Floors): boolean {
  return stored.featuresAsOfMs > featuresAsOfMs && stored.scoredAtMs >= scoredBeforeMs;
}
