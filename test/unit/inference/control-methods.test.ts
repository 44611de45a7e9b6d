// Who may change what by the Open Inference Protocol, and what KServe's clients are answered.
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import {
  LogSettingsRequest,
  RepositoryModelLoadRequest,
  RepositoryModelUnloadRequest,
  SystemSharedMemoryRegisterRequest,
  SystemSharedMemoryUnregisterRequest,
  TraceSettingRequest,
} from '../../../src/gen/inference/inference.ts';
import { AdminGate } from '../../../src/grpc/admin-gate.ts';
import type { UnaryCall } from '../../../src/grpc/unary-call.ts';
import { controlMethods } from '../../../src/inference/control-methods.ts';
import { LogSettings } from '../../../src/inference/log-settings.ts';
import { MemoryRegions } from '../../../src/inference/memory-regions.ts';
import { TraceSettings } from '../../../src/inference/trace-settings.ts';
import { ModelRegistry } from '../../../src/scoring/model-registry.ts';
import { Registry } from '../../../src/telemetry/instruments.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { createTracing } from '../../../src/telemetry/tracing.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { folderOf } from '../../support/model-folder.ts';

type Outcome = { details?: string; answer?: Uint8Array };

/** Calls a method from elsewhere, or from this machine. */
async function caller(local: boolean, regions = new MemoryRegions(true)) {
  const log = { level: 'info' };
  const loaded: string[] = [];
  const models = new ModelRegistry();
  models.add(fakeModel({ name: 'simple' }));
  const methods = controlMethods({
    edge: {
      metrics: createMetrics(new Registry()),
      tracing: await createTracing({ ratio: 0, endpoint: '', version: '', warn: () => {} }),
      logFault: () => {},
    },
    gate: new AdminGate('correct-horse-battery'),
    models: () => models,
    control: () => ({
      mode: 'explicit',
      load: async (name) => void loaded.push(name),
      unload: async (name) => void loaded.push(`-${name}`),
    }),
    regions,
    logSettings: new LogSettings(log),
    traceSettings: new TraceSettings(0, () => {}),
    maxLoadBytes: 1 << 20,
  });
  const call = (name: string, message: { finish(): Uint8Array }): Promise<Outcome> =>
    new Promise((resolve) => {
      const method = methods.find(({ path }) => path === `/inference.GRPCInferenceService/${name}`);
      const made = {
        peer: { local, certified: false },
        header: () => undefined,
        deadlineMs: Number.POSITIVE_INFINITY,
        abandoned: false,
        refuse: ({ details }: { details: string }) => resolve({ details }),
        answer: (answer: Uint8Array) => resolve({ answer }),
      };
      method?.onMessage(made as unknown as UnaryCall, Buffer.from(message.finish()));
    });
  return { call, log, loaded };
}

const MODEL = { repositoryName: '', modelName: 'simple', parameters: new Map() };

test('callers from elsewhere change nothing', async () => {
  const { call, log, loaded } = await caller(false);
  const quiet = new Map([['log_info', { parameterChoice: { $case: 'boolParam', value: false } as const }]]);
  const often = new Map([['trace_rate', { value: ['1'] }]]);
  for (const refused of [
    call('RepositoryModelLoad', RepositoryModelLoadRequest.encode(MODEL)),
    call('RepositoryModelUnload', RepositoryModelUnloadRequest.encode(MODEL)),
    call(
      'SystemSharedMemoryRegister',
      SystemSharedMemoryRegisterRequest.encode({ name: 'r', key: '/x', offset: 0n, byteSize: 1n }),
    ),
    call('LogSettings', LogSettingsRequest.encode({ settings: quiet })),
    call('TraceSetting', TraceSettingRequest.encode({ modelName: '', settings: often })),
  ]) {
    expect(await refused).toEqual({ details: expect.stringContaining('this service answers callers on') });
  }
  expect(loaded).toEqual([]);
  expect(log.level).toBe('info');
});

test('but may ask, and let go', async () => {
  const { call } = await caller(false);
  for (const answered of [
    call('LogSettings', LogSettingsRequest.encode({ settings: new Map() })),
    call('TraceSetting', TraceSettingRequest.encode({ modelName: 'simple', settings: new Map() })),
    call('SystemSharedMemoryUnregister', SystemSharedMemoryUnregisterRequest.encode({ name: '' })),
  ]) {
    expect(await answered).toEqual({ answer: expect.any(Uint8Array) });
  }
});

test('memory that others registered is not let go by callers from elsewhere', async () => {
  const folder = await folderOf({ memory: 'abcd' });
  const regions = new MemoryRegions(true, folder);
  regions.register({ name: 'r', key: '/memory', offset: 0n, byteSize: 4n });
  const { call } = await caller(false, regions);
  for (const name of ['r', '']) {
    expect(await call('SystemSharedMemoryUnregister', SystemSharedMemoryUnregisterRequest.encode({ name }))).toEqual({
      details: expect.stringContaining('this service answers callers on'),
    });
  }
  expect(regions.has('r')).toBe(true);
  const { call: localCall } = await caller(true, regions);
  await localCall('SystemSharedMemoryUnregister', SystemSharedMemoryUnregisterRequest.encode({ name: 'r' }));
  expect(regions.has('r')).toBe(false);
});

test("Triton's clients are answered nothing, as they expect", async () => {
  const { call, loaded } = await caller(true);
  expect(await call('RepositoryModelLoad', RepositoryModelLoadRequest.encode(MODEL))).toEqual({ answer: Buffer.of() });
  expect(await call('RepositoryModelUnload', RepositoryModelUnloadRequest.encode(MODEL))).toEqual({
    answer: Buffer.of(),
  });
  expect(loaded).toEqual(['simple', '-simple']);
});

test("KServe's clients are told the model, and that it is done", async () => {
  const { call, loaded } = await caller(true);
  const request = { repositoryName: 'simple', modelName: '', parameters: new Map() };
  for (const method of ['RepositoryModelLoad', 'RepositoryModelUnload']) {
    const { answer } = await call(method, RepositoryModelLoadRequest.encode(request));
    const reader = new BinaryReader(answer as Uint8Array);
    expect([reader.tag()[0], reader.string(), reader.tag()[0], reader.bool()]).toEqual([1, 'simple', 2, true]);
    expect(reader.pos).toBe(reader.len);
  }
  expect(loaded).toEqual(['simple', '-simple']);
});
