// What users of the client see: its options, what it is asked and what it answers.
import type { ChannelOptions, status } from '@grpc/grpc-js';

/** Scores rows with the models of one server. Everything that fails rejects with a ScoreError, or a TypeError or RangeError for
 * arguments that make no sense. */
export type Client = {
  /** Scores one row. Its call rides on one of a few open streams together with others, unless `multiplex` is off. */
  score(request: ScoreRequest, options?: ScoreOptions): Promise<ScoreResult>;
  /**
   * Scores many rows in one call, which begins when the first chunk is asked for. Whoever reads slowly slows the server down, and
   * leaving the loop cancels the call. A call is retried only as long as no chunk has arrived.
   */
  scoreBatch(request: BatchRequest, options?: CallOptions): ScoreBatch;
  /**
   * Scores any number of rows: gathers them into calls of bounded size, keeps a few of those under way, and yields their scores in
   * the order of the rows. `rows` is read no faster than the scores are taken. Each call is retried on its own.
   */
  scoreRows(model: string, rows: RowInput, options?: RowsOptions): AsyncIterable<ScoredRows>;
  /** Every loaded version of every model, by name, then by version. */
  listModels(options?: CallOptions): Promise<ModelInfo[]>;
  /** One model; its live version where none is named. */
  getModel(model: string, options?: CallOptions & { version?: number | bigint }): Promise<ModelInfo>;
  /** Takes no more calls, lets those under way finish, and hangs up. A process ends only after it. */
  close(): Promise<void>;
};

export type ConnectOptions = {
  /** TLS with the system's authorities; `ca` and `cert` switch it on as well. Default false. */
  tls?: boolean;
  /** The authority to trust. */
  ca?: Pem;
  /** The certificate to show, with its `key`. */
  cert?: Pem;
  key?: Pem;
  /** Milliseconds for a call, retries included, that names none itself; Infinity: no limit. Default 1,000. */
  deadlineMs?: number;
  /** The same for each call of many rows. Default 60,000. */
  bulkDeadlineMs?: number;
  /**
   * Whether single scores share a few streams. It takes a fraction of the work, but the server then does not hear that a score is
   * given up by its `signal`, and computes it. Default true.
   */
  multiplex?: boolean;
  /** Open streams at most, of up to 512 scores in flight each. Default 2. */
  streams?: number;
  /** Scores that may wait for room on the streams; what comes on top fails with RESOURCE_EXHAUSTED. Default 10,000. */
  maxQueued?: number;
  /** Retries; false: none. */
  retry?: RetryOptions | false;
  /** Sent with every call, such as a token for whatever stands before the server. */
  headers?: Readonly<Record<string, string>>;
  /** For grpc-js, such as `grpc.keepalive_time_ms` or a proxy. */
  channelOptions?: ChannelOptions;
  /** Time, for tests. */
  clock?: Clock;
  /** A number from 0 up to 1, for tests. */
  random?: () => number;
};

/** A path of a PEM file, or what is in one. */
export type Pem = string | Uint8Array;

/**
 * UNAVAILABLE is retried after a growing, random wait; RESOURCE_EXHAUSTED where the server says when to come back; nothing else, and
 * nothing past the call's deadline.
 */
export type RetryOptions = {
  /** The first one included. Default 5. */
  maxAttempts?: number;
  /** Milliseconds; the wait before the first retry is between half of it and all of it, and doubles. Default 20. */
  initialBackoffMs?: number;
  /** Milliseconds. Default 1,000. */
  maxBackoffMs?: number;
  /**
   * A failure takes one token, a success gives back `tokensPerSuccess`, and with half of them gone nothing is retried: a server in
   * trouble is left alone. Default 10.
   */
  budgetTokens?: number;
  /** Default 0.1. */
  tokensPerSuccess?: number;
};

export type CallOptions = {
  /** Milliseconds from now, retries included; Infinity: no limit. Default: the client's. */
  deadlineMs?: number;
  /** Gives the call up, which then fails with CANCELLED. */
  signal?: AbortSignal;
};

export type ScoreOptions = CallOptions & {
  /** False: a call of its own, which is cancelled when it is given up. Default: the client's. */
  multiplex?: boolean;
};

