import { describe, expect, it, test } from 'vitest';
import { type ErrorKind, ScorewireError } from '../../../src/errors.ts';
import { ModelInferRequest } from '../../../src/gen/inference/inference.ts';
import { toInferError } from '../../../src/inference/infer-error.ts';
import { readInferRequest } from '../../../src/inference/infer-request.ts';
import { preparedModel } from '../../../src/inference/prepared-model.ts';
import { RequestCheck } from '../../../src/inference/request-check.ts';
import type { QueuePolicy } from '../../../src/models/model.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { inferRequest } from '../../support/infer-requests.ts';

describe('errors of queue and run as clients of Triton know them', () => {
  it.each<[ErrorKind, string, ErrorKind, string]>([
    ['overloaded', 'QUEUE_FULL', 'unavailable', '[request id: 7] Exceeds maximum queue size'],
    ['unavailable', 'DRAINING', 'unavailable', 'GRPC server is shutting down and has stopped accepting new requests.'],
    ['unavailable', 'NOT_READY', 'unavailable', 'Server not ready'],
    ['unavailable', 'WORKER_LOST', 'unavailable', 'as it was'],
    ['deadline_exceeded', 'DEADLINE_EXPIRED_IN_QUEUE', 'deadline_exceeded', 'as it was'],
    ['internal', 'RUN_FAILED', 'internal', 'as it was'],
  ])('%s, %s', (kind, reason, expected, message) => {
    const error = new ScorewireError(kind, reason, 'as it was', { retryAfterMs: 20 });
    const found = toInferError(error, '7', false);
    expect([found.kind, found.reason, found.message, found.details.retryAfterMs]).toEqual([
      expected,
      reason,
      message,
      20,
    ]);
  });

  it("a request's own timeout", () => {
    const error = new ScorewireError('deadline_exceeded', 'DEADLINE_EXPIRED_IN_QUEUE', 'as it was');
    expect(toInferError(error, '', true)).toMatchObject({ kind: 'unavailable', message: 'Request timeout expired' });
    // The queue says at once what can't be in time.
    const refused = new ScorewireError('overloaded', 'OVERLOADED', 'as it was');
    expect(toInferError(refused, '', true)).toMatchObject({ kind: 'unavailable', message: 'Request timeout expired' });
    const full = new ScorewireError('overloaded', 'QUEUE_FULL', 'as it was');
    expect(toInferError(full, '', true).message).toContain('Exceeds maximum queue size');
  });
});

const REJECT: QueuePolicy = {
  timeoutAction: 'REJECT',
  defaultTimeoutUs: 5000,
  allowTimeoutOverride: true,
  maxQueueSize: 0,
};

test.each<[string, QueuePolicy | undefined, bigint, number]>([
  ['its own without a policy', undefined, 2000n, 2],
  ['none without either', undefined, 0n, Number.POSITIVE_INFINITY],
  ['its own where that is shorter', REJECT, 2000n, 2],
  ["the policy's where its own is longer", REJECT, 9000n, 5],
  ["the policy's where it has none", REJECT, 0n, 5],
  ["the policy's where it may have none", { ...REJECT, allowTimeoutOverride: false }, 2000n, 5],
  ['its own where the policy has none', { ...REJECT, defaultTimeoutUs: 0 }, 2000n, 2],
  ['none where the policy only delays', { ...REJECT, timeoutAction: 'DELAY' }, 2000n, Number.POSITIVE_INFINITY],
])('a request may wait as long as %s', (_, queuePolicy, timeout, expectedMs) => {
  const model = fakeModel(queuePolicy === undefined ? {} : { queuePolicy });
  const message = ModelInferRequest.encode(inferRequest('churn', [], { parameters: { timeout } })).finish();
  const memory = {
    open: () => {
      throw new Error('there is no shared memory');
    },
  };
  const check = new RequestCheck(readInferRequest(message), preparedModel(model), memory, { hold: () => true });
  expect(check.timeoutMs).toBe(expectedMs);
});
