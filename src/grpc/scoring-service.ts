// scorewire.v1.ScoringService: messages to calls, answers to messages.
import { invalidField, toScorewireError } from '../errors.ts';
import type { Row, RowValue } from '../features/row.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import {
  Origin,
  type Row as RowMessage,
  ScorePolicy,
  type ScoreRequest,
  type ScoreResponse,
  ScoringServiceService,
  type Value,
} from '../gen/scorewire/v1/scoring.ts';
import type { Admission } from '../scoring/admission.ts';
import type { ScoringPolicy } from '../scoring/policy.ts';
import type { ScoreAnswer, ScoreCall, ScoreCallback, ScoreOrigin } from '../scoring/score-call.ts';
import { durationMs, toDuration } from './duration.ts';
import { toWireTensor } from './tensor-message.ts';
import { toTimestamp } from './timestamp.ts';
import { type CallContext, type UnaryEdge, type UnaryHandler, unary } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';

/** Score, by `score`. */
export function scoreMethod(edge: UnaryEdge, score: UnaryHandler<ScoreRequest, ScoreResponse>): UnaryMethod {
  return unary(edge, ScoringServiceService.score, score);
}

/** Told about every score that is answered; must not throw. */
export type ScoreObserver = (answer: ScoreAnswer) => void;

/** Scorer.score, of a scorer that need not be there before the door opens. */
export type Score = (call: ScoreCall, callback: ScoreCallback) => void;

/**
 * Scores one request, whatever call it came in. `isModel` tells names that may become a metric's attribute from names that a
 * client merely claims.
 */
export function scoreHandler(
  admission: Admission,
  scoreRow: Score,
  observe: ScoreObserver,
  isModel: (name: string) => boolean,
): UnaryHandler<ScoreRequest, ScoreResponse> {
  return (request, context, done) => {
    context.entityId = canonicalEntity(request);
    admission.enter();
    try {
      scoreRow(
        {
          model: request.model,
          version: request.version,
          entityId: context.entityId,
          row: request.row === undefined ? undefined : toRow(request.row),
          policy: scoringPolicy(request.policy),
          maxStalenessMs: maxStalenessMs(request.maxStaleness),
          allowStale: request.allowStale,
          outputNames: request.outputNames,
          receivedMs: context.receivedMs,
          deadlineMs: context.deadlineMs,
          abandoned: context.abandoned,
        },
        (error, answer) => {
          admission.leave();
          context.model = request.model;
          if (answer === undefined) {
            done(error);
            return;
          }
          let response: ScoreResponse;
          try {
            observe(answer);
            if (context.span !== undefined) traceParts(context, answer);
            response = toResponse(answer);
          } catch (fault) {
            done(toScorewireError(fault));
            return;
          }
          done(undefined, response);
        },
      );
    } catch (error) {
      admission.leave();
      if (isModel(request.model)) context.model = request.model;
      throw error;
    }
  };
}

function canonicalEntity({ entity }: ScoreRequest): string {
  if (entity === undefined) return '';
  return entity.$case === 'entityId' ? entity.value : entity.value.toString();
}

/** @throws ScorewireError INVALID_ARGUMENT for a number that stands for no policy */
export function scoringPolicy(policy: ScorePolicy): ScoringPolicy | undefined {
  switch (policy) {
    case ScorePolicy.SCORE_POLICY_UNSPECIFIED:
      return undefined;
    case ScorePolicy.SCORE_POLICY_PRECOMPUTED_FIRST:
      return 'precomputed_first';
    case ScorePolicy.SCORE_POLICY_REAL_TIME_ONLY:
      return 'real_time_only';
    case ScorePolicy.SCORE_POLICY_PRECOMPUTED_ONLY:
      return 'precomputed_only';
    default:
      throw invalidField('policy', `expected a ScorePolicy from 0 to 3, found ${policy}`);
  }
}

/** @throws ScorewireError INVALID_ARGUMENT for what is no age */
export function maxStalenessMs(limit: Duration | undefined): number | undefined {
  if (limit === undefined) return undefined;
  const ms = durationMs(limit);
  if (ms >= 0) return ms;
  const { seconds, nanos } = limit;
  throw invalidField('max_staleness', `expected a Duration that is not negative, found ${seconds} s and ${nanos} ns`);
}

function toRow({ form }: RowMessage): Row {
  if (form === undefined) throw invalidField('row', 'expected row.dense or row.named, found neither');
  if (form.$case === 'dense') return { form: 'dense', values: form.value.values };
  const values = new Map<string, RowValue | undefined>();
  for (const [name, value] of form.value.values) values.set(name, toValue(value));
  return { form: 'named', values };
}

function toValue({ kind }: Value): RowValue | undefined {
  return kind?.value;
}

function toResponse(answer: ScoreAnswer): ScoreResponse {
  const { model, label, segment } = answer;
  const { spec } = model;
  return {
    entityId: answer.entityId,
    model: spec.name,
    version: BigInt(spec.version),
    score: answer.score,
    label: label < 0 ? undefined : label,
    labelName: label < 0 ? undefined : spec.labels[label],
    segment: segment < 0 ? undefined : spec.segments[segment]?.name,
    origin: ORIGINS[answer.origin],
    scoredAt: toTimestamp(answer.scoredAtMs),
    age: answer.origin === 'real_time' ? NO_AGE : toDuration(Math.max(0, answer.answeredAtMs - answer.scoredAtMs)),
    timing: {
      storeUs: microseconds(answer.lookedUpMs - answer.receivedMs),
      featureUs: microseconds(answer.queuedMs - answer.lookedUpMs),
      queueUs: microseconds(answer.startedMs - answer.queuedMs),
      inferenceUs: Math.round(answer.inferenceUs),
      totalUs: microseconds(answer.endedMs - answer.receivedMs),
      batchRows: answer.batchRows,
    },
    outputs:
      answer.outputs === undefined
        ? NO_OUTPUTS
        : new Map([...answer.outputs].map(([name, tensor]) => [name, toWireTensor(tensor)])),
  };
}

export const ORIGINS: Readonly<Record<ScoreOrigin, Origin>> = {
  precomputed: Origin.ORIGIN_PRECOMPUTED,
  real_time: Origin.ORIGIN_REAL_TIME,
  stale: Origin.ORIGIN_STALE,
  default: Origin.ORIGIN_DEFAULT,
};
const NO_AGE = { seconds: 0n, nanos: 0 };
const NO_OUTPUTS = new Map();

function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1000));
}

function traceParts({ span }: CallContext, answer: ScoreAnswer): void {
  if (answer.lookedUpMs > answer.receivedMs) span?.event('store', answer.receivedMs, answer.lookedUpMs);
  if (answer.batchRows === 0) return;
  span?.event('features', answer.lookedUpMs, answer.queuedMs);
  span?.event('queue', answer.queuedMs, answer.startedMs);
  span?.event('inference', answer.startedMs, answer.endedMs, { 'scorewire.batch.rows': answer.batchRows });
}
