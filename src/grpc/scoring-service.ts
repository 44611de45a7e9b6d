// scorewire.v1.ScoringService: messages to calls, answers to messages.
import { invalidField, ScorewireError } from '../errors.ts';
import type { Row, RowValue } from '../features/row.ts';
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
import type { ScoreAnswer, ScoreCall, ScoreCallback } from '../scoring/scorer.ts';
import { toScorewireError } from './status.ts';
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
          row: rowOf(request),
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

function rowOf({ row, policy }: ScoreRequest): Row {
  if (row === undefined) {
    throw new ScorewireError(
      'unimplemented',
      'NO_ROW',
      'row: expected a row; looking features and scores up by entity is not built yet',
      { violations: [{ field: 'row', description: 'expected row.dense or row.named, found nothing' }] },
    );
  }
  requireRealTime(policy);
  return toRow(row);
}

/** @throws ScorewireError UNIMPLEMENTED for a policy that asks for stored scores */
export function requireRealTime(policy: ScorePolicy): void {
  if (policy === ScorePolicy.SCORE_POLICY_UNSPECIFIED || policy === ScorePolicy.SCORE_POLICY_REAL_TIME_ONLY) return;
  throw new ScorewireError('unimplemented', 'NO_STORE', 'policy: only REAL_TIME_ONLY is built yet', {
    violations: [{ field: 'policy', description: 'expected UNSPECIFIED or REAL_TIME_ONLY' }],
  });
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
    origin: Origin.ORIGIN_REAL_TIME,
    scoredAt: toTimestamp(answer.scoredAtMs),
    age: NO_AGE,
    timing: {
      featureUs: microseconds(answer.queuedMs - answer.receivedMs),
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

const NO_AGE = { seconds: 0n, nanos: 0 };
const NO_OUTPUTS = new Map();

function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1000));
}

function traceParts({ span }: CallContext, answer: ScoreAnswer): void {
  span?.event('features', answer.receivedMs, answer.queuedMs);
  span?.event('queue', answer.queuedMs, answer.startedMs);
  span?.event('inference', answer.startedMs, answer.endedMs, { 'scorewire.batch.rows': answer.batchRows });
}
