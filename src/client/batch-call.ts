// Calls of many rows: as chunks that are read one by one, or as the scores of all rows.
import type { ClientReadableStream, ServiceError, StatusObject } from '@grpc/grpc-js';
import { type ScoreBatchResponse, ScoringServiceService } from '../gen/scorewire/v1/scoring.ts';
import { attempts, type Limits, tooLate } from './attempts.ts';
import { toChunk, toRowError, toSummary } from './batch-chunk.ts';
import type { Calls } from './calls.ts';
import type { OpenCalls } from './open-calls.ts';
import type { Retries } from './retries.ts';
import { ScoreError } from './score-error.ts';
import type { BatchSummary, Clock, RowError, ScoreBatch, ScoredChunk } from './types.ts';

/** What calls of many rows need of their client. */
export type BatchParts = { calls: Calls; retries: Retries; clock: Clock; open: OpenCalls };

const METHOD = {
  ...ScoringServiceService.scoreBatch,
  requestSerialize: (message: Buffer): Buffer => message,
};

/** A call whose chunks are read once, and which begins when the first one is asked for. */
export class BatchCall implements ScoreBatch {
  readonly summary: Promise<BatchSummary>;
  readonly #parts: BatchParts;
  readonly #request: Buffer;
  readonly #limits: Limits;
  readonly #settled = Promise.withResolvers<BatchSummary>();
  #begun = false;

  /** @param request a ScoreBatchRequest's bytes */
  constructor(parts: BatchParts, request: Buffer, limits: Limits) {
    this.#parts = parts;
    this.#request = request;
    this.#limits = limits;
    this.summary = this.#settled.promise;
    // Whoever read the chunks has heard of the error already.
    this.summary.catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ScoredChunk, void> {
    if (this.#begun) throw new TypeError('the chunks of a batch can be read once');
    this.#begun = true;
    const { open } = this.#parts;
    let failure: unknown = ScoreError.aborted('the loop over the chunks was left');
    try {
      open.enter();
      try {
        this.#settled.resolve(toSummary(yield* this.#read()));
      } finally {
        open.leave();
      }
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      // Changes nothing where there is a summary.
      this.#settled.reject(failure);
    }
  }

  /** Yields chunks, and returns the summary. */
  async *#read() {
    const { clock, retries } = this.#parts;
    const deadlineAtMs = clock.nowMs() + this.#limits.deadlineMs;
    for (let attempt = 1; ; attempt++) {
      let received = false;
      try {
        for await (const part of this.#attempt(deadlineAtMs - clock.nowMs())) {
          if (part.$case === 'summary') {
            retries.succeeded();
            return part.value;
          }
          received = true;
          yield toChunk(part.value);
        }
        throw new ScoreError('INTERNAL', 'the server ended the call without a summary');
      } catch (error) {
        const waitMs =
          received || !(error instanceof ScoreError) ? undefined : retries.waitMs(error, attempt, deadlineAtMs);
        if (waitMs === undefined) throw error;
        await pause(waitMs, clock, this.#limits.signal);
      }
    }
  }

  /** The parts of one attempt's answer; cancels it when they are not read to the end. */
  async *#attempt(deadlineMs: number) {
    const { signal } = this.#limits;
    if (signal?.aborted) throw ScoreError.aborted(signal.reason);
    const call = this.#parts.calls.serverStream(METHOD, this.#request, deadlineMs);
    const cancel = () => call.cancel();
    signal?.addEventListener('abort', cancel);
    try {
      for await (const { part } of call as AsyncIterable<ScoreBatchResponse>) {
        if (part !== undefined) yield part;
      }
    } catch (error) {
      throw signal?.aborted ? ScoreError.aborted(signal.reason) : toScoreError(error, this.#limits.deadlineMs);
    } finally {
      signal?.removeEventListener('abort', cancel);
      call.cancel();
    }
  }
}

/** Of all rows of a call, by their number in it. */
export type BatchScores = {
  scores: Float32Array;
  labels: Int32Array;
  segments: Int32Array;
  errors: RowError[];
  version: number;
};

/** The scores of a request of so many rows, which leaves none out; tried again as a whole. */
export function scoreAll(parts: BatchParts, request: Buffer, rows: number, limits: Limits): Promise<BatchScores> {
  const { calls, retries, clock } = parts;
  return attempts<BatchScores>(
    (deadlineMs, done) => {
      const call: ClientReadableStream<ScoreBatchResponse> = calls.serverStream(METHOD, request, deadlineMs);
      const found: BatchScores = {
        scores: new Float32Array(rows).fill(Number.NaN),
        labels: new Int32Array(rows).fill(-1),
        segments: new Int32Array(rows).fill(-1),
        errors: [],
        version: 0,
      };
      let complete = false;
      call.on('data', ({ part }: ScoreBatchResponse) => {
        if (part?.$case === 'summary') {
          complete = true;
          found.version = Number(part.value.version);
        } else if (part !== undefined) {
          const { firstRow, scores, labels, segments, errors } = part.value;
          const first = Number(firstRow);
          found.scores.set(scores, first);
          found.labels.set(labels, first);
          segments.forEach((segment, index) => {
            found.segments[first + index] = segment - 1;
          });
          for (const error of errors) found.errors.push(toRowError(error));
        }
      });
      call.on('status', (status: StatusObject) => {
        if (status.code !== 0) done(ScoreError.ofStatus(status));
        else if (complete) done(undefined, found);
        else done(new ScoreError('INTERNAL', 'the server ended the call without a summary'));
      });
      return () => call.cancel();
    },
    limits,
    retries,
    clock,
  );
}

function toScoreError(error: unknown, deadlineMs: number): unknown {
  if (!(error instanceof Error && 'metadata' in error)) return error;
  const failure = ScoreError.ofStatus(error as ServiceError);
  // grpc-js puts where it spent the time, and nothing of what was asked.
  return failure.code === 'DEADLINE_EXCEEDED' && failure.reason === '' ? tooLate(deadlineMs, undefined) : failure;
}

/** @throws ScoreError CANCELLED */
function pause(ms: number, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      callOff();
      reject(ScoreError.aborted(signal?.reason));
    };
    const callOff = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
