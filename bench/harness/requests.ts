// The calls that the suite makes, and what their answers must be.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomFrom } from '../../src/bench/arrivals.ts';
import {
  Origin,
  ScoreBatchRequest,
  ScorePolicy,
  ScoreRequest,
  ScoreResponse,
} from '../../src/gen/scorewire/v1/scoring.ts';
import { BENCH_MODELS } from './settings.ts';

export const SCORE_PATH = '/scorewire.v1.ScoringService/Score';
export const SCORE_STREAM_PATH = '/scorewire.v1.ScoringService/ScoreStream';
export const SCORE_BATCH_PATH = '/scorewire.v1.ScoringService/ScoreBatch';

/** The models of bench/models. */
export type BenchModel = 'boosted-trees' | 'slow-1ms' | 'slow-20ms';

/** Encoded Score requests of one row each, and the scores to expect where they are known. */
export interface ScoreCalls {
  model: BenchModel;
  messages: Uint8Array[];
  /** By message; undefined where the model has no golden rows. */
  scores: number[] | undefined;
}

const SLOW_MODEL_FEATURES = 8;
const SLOW_MODEL_ROWS = 64;
const SEED = 20_261_122;

/** The golden rows of the model, or rows from a fixed seed where it has none. */
export function scoreCalls(model: BenchModel): ScoreCalls {
  if (model === 'boosted-trees') {
    const golden = goldenRows(model);
    return {
      model,
      messages: golden.map(({ row }) => scoreRequest(model, row)),
      scores: golden.map(({ score }) => score),
    };
  }
  const random = randomFrom(SEED);
  const messages = Array.from({ length: SLOW_MODEL_ROWS }, () =>
    scoreRequest(model, Array.from({ length: SLOW_MODEL_FEATURES }, random)),
  );
  return { model, messages, scores: undefined };
}

interface GoldenRow {
  row: number[];
  score: number;
}

/** Rows of a model whose scores are known. */
export function goldenRows(model: BenchModel): GoldenRow[] {
  return readFileSync(join(BENCH_MODELS, model, 'golden.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as GoldenRow);
}

function scoreRequest(model: string, values: number[]): Uint8Array {
  return ScoreRequest.encode({
    model,
    row: { form: { $case: 'dense', value: { values } } },
    policy: ScorePolicy.SCORE_POLICY_UNSPECIFIED,
    outputNames: [],
  }).finish();
}

/** A ScoreBatch request with the model's golden rows, again and again, each number changed by up to a tenth. */
export function batchRequest(model: BenchModel, rows: number): Uint8Array {
  const golden = goldenRows(model);
  const random = randomFrom(SEED);
  const values = Array.from({ length: rows }, (_, index) =>
    (golden[index % golden.length] as GoldenRow).row.map((value) => value * (0.9 + 0.2 * random())),
  ).flat();
  return ScoreBatchRequest.encode({
    model,
    entityIds: [],
    rows: { $case: 'matrix', value: { columns: values.length / rows, values } },
    policy: ScorePolicy.SCORE_POLICY_UNSPECIFIED,
    shared: new Map(),
    chunkRows: 0,
    inOrder: false,
    topK: 0,
  }).finish();
}

/** An answer of the size that our server's have, for the echo when no real one is at hand. */
export function typicalAnswer(): Buffer {
  return Buffer.from(
    ScoreResponse.encode({
      entityId: '',
      model: 'boosted-trees',
      version: 1n,
      score: 0.123456,
      label: 0,
      labelName: '0',
      segment: 'low',
      origin: Origin.ORIGIN_REAL_TIME,
      scoredAt: { seconds: 1_795_000_000n, nanos: 123_000_000 },
      age: { seconds: 0n, nanos: 0 },
      timing: { featureUs: 10, queueUs: 200, inferenceUs: 150, totalUs: 400, batchRows: 20, storeUs: 0 },
      outputs: new Map(),
    }).finish(),
  );
}

export const MAX_SCORE_DIFFERENCE = 1e-5;

/** How many of the sampled answers are not the score that their row must have. */
export function countWrongScores(
  calls: ScoreCalls,
  samples: readonly { message: number; answer: Uint8Array }[],
): number {
  const { scores } = calls;
  if (scores === undefined) return 0;
  return samples.filter(({ message, answer }) => {
    const { score } = ScoreResponse.decode(answer);
    return !(Math.abs(score - (scores[message] as number)) <= MAX_SCORE_DIFFERENCE);
  }).length;
}
