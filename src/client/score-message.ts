// A single score: the question as the wire has it, and the answer as callers do.
import type { Duration } from '../gen/google/protobuf/duration.ts';
import type { Timestamp } from '../gen/google/protobuf/timestamp.ts';
import {
  type Origin as OriginMessage,
  originToJSON,
  type ScorePolicy as PolicyMessage,
  ScoreRequest as RequestMessage,
  type ScoreResponse,
  scorePolicyFromJSON,
} from '../gen/scorewire/v1/scoring.ts';
import { toDuration, toMs } from './duration.ts';
import { toRowMessage } from './row-message.ts';
import { toTensor } from './tensor-values.ts';
import type { Origin, ScoreRequest, ScoreResult, ScoreSubject } from './types.ts';

/** @throws TypeError for a row that is none */
export function encodeRequest(request: ScoreRequest): Buffer {
  const { entityId, row, outputs = [] } = request;
  const bytes = RequestMessage.encode({
    ...subjectMessage(request),
    entity: entityId === undefined ? undefined : { $case: 'entityId', value: String(entityId) },
    row: row === undefined ? undefined : toRowMessage(row),
    outputNames: [...outputs],
  }).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export type SubjectMessage = {
  model: string;
  version: bigint | undefined;
  policy: PolicyMessage;
  maxStaleness: Duration | undefined;
  allowStale: boolean | undefined;
};

export function subjectMessage({ model, version, policy, maxStalenessMs, allowStale }: ScoreSubject): SubjectMessage {
  return {
    model,
    version: version === undefined ? undefined : BigInt(version),
    policy: policy === undefined ? 0 : scorePolicyFromJSON(`SCORE_POLICY_${policy}`),
    maxStaleness: maxStalenessMs === undefined ? undefined : toDuration(maxStalenessMs),
    allowStale,
  };
}

export function toResult(response: ScoreResponse): ScoreResult {
  const { entityId, scoredAt, age, timing = NO_TIMING } = response;
  return {
    entityId: entityId === '' ? undefined : entityId,
    model: response.model,
    version: Number(response.version),
    score: response.score,
    label: response.label,
    labelName: response.labelName,
    segment: response.segment,
    origin: toOrigin(response.origin),
    scoredAt: toDate(scoredAt),
    ageMs: age === undefined ? 0 : toMs(age),
    timing,
    outputs: Object.fromEntries([...response.outputs].map(([name, tensor]) => [name, toTensor(tensor)])),
  };
}

const NO_TIMING = { featureUs: 0, queueUs: 0, inferenceUs: 0, totalUs: 0, batchRows: 0, storeUs: 0 };

export function toOrigin(origin: OriginMessage): Origin {
  return originToJSON(origin).slice('ORIGIN_'.length) as Origin;
}

export function toDate(timestamp: Timestamp | undefined): Date {
  return new Date(timestamp === undefined ? 0 : toMs(timestamp));
}
