// Entities for stored scores: a model that takes features by entity, calls of an entity alone, and puts of scores.

import { once } from 'node:events';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import {
  PutScoresRequest,
  PutScoresResponse,
  type ScoreEntry,
  ScoreStoreServiceClient,
} from '../../src/gen/scorewire/v1/score_store.ts';
import { Origin, ScorePolicy, ScoreRequest, ScoreResponse } from '../../src/gen/scorewire/v1/scoring.ts';
import { goldenRows, MAX_SCORE_DIFFERENCE } from './requests.ts';
import { BENCH_MODELS, HOST } from './settings.ts';
import { writeEntities } from './tables.ts';

export const PUT_SCORES_PATH = '/scorewire.v1.ScoreStoreService/PutScores';

export const MODEL = 'boosted-trees';

/** Entities that only the feature store knows begin here; those with a stored score begin at 0. */
const FIRST_UNSTORED = 50_000_000;

/** Entries of one message of PutScores. */
const ENTRIES_A_MESSAGE = 1000;

export interface EntityModels {
  models: string;
  /** Settings that a server needs for them. */
  set: readonly string[];
}

/** boosted-trees with a feature view, its features in a file for `unstored` entities; what it computes is not written back. */
export async function writeEntityModel(folder: string, unstored: number): Promise<EntityModels> {
  const golden = join(BENCH_MODELS, MODEL, 'golden.jsonl');
  const columns = (goldenRows(MODEL)[0] as { row: number[] }).row.length;
  const models = join(folder, 'models');
  mkdirSync(models);
  cpSync(join(BENCH_MODELS, MODEL), join(models, MODEL), { recursive: true });
  const manifest = [
    'golden: { file: golden.jsonl }',
    'features:',
    ...Array.from({ length: columns }, (_, index) => `  - { name: c${index}, type: number }`),
    'feature_view: { store: entities }',
    'stored_scores: { write_back: false }',
  ];
  writeFileSync(join(models, MODEL, 'model.yaml'), `${manifest.join('\n')}\n`);
  const file = join(folder, 'entities.parquet');
  await writeEntities(golden, columns, unstored, FIRST_UNSTORED, file);
  const stores = join(folder, 'features.yaml');
  writeFileSync(stores, `entities: { files: ${JSON.stringify(file)}, entity: id }\n`);
  return { models, set: [`features.file=${stores}`] };
}

/** Encoded calls of an entity alone, and what is to come back. */
export interface EntityCalls {
  messages: Uint8Array[];
  /** By message. */
  expected: { origin: Origin; score: number }[];
}

/** Calls of so many entities, each once; every `missEvery`-th of one that only the feature store knows. 0: none. */
export function entityCalls(count: number, missEvery: number): EntityCalls {
  const golden = goldenRows(MODEL);
  const messages: Uint8Array[] = [];
  const expected: EntityCalls['expected'] = [];
  let misses = 0;
  for (let index = 0; index < count; index++) {
    const isMiss = missEvery > 0 && index % missEvery === missEvery - 1;
    const row = isMiss ? misses++ : index;
    messages.push(entityRequest(isMiss ? FIRST_UNSTORED + row : row));
    expected.push(
      isMiss
        ? { origin: Origin.ORIGIN_REAL_TIME, score: (golden[row % golden.length] as { score: number }).score }
        : { origin: Origin.ORIGIN_PRECOMPUTED, score: storedScore(row) },
    );
  }
  return { messages, expected };
}

function entityRequest(entity: number): Uint8Array {
  return ScoreRequest.encode({
    model: MODEL,
    entity: { $case: 'entityId', value: String(entity) },
    policy: ScorePolicy.SCORE_POLICY_UNSPECIFIED,
    outputNames: [],
  }).finish();
}

/** @throws Error where a sampled answer came from elsewhere or has another score */
export function checkEntityAnswers(
  calls: EntityCalls,
  samples: readonly { message: number; answer: Uint8Array }[],
): void {
  for (const { message, answer } of samples) {
    const { origin, score, entityId } = ScoreResponse.decode(answer);
    const expected = calls.expected[message] as EntityCalls['expected'][number];
    if (origin === expected.origin && Math.abs(score - expected.score) <= MAX_SCORE_DIFFERENCE) continue;
    throw new Error(
      `entity ${entityId}: ${score} from ${origin}, where ${expected.score} from ${expected.origin} was expected`,
    );
  }
}

function storedScore(entity: number): number {
  return (entity % 1000) / 1000;
}

/** Puts the scores of entities `from` to `to`, the latter not among them, as fast as the server takes them. */
export async function putScores(port: number, from: number, to: number): Promise<void> {
  const client = new ScoreStoreServiceClient(`${HOST}:${port}`, credentials.createInsecure());
  try {
    let finish: (error: Error | null, response: PutScoresResponse) => void = () => {};
    const response = new Promise<PutScoresResponse>((resolve, reject) => {
      finish = (error, answer) => (error === null ? resolve(answer) : reject(error));
    });
    const call = client.putScores((error, answer) => finish(error, answer));
    // The response says what went wrong.
    call.on('error', () => {});
    for (let first = from; first < to; first += ENTRIES_A_MESSAGE) {
      const some = entries(first, Math.min(to, first + ENTRIES_A_MESSAGE));
      if (!call.write(message(some, first === from ? MODEL : ''))) await Promise.race([once(call, 'drain'), response]);
    }
    call.end();
    const { received, stored } = await response;
    if (received !== stored) throw new Error(`${stored} of ${received} scores were stored`);
  } finally {
    client.close();
  }
}

/**
 * Encoded calls of PutScores of one message each, which on the wire are unary calls: `entriesEach` entities a call, spread over those from
 * `from` to `to`.
 */
export function putCalls(from: number, to: number, count: number, entriesEach: number): Uint8Array[] {
  const step = Math.floor((to - from) / count);
  if (step < entriesEach)
    throw new RangeError(`${to - from} entities are too few for ${count} calls of ${entriesEach}`);
  return Array.from({ length: count }, (_, call) => {
    const first = from + call * step;
    return PutScoresRequest.encode(message(entries(first, first + entriesEach), MODEL)).finish();
  });
}

/** @throws Error where a sampled call stored less than it was given */
export function checkPutAnswers(samples: readonly { answer: Uint8Array }[]): void {
  for (const { answer } of samples) {
    const { received, stored } = PutScoresResponse.decode(answer);
    if (received !== stored) throw new Error(`${stored} of ${received} scores were stored`);
  }
}

function message(some: ScoreEntry[], model: string): PutScoresRequest {
  return { model, digest: '', job: '', entries: some };
}

function entries(from: number, to: number): ScoreEntry[] {
  return Array.from({ length: to - from }, (_, index) => ({
    entity: { $case: 'entityId' as const, value: String(from + index) },
    score: storedScore(from + index),
    outputs: new Map(),
  }));
}
