// Features by entity, and what every store of them does.
import type { RowValue } from './row.ts';

/** What a store has about one entity. */
export type FeatureRecord = {
  /** By the names of features; what the store doesn't have, or has as null, is not there. */
  readonly values: ReadonlyMap<string, RowValue>;
  /** Since when the values hold, milliseconds since 1970: as the record says, else when the store read them. */
  readonly asOfMs: number;
};

export interface FeatureStore {
  /** As the file of feature stores calls it. */
  readonly name: string;
  /**
   * The record of an entity; undefined where there is none, or one that can't be read (which is counted and logged). At once
   * where the store has it in memory.
   * @param withinMs how long the caller waits at most
   * @throws ScorewireError (or rejects with) UNAVAILABLE (FEATURES_UNAVAILABLE) where the store doesn't answer in time
   */
  get(entity: string, withinMs: number): FeatureRecord | undefined | Promise<FeatureRecord | undefined>;
  /** The same for many, in their order. */
  getMany(entities: readonly string[], withinMs: number): Promise<readonly (FeatureRecord | undefined)[]>;
  /** What keeps the store from answering, or from reading what changed; undefined where nothing does. */
  problem(): string | undefined;
  close(): Promise<void>;
}
