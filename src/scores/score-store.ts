// Scores that were computed before, and what every store of them does.
import type { Tensor } from '../tensor.ts';

/**
 * Whose scores belong together: those that one model file gave under one feature view and one rule of how its outputs are
 * read. Two scopes never share an entry. One object a served version, made once: stores keep tables by it.
 */
export type ScoreScope = {
  readonly model: string;
  readonly version: number;
  /** SHA-256 of the model's files, hexadecimal. */
  readonly digest: string;
  /** Of the feature view and of what reads the outputs, hexadecimal. */
  readonly view: string;
};

/** A score as it was computed. Times are milliseconds since 1970. */
export type StoredScore = {
  /** float32; label and segment of a binary model follow from it. */
  readonly score: number;
  /** -1 where there is none. */
  readonly label: number;
  /** Tensors beside the score, without the batch dimension; undefined where none were kept. */
  readonly outputs: ReadonlyMap<string, Tensor> | undefined;
  readonly scoredAtMs: number;
  /** When the features that it was computed from were read, or said to be true. */
  readonly featuresAsOfMs: number;
  /** From then on it is gone. */
  readonly keptUntilMs: number;
  /** The job that computed it; '' where it was written back. */
  readonly job: string;
};

/** A score on its way into a store. `entity` is canonical and not empty. */
export type ScorePut = { readonly entity: string; readonly stored: StoredScore };

/** What became of puts; the three add up to their number. */
export type PutCounts = {
  stored: number;
  /** Not stored, as what is there was computed from later features (or from the same ones, later). */
  outdated: number;
  /** Not stored, as the entity was invalidated after the features were read. */
  invalidated: number;
};

/** What no longer holds; of every scope of the model, those included that come later. */
export type Invalidation =
  /** Scores of these entities from features read at `atMs` or before. */
  | { kind: 'entities'; model: string; entities: readonly string[]; atMs: number }
  /** All scores from features read at `atMs` or before. */
  | { kind: 'model'; model: string; atMs: number }
  /** Scores computed before `scoredBeforeMs`. */
  | { kind: 'age'; model: string; scoredBeforeMs: number };

/** Upper ends of the age histogram's buckets, seconds; the last bucket has none. */
export const AGE_BUCKETS_SECONDS = [60, 300, 900, 3600, 21_600, 43_200, 86_400] as const;

export type ScopeStats = {
  scope: ScoreScope;
  /** Not expired, not invalidated. */
  entries: number;
  /** That these take in the store, keys included. */
  bytes: number;
  /** Entries that gave way to others because the store was full. */
  evictions: number;
  /** Entries by age since they were computed; one more than AGE_BUCKETS_SECONDS. */
  ages: readonly number[];
  /** Whether the figures were projected from a part of the entries. */
  estimated: boolean;
};

/** What `peek` says where only `fetch` can tell. */
export const ELSEWHERE = Symbol('elsewhere');

export interface ScoreStore {
  /** As settings and messages call it. */
  readonly kind: 'memory' | 'redis' | 'tiered';
  /** What is known at once: the entry, undefined where there is none, or ELSEWHERE. Never throws. */
  peek(scope: ScoreScope, entity: string): StoredScore | undefined | typeof ELSEWHERE;
  /**
   * Entries by their entities, in this order; undefined where there is none. An entry that can't be read counts as absent.
   * @param withinMs how long the caller waits at most
   * @throws ScorewireError UNAVAILABLE (STORE_UNAVAILABLE) where the store doesn't answer in time, or at all
   */
  fetch(
    scope: ScoreScope,
    entities: readonly string[],
    withinMs: number,
  ): Promise<readonly (StoredScore | undefined)[]>;
  /**
   * Puts scores, each only if it is not outdated and not invalidated.
   * @throws ScorewireError UNAVAILABLE (STORE_UNAVAILABLE); then some may have been stored, and putting all of them again is safe
   */
  put(scope: ScoreScope, puts: readonly ScorePut[]): Promise<PutCounts>;
  /** Resolves with the number of entries that are gone by it, where the store can tell; else undefined. */
  invalidate(invalidation: Invalidation): Promise<number | undefined>;
  /** Of every scope that has had entries. */
  stats(): Promise<readonly ScopeStats[]>;
  /** Of the entities that have an entry in `of`, how many have one in `by` too; a large store looks at a sample. */
  coverage(of: ScoreScope, by: ScoreScope): Promise<{ entities: number; covered: number }>;
  /** Why the store doesn't answer now; undefined where it does. */
  problem(): string | undefined;
  close(): Promise<void>;
}
