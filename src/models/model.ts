// What a model version on disk says about itself: everything that the server knows before a session exists.

import type { DataType, Tensor, TensorSpec } from '../tensor.ts';

export const TASKS = ['binary', 'multiclass', 'regression'] as const;

export type Task = (typeof TASKS)[number];

export const FEATURE_TYPES = ['number', 'integer', 'text', 'flag'] as const;

export type FeatureType = (typeof FEATURE_TYPES)[number];

/** Where a feature comes from that the request doesn't bring. */
export const FEATURE_SOURCES = ['request', 'store', 'computed'] as const;

export type FeatureSource = (typeof FEATURE_SOURCES)[number];

/** What can be computed from the time of a request: 0 to 23; Monday 0 to Sunday 6; whether it is Saturday or Sunday. */
export const COMPUTED_FEATURES = ['hour_of_day', 'day_of_week', 'is_weekend'] as const;

export type ComputedFeature = (typeof COMPUTED_FEATURES)[number];

/** A feature's value for rows that don't carry it; a bigint for integers, whatever the width of the input. */
export type FeatureDefault = number | bigint | string | boolean;

/** One feature of a row, in the order of a dense row. */
export type Feature = {
  name: string;
  type: FeatureType;
  /** Element type of the ONNX input that it goes to. */
  dataType: DataType;
  /** Index into the layout's `inputs`. */
  input: number;
  /** Element offset within that input's row. */
  column: number;
  default?: FeatureDefault;
  /** Whether NaN (and, where it can be written so, null) is a value. Only features of float inputs can. */
  allowNan: boolean;
  /** Absent: nowhere but from the request. */
  source?: Exclude<FeatureSource, 'request'>;
  /** A value of the feature store that is older counts as absent. */
  maxAgeSeconds?: number;
};

/** Where a model's features come from beside the request. */
export type FeatureView = {
  /** A feature store, by its name in `features.file`; absent: no feature comes from one. */
  store?: string;
  /** IANA name; what hours and days of computed features count in. */
  timeZone: string;
};

/** What the manifest says about stored scores; what is absent is as the server's settings say. */
export type StoredScoreRules = {
  freshForSeconds?: number;
  keptForSeconds?: number;
  writtenBackForSeconds?: number;
  writeBack?: boolean;
  /** Whether a score that is kept but not fresh is an answer where the model can't give one in time. */
  allowStale: boolean;
};

/** One required input of the graph, as one row sees it. */
export type RowInput = {
  name: string;
  type: DataType;
  /** Without the batch dimension; null where open. */
  rowDims: readonly (number | null)[];
  /** Elements a row; 0 where a dimension is open. */
  width: number;
};

/** How rows map on the graph's inputs, or why they can't. */
export type RowLayout =
  | {
      kind: 'features';
      features: readonly Feature[];
      inputs: readonly RowInput[];
      /** All features go to numeric inputs, so a row can be a plain list of numbers. */
      dense: boolean;
      /** Names come from the manifest or are input names, so a row can be given by name. */
      named: boolean;
    }
  /** A single numeric input with one open inner dimension: dense rows of any length. */
  | { kind: 'open'; input: RowInput }
  /** `problem` is one line for people: what stands in the way, and the manifest key that helps where one does. */
  | { kind: 'unknown'; problem: string };

/** Of rows that have features. */
export type FeatureLayout = Extract<RowLayout, { kind: 'features' }>;

/**
 * Which element of a row's outputs is its score: a fixed column, or that of the predicted (largest) class. `width` is
 * the number of elements a row of that output, where graph or class labels tell it; where it is absent, only a run
 * shows whether the column exists (and, for column 0, whether it is the only one).
 */
export type ScoreRule = { output: string; column: number | 'predicted'; width?: number };

/** Scores from `from` on, up to the next segment's. The first segment has no lower bound. */
export type Segment = { name: string; from?: number };

/** Whether rows may be run together; `reason` says why not and is '' where they may. */
export type Batching = { supported: boolean; reason: string };

export type Golden = {
  /** Absolute path. */
  file: string;
  /** Largest absolute difference allowed. */
  tolerance: number;
};

/** Where onnxruntime gets the graph from: bytes in memory, or the file itself where the weights lie in data files. */
export type ModelSource =
  | { kind: 'file'; path: string }
  /** `bytes` lie in shared memory. `externalDataDir` is where the graph's data files lie, for session options. */
  | { kind: 'bytes'; bytes: Uint8Array; externalDataDir: string };

/** `value` is what the model is given where a caller brings nothing. */
export type OptionalInput = TensorSpec & { value: Tensor };

