// The client that the package exports as `scorewire/client`.
import { type GetModelResponse, type ListModelsResponse, ModelServiceService } from '../gen/scorewire/v1/model.ts';
import { type ScoreResponse, ScoringServiceService } from '../gen/scorewire/v1/scoring.ts';
import { type Attempt, attempts, type Limits } from './attempts.ts';
import { BatchCall, type BatchParts } from './batch-call.ts';
import { encodeBatch } from './batch-message.ts';
import { Calls } from './calls.ts';
import { MAX_ITEM_BYTES } from './item-stream.ts';
import { toModelInfo } from './model-message.ts';
import { Multiplexer } from './multiplexer.ts';
import { OpenCalls } from './open-calls.ts';
import { Retries } from './retries.ts';
import { ScoreError } from './score-error.ts';
import { encodeRequest, toResult } from './score-message.ts';
import { scoreRows } from './score-rows.ts';
import { type ClientSettings, positive, settingsOf, whole } from './settings.ts';
import type {
  BatchRequest,
  CallOptions,
  Client,
  ConnectOptions,
  ModelInfo,
  RowInput,
  RowsOptions,
  ScoreBatch,
  ScoredRows,
  ScoreOptions,
  ScoreRequest,
  ScoreResult,
} from './types.ts';

/**
 * A client of the server at `address`, which is HOST:PORT. Connects with the first call.
 * @throws RangeError for an option that makes no sense, Error for PEM files that can't be used
 */
export function connect(address: string, options: ConnectOptions = {}): Client {
  return new ScoringClient(address, options);
}

const DEFAULT_CALL_ROWS = 10_000;
const DEFAULT_CALL_BYTES = 16 * 1024 * 1024;
const DEFAULT_CALLS_IN_FLIGHT = 2;

const SCORE = { ...ScoringServiceService.score, requestSerialize: (message: Buffer): Buffer => message };

class ScoringClient implements Client {
  readonly #settings: ClientSettings;
  readonly #calls: Calls;
  readonly #retries: Retries;
  readonly #streams: Multiplexer;
  readonly #open = new OpenCalls();
  readonly #batches: BatchParts;
  #closing: Promise<void> | undefined;

  constructor(address: string, options: ConnectOptions) {
    this.#settings = settingsOf(options);
    const { retry, clock, random } = this.#settings;
    this.#calls = new Calls(address, options);
    this.#retries = new Retries(retry, clock, random);
    this.#streams = new Multiplexer(this.#calls, this.#settings, clock);
    this.#batches = { calls: this.#calls, retries: this.#retries, clock, open: this.#open };
  }

  async score(request: ScoreRequest, options: ScoreOptions = {}): Promise<ScoreResult> {
    const bytes = encodeRequest(request);
    const { multiplex = this.#settings.multiplex } = options;
    const response = await this.#attempt<ScoreResponse>(
      multiplex && bytes.length <= MAX_ITEM_BYTES
        ? (deadlineMs, done) => this.#streams.score(bytes, deadlineMs, done)
        : (deadlineMs, done) => this.#calls.start(SCORE, bytes, deadlineMs, done),
      options,
    );
    return toResult(response);
  }

  scoreBatch(request: BatchRequest, options: CallOptions = {}): ScoreBatch {
    return new BatchCall(this.#batches, encodeBatch(request), this.#bulkLimits(options));
  }

  scoreRows(model: string, rows: RowInput, options: RowsOptions = {}): AsyncGenerator<ScoredRows, void> {
    const { callRows, callBytes, callsInFlight, deadlineMs, signal, ...subject } = options;
    const split = {
      callRows: whole('callRows', callRows ?? DEFAULT_CALL_ROWS),
      callBytes: whole('callBytes', callBytes ?? DEFAULT_CALL_BYTES),
      callsInFlight: whole('callsInFlight', callsInFlight ?? DEFAULT_CALLS_IN_FLIGHT),
    };
    return scoreRows(this.#batches, { model, ...subject }, rows, split, this.#bulkLimits({ deadlineMs, signal }));
  }

  async listModels(options: CallOptions = {}): Promise<ModelInfo[]> {
    const { models } = await this.#attempt<ListModelsResponse>(
      (deadlineMs, done) => this.#calls.start(ModelServiceService.listModels, {}, deadlineMs, done),
      options,
    );
    return models.map(toModelInfo);
  }

  async getModel(model: string, options: CallOptions & { version?: number | bigint } = {}): Promise<ModelInfo> {
    const version = options.version === undefined ? undefined : BigInt(options.version);
    const response = await this.#attempt<GetModelResponse>(
      (deadlineMs, done) => this.#calls.start(ModelServiceService.getModel, { model, version }, deadlineMs, done),
      options,
    );
    if (response.model === undefined) throw new ScoreError('INTERNAL', 'the server sent no model');
    return toModelInfo(response.model);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#open.close();
    await this.#streams.close();
    this.#calls.close();
  }

  #attempt<T>(attempt: Attempt<T>, { deadlineMs, signal }: CallOptions): Promise<T> {
    const limits = { deadlineMs: positive('deadlineMs', deadlineMs ?? this.#settings.deadlineMs), signal };
    return this.#open.within(() => attempts(attempt, limits, this.#retries, this.#settings.clock));
  }

  #bulkLimits({ deadlineMs, signal }: CallOptions): Limits {
    return { deadlineMs: positive('deadlineMs', deadlineMs ?? this.#settings.bulkDeadlineMs), signal };
  }
}
