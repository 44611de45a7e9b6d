// Features by entity, and what every store of them does.
import type { RowValue } from './row.ts';
import type { Column } from './row-source.ts';

/** What a store has about one entity. */
export type FeatureRecord = {
  /** By the names of features; what the store doesn't have, or has as null, is not there. */
  readonly values: ReadonlyMap<string, RowValue>;
  /** Since when the values hold, milliseconds since 1970: as the record says, else when the store read them. */
  readonly asOfMs: number;
};

/** What a store has about many entities: one place an entity, in their order. */
export type FeatureRecords = {
  /** 1 where there is a record. */
  readonly found: Uint8Array;
  /** By the names that were asked for; `nulls` is 1 where there is no record, or none with this value. */
  readonly columns: ReadonlyMap<string, Column>;
  /** Of each record; without one it means nothing. */
  readonly asOfMs: Float64Array;
};

/** What became of a look-up: a record; none; one that can't be read; no answer. */
export type LookUp = 'hit' | 'miss' | 'corrupt' | 'unavailable';

/** Who counts what feature stores do. */
export interface FeatureObserver {
  /** So many entities were looked up in a store. */
  looked(store: string, outcome: LookUp, entities: number): void;
  /** A store's data changed, and was read again or not. */
  loaded(store: string, isRead: boolean): void;
  /** A model was given a record's values, which hold since so long. */
  used(model: string, ageSeconds: number): void;
}

export const nobody: FeatureObserver = { looked: () => {}, loaded: () => {}, used: () => {} };

export interface FeatureStore {
  /** As the file of feature stores calls it. */
  readonly name: string;
  /**
   * The record of an entity; undefined where there is none, or one that can't be read (which is counted and logged). At once
   * where the store has it in memory.
   * @param entity canonical, not empty
   * @param withinMs how long the caller waits at most
   * @throws ScorewireError (or rejects with) UNAVAILABLE (FEATURES_UNAVAILABLE) where the store doesn't answer in time
   */
  get(entity: string, withinMs: number): FeatureRecord | undefined | Promise<FeatureRecord | undefined>;
  /**
   * The same for many.
   * @param entities '' is nobody: not looked up
   * @param names of the features wanted
   */
  getMany(
    entities: readonly string[],
    names: readonly string[],
    withinMs: number,
  ): FeatureRecords | Promise<FeatureRecords>;
  /** What keeps the store from answering, or from reading what changed; undefined where nothing does. */
  problem(): string | undefined;
  close(): Promise<void>;
}
