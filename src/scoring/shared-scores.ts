// Entities whose score is being computed: who asks for the same one meanwhile waits for the same answer.
import { type ScorewireError, toScorewireError } from '../errors.ts';
import type { RealTime } from './real-time.ts';
import type { ScoreAnswer, ScoreCallback, Waiting } from './score-call.ts';
import type { ServedModel } from './served-model.ts';

type Waiter = { waiting: Waiting; lookedUpMs: number; callback: ScoreCallback };

export class SharedScores {
  readonly #realTime: RealTime;
  readonly #onScored: (answer: ScoreAnswer) => void;
  /** By entity and outputs. */
  readonly #open = new Map<ServedModel, Map<string, SharedScore>>();

  /** @param onScored told once for each score that was computed */
  constructor(realTime: RealTime, onScored: (answer: ScoreAnswer) => void) {
    this.#realTime = realTime;
    this.#onScored = onScored;
  }

  /** Scores an entity by its features. Calls back exactly once. */
  score(
    model: ServedModel,
    waiting: Waiting,
    fetched: readonly string[],
    lookedUpMs: number,
    callback: ScoreCallback,
  ): void {
    this.#join(model, { waiting, lookedUpMs, callback }, fetched);
  }

  #join(model: ServedModel, waiter: Waiter, fetched: readonly string[]): void {
    const { entityId, outputNames } = waiter.waiting;
    let ofModel = this.#open.get(model);
    if (ofModel === undefined) {
      ofModel = new Map();
      this.#open.set(model, ofModel);
    }
    // In this order no entity, whatever its name, is taken for another one with outputs.
    const key = `${JSON.stringify(outputNames)}${entityId}`;
    const open = ofModel.get(key);
    if (open !== undefined) {
      open.waiters.push(waiter);
      return;
    }
    const shared = new SharedScore(waiter);
    ofModel.set(key, shared);
    const settle = (error: ScorewireError | undefined, answer: ScoreAnswer | undefined): void => {
      ofModel.delete(key);
      if (ofModel.size === 0) this.#open.delete(model);
      if (answer !== undefined) this.#onScored(answer);
      const nowMs = performance.now();
      const goOn: Waiter[] = [];
      for (const each of shared.waiters) {
        const { deadlineMs, abandoned } = each.waiting;
        // Who has more time than it was given need not fail with it.
        const hasTime = deadlineMs > shared.deadlineMs && deadlineMs > nowMs && !abandoned();
        if (error !== undefined && hasTime && isOfTime(error)) goOn.push(each);
        else each.callback(error, answer && ofWaiter(answer, each));
      }
      // Once more, with as much time as any of them has.
      goOn.sort((a, b) => b.waiting.deadlineMs - a.waiting.deadlineMs);
      for (const each of goOn) this.#join(model, each, fetched);
    };
    try {
      this.#realTime.score(model, undefined, shared, fetched, waiter.lookedUpMs, settle);
    } catch (error) {
      settle(toScorewireError(error), undefined);
    }
  }
}

/** Whether more time may keep it from happening. What a worker or the server fails with is not tried again. */
function isOfTime({ kind, reason }: ScorewireError): boolean {
  return kind === 'deadline_exceeded' || kind === 'overloaded' || reason === 'FEATURES_UNAVAILABLE';
}

/** One computation, for all who wait for it: as urgent as the first of them was, and wanted as long as one of them is there. */
class SharedScore implements Waiting {
  readonly waiters: Waiter[];
  readonly entityId: string;
  readonly outputNames: readonly string[];
  readonly receivedMs: number;
  readonly deadlineMs: number;

  constructor(first: Waiter) {
    this.waiters = [first];
    const { entityId, outputNames, receivedMs, deadlineMs } = first.waiting;
    this.entityId = entityId;
    this.outputNames = outputNames;
    this.receivedMs = receivedMs;
    this.deadlineMs = deadlineMs;
  }

  readonly abandoned = (): boolean => this.waiters.every(({ waiting }) => waiting.abandoned());
}

function ofWaiter(answer: ScoreAnswer, { waiting, lookedUpMs }: Waiter): ScoreAnswer {
  const { receivedMs } = waiting;
  if (answer.receivedMs === receivedMs) return answer;
  // What was done before it came took none of its time.
  const queuedMs = Math.max(answer.queuedMs, lookedUpMs);
  const startedMs = Math.max(answer.startedMs, queuedMs);
  return { ...answer, receivedMs, lookedUpMs, queuedMs, startedMs };
}
