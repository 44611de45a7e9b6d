// The facade of scoring: a call in, exactly one answer or error out.
import { invalidField, ScorewireError } from '../errors.ts';
import { EntityCall, type EntityCallParts, entityProblem } from './entity-call.ts';
import type { ModelRegistry } from './model-registry.ts';
import { limitsOf, policyOf } from './policy.ts';
import type { ScoreCall, ScoreCallback } from './score-call.ts';
import type { ServedModel } from './served-model.ts';

export class Scorer {
  readonly #models: ModelRegistry;
  readonly #parts: EntityCallParts;

  constructor(models: ModelRegistry, parts: EntityCallParts) {
    this.#models = models;
    this.#parts = parts;
  }

  /**
   * Scores one row or entity. Calls back exactly once, perhaps before it returns.
   * @throws ScorewireError what can be said at once (the callback is not called then): NOT_FOUND, INVALID_ARGUMENT,
   * FAILED_PRECONDITION, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE.
   */
  score(call: ScoreCall, callback: ScoreCallback): void {
    const model = this.#models.get(call.model, call.version);
    const { uses } = model;
    uses.begin();
    try {
      this.#score(model, call, (error, answer) => {
        uses.end();
        callback(error, answer);
      });
    } catch (error) {
      uses.end();
      throw error;
    }
  }

  #score(model: ServedModel, call: ScoreCall, callback: ScoreCallback): void {
    const fetched = wantedOutputs(model, call.outputNames);
    const { row, entityId } = call;
    const policy = policyOf(call.policy, row !== undefined);
    if (policy !== 'real_time_only' || row === undefined) checkEntity(entityId, row === undefined);
    if (policy !== 'real_time_only') {
      if (policy === 'precomputed_only') requireStore(this.#parts.stored.store);
      const limits = limitsOf(model.storedScores, call.maxStalenessMs, call.allowStale);
      new EntityCall(this.#parts, model, call, row, fetched, policy, limits, callback).start();
    } else if (row !== undefined) {
      this.#parts.realTime.score(model, row, call, fetched, call.receivedMs, callback);
    } else {
      this.#parts.shared.score(model, call, fetched, call.receivedMs, callback);
    }
  }
}

/** @throws ScorewireError INVALID_ARGUMENT for an id that nothing can be looked up by */
function checkEntity(entity: string, alone: boolean): void {
  if (entity === '' && alone) throw invalidField('row', 'expected a row or an entity, found neither');
  const problem = entityProblem(entity);
  if (problem !== '') throw invalidField('entity_id', problem);
}

/** @throws ScorewireError FAILED_PRECONDITION */
export function requireStore<Store>(store: Store | undefined): Store {
  if (store !== undefined) return store;
  throw new ScorewireError('failed_precondition', 'NO_STORE', 'this server keeps no scores (store.kind is off)');
}

/** What a run fetches for a score. @throws ScorewireError FAILED_PRECONDITION where the model's score can't be told */
export function scoreOutputs({ spec, scoreOutputs: outputs }: ServedModel): readonly string[] {
  if (spec.score !== undefined) return outputs;
  throw new ScorewireError(
    'failed_precondition',
    'SCORE_NOT_CONFIGURED',
    `${spec.scoreProblem} (its tensors are served: ask for them by output_names)`,
    {
      metadata: { model: spec.name },
    },
  );
}

function wantedOutputs(model: ServedModel, asked: readonly string[]): readonly string[] {
  const { spec } = model;
  if (asked.length === 0) return scoreOutputs(model);
  for (const [index, name] of asked.entries()) {
    if (!spec.outputs.some((output) => output.name === name)) {
      const known = spec.outputs.map((output) => output.name).join(', ');
      throw invalidField(`output_names[${index}]`, `expected one of ${known}, found "${name.slice(0, 100)}"`);
    }
    // A list that must repeat itself is no request: half a million names would hold all other callers up.
    if (index === spec.outputs.length) {
      throw invalidField('output_names', `expected at most ${spec.outputs.length} names, found ${asked.length}`);
    }
  }
  return [...new Set([...model.scoreOutputs, ...asked])];
}
