// Whose tensors are read from shared memory.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ModelInferRequest } from '../../../src/gen/inference/inference.ts';
import { AdminGate } from '../../../src/grpc/admin-gate.ts';
import type { UnaryCall } from '../../../src/grpc/unary-call.ts';
import { MemoryRegions } from '../../../src/inference/memory-regions.ts';
import { modelInferMethod } from '../../../src/inference/model-infer.ts';
import { Admission } from '../../../src/scoring/admission.ts';
import { ModelRegistry } from '../../../src/scoring/model-registry.ts';
import { Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { createTracing } from '../../../src/telemetry/tracing.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { floats, inferRequest } from '../../support/infer-requests.ts';
import { folderOf } from '../../support/model-folder.ts';

/** What becomes of a request with its input and output in shared memory: the status's message, '' where it is answered. */
async function infer(caller: { local: boolean; token?: string }) {
  const folder = await folderOf({ memory: Buffer.concat([floats(3), Buffer.alloc(4)]) });
  const memory = new MemoryRegions(true, folder);
  memory.register({ name: 'r', key: '/memory', offset: 0n, byteSize: 8n });
  const models = new ModelRegistry();
  const model = fakeModel({ name: 'simple' });
  models.add(model);
  const admission = new Admission(10);
  admission.open();
  const method = modelInferMethod({
    edge: {
      metrics: createMetrics(new Registry()),
      tracing: await createTracing({ ratio: 0, endpoint: '', version: '', warn: () => {} }),
      logFault: () => {},
    },
    admission,
    models: () => models,
    run: ({ inputs }, done) => {
      const [input] = [...inputs.values()];
      const times = { queuedMs: 0, startedMs: 0, endedMs: 0, inferenceUs: 0, batchRows: 1 };
      done(undefined, { outputs: input === undefined ? [] : [input], ...times });
    },
    memory,
    gate: new AdminGate('correct-horse-battery'),
    observe: () => {},
    maxMessageBytes: 1 << 20,
  });
  const place = { shared_memory_region: 'r', shared_memory_byte_size: 4n };
  const request = inferRequest(
    'simple',
    [{ name: 'x', datatype: 'FP32', shape: [1, 1], parameters: place, nothing: true }],
    {
      outputs: [{ name: 'score', parameters: { ...place, shared_memory_offset: 4n } }],
    },
  );
  const message = await new Promise<string>((resolve) => {
    const call = {
      peer: { local: caller.local, certified: false },
      header: (name: string) => (name === 'authorization' ? caller.token : undefined),
      deadlineMs: Number.POSITIVE_INFINITY,
      abandoned: false,
      ended: false,
      hold: () => true,
      release: () => {},
      refuse: ({ details }: { details: string }) => resolve(details),
      answer: () => resolve(''),
    };
    method.onMessage(call as unknown as UnaryCall, Buffer.from(ModelInferRequest.encode(request).finish()));
  });
  return {
    message,
    written: readFileSync(join(folder, 'memory')).subarray(4),
    inFlight: admission.inFlight,
    uses: model.uses.count,
  };
}

const DONE = { inFlight: 0, uses: 0 };

test.each([{ local: true }, { local: false, token: 'Bearer correct-horse-battery' }])(
  'shared memory is for callers on this machine, or with the token: %o',
  async (caller) => {
    expect(await infer(caller)).toEqual({ message: '', written: floats(3), ...DONE });
  },
);

test('and for nobody else', async () => {
  const message = expect.stringContaining("callers on the server's machine");
  expect(await infer({ local: false })).toEqual({ message, written: Buffer.alloc(4), ...DONE });
});
