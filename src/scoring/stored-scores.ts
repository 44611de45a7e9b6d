// The store, as scoring uses it: looked into, counted, written back to.
import { ScorewireError } from '../errors.ts';
import type { ModelSpec } from '../models/model.ts';
import type { ELSEWHERE, PutCounts, ScorePut, ScoreStore, StoredScore } from '../scores/score-store.ts';
import type { LookUpCells } from '../telemetry/metrics.ts';
import { binaryLabel, segmentIndex } from './classify.ts';
import type { ScoreAnswer, ScoreOrigin, Waiting } from './score-call.ts';
import type { ServedModel } from './served-model.ts';

export type StoredScoresEvents = {
  cells(model: ServedModel): LookUpCells;
  /** So many scores could not be written back. */
  writeBackFailed(model: ServedModel, scores: number, error: ScorewireError): void;
};

/** A score that the model gave for an entity. */
export type ComputedScore = Pick<
  ScoreAnswer,
  'entityId' | 'score' | 'label' | 'outputs' | 'scoredAtMs' | 'featuresAsOfMs'
>;

/** What a look-up for rows of a batch may take, milliseconds. */
export const BATCH_MS = 1000;

export class StoredScores {
  /** Undefined: there is none. */
  readonly store: ScoreStore | undefined;
  readonly #timeoutMs: number;
  readonly #events: StoredScoresEvents;

  /** @param timeoutMs that a look-up may take at most */
  constructor(store: ScoreStore | undefined, timeoutMs: number, events: StoredScoresEvents) {
    this.store = store;
    this.#timeoutMs = timeoutMs;
    this.#events = events;
  }

  /** Where look-ups of the version are counted. */
  cells(model: ServedModel): LookUpCells {
    return this.#events.cells(model);
  }

  peek(model: ServedModel, entity: string): StoredScore | undefined | typeof ELSEWHERE {
    return this.store?.peek(model.scope, entity);
  }

  /**
   * @param untilMs when the answer should be there that the look-up is for; half of what is left is the most it gets
   * @throws ScorewireError UNAVAILABLE
   */
  async fetch(
    model: ServedModel,
    entities: readonly string[],
    untilMs: number,
  ): Promise<readonly (StoredScore | undefined)[]> {
    if (this.store === undefined) return entities.map(() => undefined);
    return this.store.fetch(model.scope, entities, shareOf(untilMs, this.#timeoutMs));
  }

  /** The same for rows of a batch, where nobody waits for one row as for a call. */
  async fetchMany(model: ServedModel, entities: readonly string[]): Promise<readonly (StoredScore | undefined)[]> {
    return this.store === undefined ? [] : this.store.fetch(model.scope, entities, BATCH_MS);
  }

  /** Keeps what calls by entity alone had computed, for as long as the model says; nobody waits for it. */
  writeBack(model: ServedModel, computed: readonly ComputedScore[]): void {
    const { writeBack, writtenBackForMs } = model.storedScores;
    if (this.store === undefined || !writeBack) return;
    const puts = putsOf(computed, writtenBackForMs, '');
    if (puts.length === 0) return;
    this.store.put(model.scope, puts).catch((cause: unknown) => {
      this.#events.writeBackFailed(model, puts.length, storeFailure(cause));
    });
  }

  /** Keeps what was computed in order to be kept. @throws ScorewireError UNAVAILABLE */
  async keep(model: ServedModel, computed: readonly ComputedScore[], job: string): Promise<PutCounts> {
    const puts = putsOf(computed, model.storedScores.keptForMs, job);
    return this.store === undefined ? NOTHING_PUT : this.store.put(model.scope, puts);
  }
}

const NOTHING_PUT: PutCounts = { stored: 0, outdated: 0, invalidated: 0 };

function putsOf(computed: readonly ComputedScore[], keptForMs: number, job: string): ScorePut[] {
  const puts: ScorePut[] = [];
  for (const { entityId: entity, score, label, outputs, scoredAtMs, featuresAsOfMs } of computed) {
    // A score that can't be told is NaN, beside tensors.
    if (Number.isNaN(score)) continue;
    const keptUntilMs = scoredAtMs + keptForMs;
    puts.push({ entity, stored: { score, label, outputs, scoredAtMs, featuresAsOfMs, keptUntilMs, job } });
  }
  return puts;
}

/** The least that a look-up gets, milliseconds: less would be none at all. */
const LEAST_MS = 0.5;

/** How long something before the model may take, so that the model has as much left at least. */
export function shareOf(untilMs: number, limitMs: number): number {
  return Math.max(LEAST_MS, Math.min(limitMs, (untilMs - performance.now()) / 2));
}

/** What a store failed with, as an answer. */
export function storeFailure(cause: unknown): ScorewireError {
  if (cause instanceof ScorewireError) return cause;
  return new ScorewireError('unavailable', 'STORE_UNAVAILABLE', 'the score store failed', { cause });
}

/** Whether a stored score has the tensors that a call asks for. */
export function hasOutputs({ outputs }: StoredScore, names: readonly string[]): boolean {
  return names.length === 0 || (outputs !== undefined && names.every((name) => outputs.has(name)));
}

/** The label of a stored score: a binary model's follows from its threshold, wherever the score comes from. */
export function labelOf(spec: ModelSpec, score: number, label: number): number {
  return spec.task === 'binary' ? binaryLabel(score, spec.threshold) : label;
}

/** A stored score as the answer of a call. */
export function storedAnswer(
  model: ServedModel,
  { entityId, outputNames, receivedMs }: Waiting,
  { score, label, outputs, scoredAtMs, featuresAsOfMs }: StoredScore,
  origin: ScoreOrigin,
  lookedUpMs: number,
): ScoreAnswer {
  const { spec } = model;
  const endedMs = performance.now();
  return {
    model,
    entityId,
    origin,
    score,
    label: labelOf(spec, score, label),
    segment: segmentIndex(score, spec.segments),
    outputs: outputNames.length === 0 || outputs === undefined ? undefined : picked(outputs, outputNames),
    scoredAtMs,
    answeredAtMs: Date.now(),
    featuresAsOfMs,
    receivedMs,
    lookedUpMs,
    queuedMs: lookedUpMs,
    startedMs: lookedUpMs,
    endedMs,
    inferenceUs: 0,
    batchRows: 0,
  };
}

/** The model's default as the answer of a call. */
export function defaultAnswer(model: ServedModel, waiting: Waiting, lookedUpMs: number): ScoreAnswer {
  const nowMs = Date.now();
  const score = Math.fround(model.spec.defaultScore as number);
  const stored = { score, label: -1, outputs: undefined, scoredAtMs: nowMs, featuresAsOfMs: nowMs };
  return storedAnswer(model, waiting, { ...stored, keptUntilMs: nowMs, job: '' }, 'default', lookedUpMs);
}

function picked<T>(all: ReadonlyMap<string, T>, names: readonly string[]): ReadonlyMap<string, T> {
  return new Map([...all].filter(([name]) => names.includes(name)));
}

export function notStored({ spec }: ServedModel, entity: string): ScorewireError {
  return new ScorewireError(
    'not_found',
    'SCORE_NOT_FOUND',
    `the store has no score of ${spec.name} for "${entity}" that is fresh enough`,
    { metadata: { model: spec.name } },
  );
}