/** An input or output, for callers who bring tensors and not rows. */
export type ServedTensor = {
  name: string;
  type: DataType;
  /** Of one row where the contract's `maxRows` is above 0, else of all; -1 where open; absent where the graph doesn't say. */
  dims: readonly number[] | undefined;
  /** What the graph takes or gives in the place of `dims`. */
  reshape?: readonly number[];
  /** An input that need not be given. */
  optional?: boolean;
  /** Names of the elements of an output, by index. */
  labels?: readonly string[];
};

/** How long a request may wait in the queue, and how many may, as a Triton config says it. */
export type QueuePolicy = {
  /** What becomes of a request whose time is up: refused, or run when nothing else is left. */
  timeoutAction: 'REJECT' | 'DELAY';
  /** Of requests that bring no timeout, microseconds; 0: they wait for ever. */
  defaultTimeoutUs: number;
  /** Whether a request may bring a shorter timeout. */
  allowTimeoutOverride: boolean;
  /** 0: as many as the server's settings let wait. */
  maxQueueSize: number;
};

/** Made-up requests that a Triton config asks to be run before anybody is served. */
export type WarmUpSample = {
  name: string;
  /** How often it is run. */
  count: number;
  /** By input, with the dimensions that the graph takes. */
  inputs: ReadonlyMap<string, Tensor>;
};

/** What config.pbtxt (or who asked for a load) says of a model, in Triton's words. */
export type TritonConfig = {
  /** Absolute path of config.pbtxt, or what stands in its place; for messages. */
  file: string;
  /**
   * All that it says, by Triton's field names (`max_batch_size`), enums by name, whole numbers as numbers: proto3 JSON,
   * as `fromJSON` of generated messages takes it. `name`, `platform`, `backend` and `default_model_filename` are always
   * there; what the graph completes is not.
   */
  content: Readonly<Record<string, unknown>>;
  /** Rows of a request at most, 0 for a model without a batch dimension; absent: as the graph has it. */
  maxBatchSize?: number;
  /** In its order; absent: as the graph has them. */
  inputs?: readonly ServedTensor[];
  outputs?: readonly ServedTensor[];
};

/** What callers who bring tensors may send, and what they get. */
export type TensorContract = {
  /** Rows of a request at most, which a dimension in front of every tensor counts; 0: there is no such dimension. */
  maxRows: number;
  /** In the order of the config, else of the graph; optional ones last where there is no config. */
  inputs: readonly ServedTensor[];
  outputs: readonly ServedTensor[];
};

/** One version of one model, as read from disk and checked. */
export type ModelSpec = {
  name: string;
  version: number;
  /** Absolute path of the version's directory. */
  directory: string;
  /** Absolute path of its model.onnx. */
  file: string;
  /** SHA-256 over model.onnx and its data files, hexadecimal. */
  digest: string;
  /** Size of model.onnx and its data files together. */
  bytes: number;
  task: Task;
  description: string;
  producer: string;
  /** Version by operator-set domain; the default domain is ''. */
  opset: Readonly<Record<string, number>>;
  /** ONNX's metadata_props. */
  metadata: ReadonlyMap<string, string>;
  /** Inputs that a run needs, in graph order; inputs that have an initializer of their name are optional and not here. */
  inputs: readonly TensorSpec[];
  /** Inputs that have a value of their own, which callers who bring tensors may replace. */
  optionalInputs: readonly OptionalInput[];
  /** Tensor outputs, after ZipMap was taken out, in graph order. */
  outputs: readonly TensorSpec[];
  rows: RowLayout;
  /** Absent where it can't be told; then `scoreProblem` says why and names manifest key and file. */
  score?: ScoreRule;
  /** '' where `score` is set. */
  scoreProblem: string;
  /** The classifier's own label output, where there is one. */
  labelOutput?: string;
  /** Class names by index; empty where none are known. */
  labels: readonly string[];
  /** Binary models: label 1 above this score; a tie is label 0. */
  threshold: number;
  /** From the lowest score up; empty where the model has none. */
  segments: readonly Segment[];
  batching: Batching;
  /** From the manifest, where it says so. */
  maxBatchRows?: number;
  maxDelayMs?: number;
  latencyBudgetMs?: number;
  featureView: FeatureView;
  storedScores: StoredScoreRules;
  /** What is answered for an entity where nothing else can be. */
  defaultScore?: number;
  /**
   * Hexadecimal; differs where anything does that decides what a score is beside the model's files: features, their sources
   * and defaults, and how the outputs are read.
   */
  view: string;
  golden?: Golden;
  /** Absent: the model has no config of Triton's, and is completed from its graph. */
  triton?: TritonConfig;
  /** Absent: nothing is said of it; callers may bring timeouts, and the settings bound the queue. */
  queuePolicy?: QueuePolicy;
  /** Beside golden or made-up rows. */
  warmUp: readonly WarmUpSample[];
  /** Threads of a run; absent: as the settings say. */
  intraOpThreads?: number;
  source: ModelSource;
};