/** One feature. Whole numbers above 2^53 go as bigint. */
export type Value = number | bigint | string | boolean;
/** Every feature, in the order of the model's. */
export type DenseRow = readonly number[] | Float32Array | Float64Array;
/** Features by name; one that is left out, or undefined, takes its default. */
export type NamedRow = Readonly<Record<string, Value | undefined>>;
export type InputRow = DenseRow | NamedRow;

/** REAL_TIME_ONLY where there is a row, PRECOMPUTED_FIRST where there is none, unless it is said. */
export type ScorePolicy = 'PRECOMPUTED_FIRST' | 'REAL_TIME_ONLY' | 'PRECOMPUTED_ONLY';
export type Origin = 'PRECOMPUTED' | 'REAL_TIME' | 'STALE' | 'DEFAULT';

/** What a single row and many have in common. */
export type ScoreSubject = {
  model: string;
  /** Default: the live one. */
  version?: number | bigint;
  policy?: ScorePolicy;
  /** How old a precomputed score may be. Default: the model's own limit. */
  maxStalenessMs?: number;
  /** Default: the model's setting. */
  allowStale?: boolean;
};

export type ScoreRequest = ScoreSubject & {
  /** Whom the row is about; comes back in the answer. */
  entityId?: string | number | bigint;
  /** Absent: features are looked up by entity. */
  row?: InputRow;
  /** Names of tensors that are wanted beside the score. */
  outputs?: readonly string[];
};

export type ScoreResult = {
  entityId?: string;
  model: string;
  version: number;
  /** Never rounded. */
  score: number;
  /** Class index; absent for regressions. */
  label?: number;
  labelName?: string;
  /** Absent where the model has none. */
  segment?: string;
  origin: Origin;
  scoredAt: Date;
  /** Milliseconds since the score was computed; above 0 for precomputed ones only. */
  ageMs: number;
  timing: Timing;
  /** The tensors that were asked for, by name, without a batch dimension. */
  outputs: Record<string, Tensor>;
};

/** Where the server's time went, in microseconds. */
export type Timing = {
  featureUs: number;
  queueUs: number;
  inferenceUs: number;
  totalUs: number;
  /** Rows in the batch that this row rode in. */
  batchRows: number;
  /** Looking for a stored score. */
  storeUs: number;
};

export type DataType =
  | 'FLOAT16'
  | 'FLOAT32'
  | 'FLOAT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'BOOL'
  | 'STRING';

/** Row-major. FLOAT16 comes as Float32Array, BOOL as Uint8Array of 0 and 1. */
export type Tensor = {
  dataType: DataType;
  shape: number[];
  values:
    | Float32Array
    | Float64Array
    | Int8Array
    | Int16Array
    | Int32Array
    | BigInt64Array
    | Uint8Array
    | Uint16Array
    | Uint32Array
    | BigUint64Array
    | string[];
};

/** Every feature of every row, row by row. */
export type Matrix = { columns: number; values: readonly number[] | Float32Array | Float64Array };
/** One feature of every row. */
export type Column =
  | readonly number[]
  | Float32Array
  | Float64Array
  | Int32Array
  | readonly bigint[]
  | BigInt64Array
  | readonly string[]
  | readonly boolean[];
export type Columns = Readonly<Record<string, Column>>;

/** One of `matrix`, `columns` and `rows`, or `entityIds` alone: then scores come from the store, or by stored features. */
export type BatchRequest = ScoreSubject & {
  matrix?: Matrix;
  columns?: Columns;
  /** All dense, or all with the same names and types; `scoreRows` takes any. */
  rows?: readonly InputRow[];
  /** Features that hold for every row, beside `columns` or named rows. */
  shared?: NamedRow;
  /** None, or one a row, or no rows; not in the answer, which goes by row numbers. */
  entityIds?: readonly string[];
  /** Rows a chunk, at most 100,000. Default 1,000. */
  chunkRows?: number;
  /** Chunks in the order of the rows; otherwise as they are done. Default false. */
  inOrder?: boolean;
  /** Only rows whose score is strictly above. */
  minScore?: number;
  /** Only so many, the best, sorted, in one chunk; at most 100,000. */
  topK?: number;
};

