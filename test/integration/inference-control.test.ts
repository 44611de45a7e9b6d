// The Open Inference Protocol: shared memory, trace and log settings, and models that callers may not load.
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LogSettingsRequest_SettingValue } from '../../src/gen/inference/inference.ts';
import { InferenceClient } from '../support/inference-client.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer } from '../support/test-server.ts';

const KEY = `/scorewire-test-${randomUUID()}`;
const FILE = `/dev/shm${KEY}`;

let folder: string;
let server: TestServer;
let client: InferenceClient;

beforeAll(async () => {
  writeFileSync(FILE, Buffer.alloc(64));
  folder = await modelFolder({ simple: linear([1], 0) });
  server = await TestServer.start(folder, ['inference.client_shared_memory=on']);
  client = new InferenceClient(server.address);
});

afterAll(async () => {
  client.close();
  await server.stop();
  rmSync(FILE, { force: true });
});

describe('shared memory', () => {
  const register = (name: string, byteSize: bigint, key = KEY) =>
    client.call('systemSharedMemoryRegister', { name, key, offset: 0n, byteSize });
  const status = async (name: string) => (await client.call('systemSharedMemoryStatus', { name })).regions;

  test('is registered, listed, and gone again', async () => {
    await register('input', 64n);
    await register('output', 32n);
    const input = { name: 'input', key: KEY, offset: 0n, byteSize: 64n };
    expect(await status('input')).toEqual(new Map([['input', input]]));
    expect([...(await status('')).keys()]).toEqual(['input', 'output']);
    await client.call('systemSharedMemoryUnregister', { name: 'input' });
    await client.call('systemSharedMemoryUnregister', { name: 'input' });
    expect(await failureOf(status('input'))).toMatchObject({
      code: 'NOT_FOUND',
      message: "Unable to find system shared memory region: 'input'",
    });
    await client.call('systemSharedMemoryUnregister', { name: '' });
    expect(await status('')).toEqual(new Map());
  });

  test('what can not be registered', async () => {
    await register('input', 64n);
    expect(await failureOf(register('input', 64n))).toMatchObject({
      code: 'ALREADY_EXISTS',
      message: "shared memory region 'input' already in manager",
    });
    expect(await failureOf(register('other', 65n))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: "failed to register shared memory region 'other': invalid args",
    });
    expect(await failureOf(register('other', 1n, '/scorewire-nothing'))).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining("Unable to open shared memory region: '/scorewire-nothing'"),
    });
    await client.call('systemSharedMemoryUnregister', { name: '' });
  });

  test('of a GPU there is none; asking and letting go is no error', async () => {
    await client.call('cudaSharedMemoryUnregister', { name: '' });
    await client.call('cudaSharedMemoryUnregister', { name: 'r' });
    expect(await client.call('cudaSharedMemoryStatus', { name: '' })).toEqual({ regions: new Map() });
    const call = client.call('cudaSharedMemoryRegister', {
      name: 'r',
      rawHandle: new Uint8Array(64),
      deviceId: 0n,
      byteSize: 1n,
    });
    expect(await failureOf(call)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: "failed to register CUDA shared memory region: 'r', GPUs not supported",
    });
  });

  test('is off unless it is switched on; asking and letting go is no error', async () => {
    const other = await TestServer.start(folder);
    const asking = new InferenceClient(other.address);
    try {
      await asking.call('systemSharedMemoryUnregister', { name: '' });
      expect(await asking.call('systemSharedMemoryStatus', { name: '' })).toEqual({ regions: new Map() });
      const call = asking.call('systemSharedMemoryRegister', { name: 'r', key: KEY, offset: 0n, byteSize: 64n });
      expect(await failureOf(call)).toMatchObject({
        code: 'UNIMPLEMENTED',
        message:
          "Client shared memory is disabled. Start the server with '--set inference.client_shared_memory=on' to enable.",
      });
    } finally {
      asking.close();
      await other.stop();
    }
  });
});

describe('load and unload where callers decide nothing', () => {
  test.each(['repositoryModelLoad', 'repositoryModelUnload'] as const)('%s', async (method) => {
    const call = client.call(method, { repositoryName: '', modelName: 'simple', parameters: new Map() });
    expect(await failureOf(call)).toMatchObject({
      code: 'UNAVAILABLE',
      message: 'explicit model load / unload is not allowed if polling is enabled',
    });
  });
});

describe('log settings', () => {
  const set = async (values: Readonly<Record<string, LogSettingsRequest_SettingValue['parameterChoice']>>) => {
    const settings = Object.entries(values).map(([name, parameterChoice]) => [name, { parameterChoice }] as const);
    const answer = await client.call('logSettings', { settings: new Map(settings) });
    return Object.fromEntries(
      [...answer.settings].map(([name, { parameterChoice }]) => [name, parameterChoice?.value]),
    );
  };

  test('are answered, and change which lines there are', async () => {
    expect(await set({})).toEqual({
      log_file: '',
      log_info: true,
      log_warning: true,
      log_error: true,
      log_verbose_level: 0,
      log_format: 'default',
    });
    const promoted = () => server.lines.filter(({ msg }) => msg === 'model simple promoted').length;
    const promote = () =>
      new Promise((resolve, reject) =>
        server.client.models.promoteModel({ model: 'simple', minCoverage: 0 }, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        ),
      );
    await promote();
    expect(promoted()).toBe(1);
    expect(await set({ log_info: { $case: 'boolParam', value: false } })).toMatchObject({ log_info: false });
    await promote();
    expect(promoted()).toBe(1);
    await set({ log_info: { $case: 'boolParam', value: true } });
    await promote();
    expect(promoted()).toBe(2);
  });

  test('the file stays where it is', async () => {
    expect(await failureOf(set({ log_file: { $case: 'stringParam', value: 'x' } }))).toMatchObject({
      code: 'UNIMPLEMENTED',
      message: 'log file location can not be updated through network protocol',
    });
  });
});

describe('trace settings', () => {
  const ask = async (modelName = '', values: Readonly<Record<string, string[]>> = {}) => {
    const settings = new Map(Object.entries(values).map(([name, value]) => [name, { value }]));
    const answer = await client.call('traceSetting', { modelName, settings });
    return Object.fromEntries([...answer.settings].map(([name, { value }]) => [name, value]));
  };

  test('are answered, of all and of one model, and changed', async () => {
    const initial = {
      trace_level: ['OFF'],
      trace_rate: ['1000'],
      trace_count: ['-1'],
      log_frequency: ['0'],
      trace_file: [''],
      trace_mode: ['triton'],
    };
    expect(await ask()).toEqual(initial);
    expect(await ask('simple')).toEqual(initial);
    expect(await ask('simple', { trace_rate: ['5'] })).toEqual({ ...initial, trace_rate: ['5'] });
    expect(await ask()).toEqual(initial);
    expect(await ask('simple', { trace_rate: [] })).toEqual(initial);
  });

  test('of a model that is not there', async () => {
    expect(await failureOf(ask('nothing'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'Request for unknown model : nothing',
    });
  });
});
