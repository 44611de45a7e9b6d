// Who may promote; what a promotion does is in test/integration/promote.test.ts.
import { expect, test } from 'vitest';
import { PromoteModelRequest } from '../../../src/gen/scorewire/v1/model.ts';
import { AdminGate } from '../../../src/grpc/admin-gate.ts';
import { promoteModelMethod } from '../../../src/grpc/promote-model.ts';
import type { UnaryCall } from '../../../src/grpc/unary-call.ts';
import { Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { createTracing } from '../../../src/telemetry/tracing.ts';
import { testLog } from '../../support/test-server.ts';

test('is not for callers from elsewhere', async () => {
  const { log } = testLog();
  const tracing = await createTracing({ ratio: 0, endpoint: '', version: '', warn: () => {} });
  const method = promoteModelMethod({
    edge: { metrics: createMetrics(new Registry()), tracing, logFault: () => {} },
    gate: new AdminGate('correct-horse-battery'),
    models: () => {
      throw new Error('a caller who is not let in got to the models');
    },
    store: undefined,
    log,
  });
  const refused: unknown[] = [];
  const call = {
    peer: { local: false, certified: false },
    header: () => undefined,
    deadlineMs: Number.POSITIVE_INFINITY,
    abandoned: false,
    refuse: (status: { details: string }) => refused.push(status),
  };
  const message = Buffer.from(PromoteModelRequest.encode({ model: 'churn', version: 2n, minCoverage: 0 }).finish());
  method.onMessage(call as unknown as UnaryCall, message);
  expect(refused).toMatchObject([{ details: expect.stringContaining('this service answers callers on') }]);
});