export type ScoreBatch = AsyncIterable<ScoredChunk> & {
  /** What the last message said; settles when the loop over the chunks has ended, and rejects if it was left. */
  readonly summary: Promise<BatchSummary>;
};

/** Scores of some rows; what stands at one place of the arrays is of one row. */
export type ScoredChunk = {
  /** Places in the request. */
  rows: Uint32Array;
  /** NaN where the row has an error. */
  scores: Float32Array;
  /** -1 where there is none. */
  labels: Int32Array;
  /** Index in the `segments` of `getModel`; -1 where there is none. */
  segments: Int32Array;
  origins: Origin[];
  errors: RowError[];
};

export type BatchSummary = {
  model: string;
  version: number;
  /** Of the request, whatever was left out of the chunks: those with a score and those with an error. */
  rows: number;
  scored: number;
  failed: number;
  scoredAt: Date;
  /** Of those that were scored, by where the score came from. */
  origins: Record<Origin, number>;
};

/** Why a row has no score. */
export type RowError = {
  /** From 0. */
  row: number;
  code: StatusName;
  /** Stable, for programs to branch on. */
  reason: string;
  /** The field of the request that is to blame; absent where none is. */
  field?: string;
  message: string;
};

/** A gRPC status by its name, such as `UNAVAILABLE`. */
export type StatusName = keyof typeof status;

/** Rows one by one, or some at a time. */
export type RowInput = Iterable<InputRow | readonly InputRow[]> | AsyncIterable<InputRow | readonly InputRow[]>;

export type RowsOptions = Omit<ScoreSubject, 'model'> &
  CallOptions & {
    /** Features that hold for every row; for named rows only. */
    shared?: NamedRow;
    /** Rows a call, at most. Default 10,000. */
    callRows?: number;
    /** Bytes a call, at most, roughly: well below the server's limit of 64 MiB a message. Default 16 MiB. */
    callBytes?: number;
    /** Calls under way or done and not yet taken. Default 2. */
    callsInFlight?: number;
  };

/** Scores of rows that follow one another, from `firstRow` on, which counts from 0 over all that was given. */
export type ScoredRows = {
  firstRow: number;
  /** NaN where the row has an error. */
  scores: Float32Array;
  /** -1 where there is none. */
  labels: Int32Array;
  /** Index in the `segments` of `getModel`; -1 where there is none. */
  segments: Int32Array;
  errors: RowError[];
  /** Of the model; may change between calls unless it is asked for. */
  version: number;
};

export type ModelInfo = {
  name: string;
  version: number;
  /** Whether calls that name no version get this one. */
  live: boolean;
  /** SHA-256 of the model's files, hexadecimal. */
  digest: string;
  task?: 'BINARY' | 'MULTICLASS' | 'REGRESSION';
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  /** In the order of a dense row; empty where they can't be told from the graph. */
  features: {
    name: string;
    dataType?: DataType;
    required: boolean;
    allowNan: boolean;
    /** Where it comes from that a request doesn't bring. */
    source: 'request' | 'store' | 'computed';
    maxAgeSeconds?: number;
  }[];
  /** That features come from by entity. */
  featureStore?: string;
  /** Absent where it can't be told; then `scoreProblem` says why. */
  score?: { output: string; column?: number; threshold?: number };
  scoreProblem?: string;
  /** Class names, by label. */
  labels: string[];
  /** From the lowest score up; `from` is the least score of the segment. */
  segments: { name: string; from?: number }[];
  batching?: {
    enabled: boolean;
    /** Why not, where it is not. */
    reason: string;
    maxBatchRows: number;
    maxDelayMs: number;
    latencyBudgetMs: number;
    kneeRows: number;
    costCurve: { rows: number; runUs: number }[];
  };
  loadedAt?: Date;
  /** What ONNX calls metadata_props. */
  metadata: Record<string, string>;
  producer: string;
};

export type TensorInfo = {
  name: string;
  dataType?: DataType;
  /** -1 where the dimension is open; absent where the graph doesn't say. */
  shape?: number[];
};

/** Time as the client knows it. */
export type Clock = {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Calls back after `ms` milliseconds; returns a function that calls it off. */
  after(ms: number, callback: () => void): () => void;
};
