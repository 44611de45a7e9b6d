// A call that the store may answer: looked up, else computed, else an older score or the default, else the error.
import { ScorewireError, toScorewireError } from '../errors.ts';
import type { Row } from '../features/row.ts';
import { ELSEWHERE, type StoredScore } from '../scores/score-store.ts';
import { afterFailure, afterLookUp, blamed, type ScoringPolicy, type StalenessLimits } from './policy.ts';
import type { RealTime } from './real-time.ts';
import type { ScoreAnswer, ScoreCallback, Waiting } from './score-call.ts';
import type { ServedModel } from './served-model.ts';
import type { SharedScores } from './shared-scores.ts';
import {
  defaultAnswer,
  hasOutputs,
  notStored,
  type StoredScores,
  storedAnswer,
  storeFailure,
} from './stored-scores.ts';

export type EntityCallParts = {
  stored: StoredScores;
  shared: SharedScores;
  realTime: RealTime;
};

/** What an old score must arrive before the caller's deadline by, milliseconds; timers are no more exact than that. */
const MARGIN_MS = 2;

export class EntityCall {
  readonly #parts: EntityCallParts;
  readonly #model: ServedModel;
  readonly #waiting: Waiting;
  readonly #row: Row | undefined;
  readonly #fetched: readonly string[];
  readonly #policy: Exclude<ScoringPolicy, 'real_time_only'>;
  readonly #limits: StalenessLimits;
  readonly #callback: ScoreCallback;
  /** What the store has, be it old. */
  #found: StoredScore | undefined;
  #lookedUpMs = 0;
  /** Why the store did not answer. */
  #lookUpFailure: ScorewireError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #done = false;

  /** @param row what the caller sent; undefined: the entity alone */
  constructor(
    parts: EntityCallParts,
    model: ServedModel,
    waiting: Waiting,
    row: Row | undefined,
    fetched: readonly string[],
    policy: Exclude<ScoringPolicy, 'real_time_only'>,
    limits: StalenessLimits,
    callback: ScoreCallback,
  ) {
    this.#parts = parts;
    this.#model = model;
    this.#waiting = waiting;
    this.#row = row;
    this.#fetched = fetched;
    this.#policy = policy;
    this.#limits = limits;
    this.#callback = callback;
  }

  /** Calls back exactly once, at once where the store knows. */
  start(): void {
    const { stored } = this.#parts;
    const { entityId } = this.#waiting;
    const known = stored.peek(this.#model, entityId);
    if (known !== ELSEWHERE) {
      this.#lookedUp(known, undefined);
      return;
    }
    stored.fetch(this.#model, [entityId], this.#untilMs()).then(
      ([found]) => this.#lookedUp(found, undefined),
      (cause: unknown) => this.#lookedUp(undefined, storeFailure(cause)),
    );
  }

  #lookedUp(found: StoredScore | undefined, failure: ScorewireError | undefined): void {
    this.#lookedUpMs = performance.now();
    this.#lookUpFailure = failure;
    this.#found = found !== undefined && hasOutputs(found, this.#waiting.outputNames) ? found : undefined;
    const cells = this.#parts.stored.cells(this.#model);
    const ageMs = this.#found === undefined ? undefined : Date.now() - this.#found.scoredAtMs;
    const next = afterLookUp(this.#policy, ageMs, this.#limits);
    if (next === 'precomputed') {
      cells.hit.add();
      this.#answerStored('precomputed');
      return;
    }
    // Without a store nothing was looked for.
    if (this.#parts.stored.store !== undefined) (failure === undefined ? cells.miss : cells.unavailable).add();
    if (next === 'compute') this.#compute();
    else if (next === 'stale') this.#answerStored('stale');
    else this.#fallBack(failure ?? notStored(this.#model, this.#waiting.entityId));
  }

  #compute(): void {
    const { shared, realTime } = this.#parts;
    this.#setTimer();
    const done: ScoreCallback = (error, answer) => {
      if (answer !== undefined) this.#settle(undefined, answer);
      else this.#fallBack(error as ScorewireError);
    };
    if (this.#row === undefined) {
      shared.score(this.#model, this.#waiting, this.#fetched, this.#lookedUpMs, done);
      return;
    }
    try {
      realTime.score(this.#model, this.#row, this.#waiting, this.#fetched, this.#lookedUpMs, done);
    } catch (error) {
      this.#fallBack(toScorewireError(error));
    }
  }

  /** Where something else could be answered, the model gets as long as the latency budget says. */
  #setTimer(): void {
    if (this.#onFailure(LATE) === 'error') return;
    const untilMs = this.#untilMs() - MARGIN_MS;
    this.#timer = setTimeout(() => this.#fallBack(LATE), Math.max(0, untilMs - performance.now()));
  }

  #untilMs(): number {
    const { deadlineMs, receivedMs } = this.#waiting;
    return Math.min(deadlineMs, receivedMs + this.#model.latencyBudgetMs + MARGIN_MS);
  }

  #onFailure(error: ScorewireError) {
    const hasDefault = this.#model.spec.defaultScore !== undefined && this.#waiting.outputNames.length === 0;
    return afterFailure(error, this.#found !== undefined, this.#limits, hasDefault);
  }

  #fallBack(error: ScorewireError): void {
    const answer = this.#onFailure(error);
    if (answer === 'stale') this.#answerStored('stale');
    else if (answer === 'default') this.#settle(undefined, defaultAnswer(this.#model, this.#waiting, this.#lookedUpMs));
    else this.#settle(blamed(error, this.#lookUpFailure), undefined);
  }

  #answerStored(origin: 'precomputed' | 'stale'): void {
    const found = this.#found as StoredScore;
    this.#settle(undefined, storedAnswer(this.#model, this.#waiting, found, origin, this.#lookedUpMs));
  }

  #settle(error: ScorewireError | undefined, answer: ScoreAnswer | undefined): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    this.#callback(error, answer);
  }
}

const LATE = new ScorewireError('deadline_exceeded', 'BUDGET_SPENT', 'the model did not answer in time');

/** Characters of an entity's id at most. */
const MAX_ENTITY = 256;

/** What is wrong with an entity's id that something is looked up by; '' where nothing is. */
export function entityProblem(entity: string): string {
  if (entity === '') return 'expected an entity, found nothing';
  return entity.length > MAX_ENTITY ? `expected at most ${MAX_ENTITY} characters, found ${entity.length}` : '';
}
