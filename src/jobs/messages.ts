// What the I/O thread and a job's thread say to each other.
import type { FeatureStoreDefinition } from '../config/feature-stores-file.ts';
import type { JobDefinition } from '../config/job-definition.ts';
import type { FeatureView, RowLayout } from '../models/model.ts';
import type { PutCounts } from '../scores/score-store.ts';
import type { RowPiece } from '../scoring/block-feed.ts';
import type { JobCounts } from './job-sink.ts';

/** The feature stores of a server, as another thread can open them. */
export type FeatureSources = {
  definitions: ReadonlyMap<string, FeatureStoreDefinition> | undefined;
  file: string | undefined;
  redisUrl: string;
};

/** Scores on their way into the score store; what stands at one place is of one row. */
export type KeptRows = {
  entities: readonly string[];
  scores: Float32Array;
  labels: Int32Array;
  scoredAtMs: Float64Array;
  asOfMs: Float64Array;
};

/** What a job's thread begins with. */
export type JobTask = {
  definition: JobDefinition;
  /** Whether what an earlier run of the job left is thrown away. */
  fresh: boolean;
  /** The only directories that it may open files in; undefined: any. */
  directories: readonly string[] | undefined;
  /** Where features come from that the input doesn't have. */
  features: FeatureSources;
  model: {
    name: string;
    version: number;
    digest: string;
    rows: RowLayout;
    view: FeatureView;
    /** Names, from the lowest up. */
    segments: readonly string[];
    /** What decides score, label and segment beside the model file. */
    rule: string;
    /** Rows of a block. */
    blockRows: number;
  };
};

/** Where a job is. */
export type JobPhase = 'reading' | 'scoring' | 'writing';

export type JobProgress = {
  phase: JobPhase;
  /** Rows of the input; 0 before it is known. */
  rows: number;
  /** Rows that are scored or rejected, those of earlier runs included. */
  done: number;
  /** Of these, the ones that earlier runs did. */
  resumed: number;
  rejected: number;
};

export type FromJob =
  | { kind: 'progress'; progress: JobProgress }
  /** Something that whoever runs the job should know, and that doesn't end it. */
  | { kind: 'note'; text: string }
  | { kind: 'piece'; piece: RowPiece }
  /** To be put into the score store; `kept` answers. */
  | { kind: 'keep'; rows: KeptRows }
  | { kind: 'done'; counts: JobCounts; resumed: number }
  /** `setup`: the message says all, and is for whoever wrote the job. */
  | { kind: 'failed'; message: string; setup: boolean }
  /** As it was told to: a run after this one goes on from here. */
  | { kind: 'stopped' };

export type ToJob =
  | {
      kind: 'scored';
      firstRow: number;
      scores: Float32Array;
      labels: Int32Array;
      segments: Int32Array;
      /** Rows that the model could not score. */
      errors: readonly { row: number; reason: string; message: string }[];
    }
  | { kind: 'kept'; counts: PutCounts }
  | { kind: 'stop' };
