import { describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import type { ModelRepositoryParameter } from '../../../src/gen/inference/inference.ts';
import { type ControlRequest, loadModel, unloadModel } from '../../../src/inference/load-model.ts';
import type { ModelOverride } from '../../../src/models/model-files.ts';
import type { ControlMode, ModelControl } from '../../../src/scoring/model-control.ts';

/** Knows the model `simple`. */
class FakeControl implements ModelControl {
  readonly mode: ControlMode;
  readonly calls: [what: string, name: string, override?: ModelOverride][] = [];
  readonly #problem: ScorewireError | undefined;

  constructor(mode: ControlMode = 'explicit', problem?: ScorewireError) {
    this.mode = mode;
    this.#problem = problem;
  }

  async load(name: string, override?: ModelOverride): Promise<void> {
    this.calls.push(override === undefined ? ['load', name] : ['load', name, override]);
    if (this.#problem !== undefined) throw this.#problem;
    if (name !== 'simple') throw new ScorewireError('not_found', 'MODEL_NOT_FOUND', `no folder ${name}`);
  }

  async unload(name: string): Promise<void> {
    this.calls.push(['unload', name]);
    if (this.#problem !== undefined) throw this.#problem;
  }
}

const text = (value: string): ModelRepositoryParameter => ({ parameterChoice: { $case: 'stringParam', value } });
const flag = (value: boolean): ModelRepositoryParameter => ({ parameterChoice: { $case: 'boolParam', value } });
const bytes = (...value: number[]): ModelRepositoryParameter => ({
  parameterChoice: { $case: 'bytesParam', value: Uint8Array.from(value) },
});

function asking(
  modelName: string,
  parameters: Readonly<Record<string, ModelRepositoryParameter>> = {},
  repositoryName = '',
): ControlRequest {
  return { repositoryName, modelName, parameters: new Map(Object.entries(parameters)) };
}

const NOT_EXPLICIT = {
  kind: 'unavailable',
  message: 'explicit model load / unload is not allowed if polling is enabled',
};

describe('load', () => {
  test('a model as it lies on disk', async () => {
    const control = new FakeControl();
    expect(await loadModel(control, asking('simple'))).toBe('simple');
    expect(control.calls).toEqual([['load', 'simple']]);
  });

  test('with a config and files of its own, which outlive the request', async () => {
    const control = new FakeControl();
    const file = bytes(1, 2, 3);
    const config = '{"max_batch_size":"16"}';
    await loadModel(control, asking('simple', { config: text(config), 'file:1/model.onnx': file }));
    if (file.parameterChoice?.$case === 'bytesParam') file.parameterChoice.value.fill(0);
    expect(control.calls).toEqual([
      ['load', 'simple', { config, files: new Map([['1/model.onnx', Uint8Array.of(1, 2, 3)]]) }],
    ]);
  });

  test("in the form of KServe's clients", async () => {
    const control = new FakeControl();
    expect(await loadModel(control, asking('', {}, 'simple'))).toBe('simple');
    expect(control.calls).toEqual([['load', 'simple']]);
  });

  test.each([
    ['', 'Model name cannot be empty. Please enter a valid name to deploy.'],
    [' \t\n', 'Model name cannot be empty. Please enter a valid name to deploy.'],
    ['..', "invalid model name '..', model name must not contain path traversal characters"],
    [' .. ', "invalid model name ' .. ', model name must not contain path traversal characters"],
    ['../x', "invalid model name '../x', model name must not contain path traversal characters"],
    ['a/b', "invalid model name 'a/b', model name must not contain path traversal characters"],
  ])('the name "%s" is refused before anything is loaded', async (name, message) => {
    const control = new FakeControl();
    await expect(loadModel(control, asking(name))).rejects.toMatchObject({ kind: 'invalid_argument', message });
    expect(control.calls).toEqual([]);
  });

  test.each([
    [{ config: bytes(1) }, "invalid value type for load parameter 'config', expected string_param."],
    [{ config: {} }, "invalid value type for load parameter 'config', expected string_param."],
    [{ 'file:1/x': text('x') }, "invalid value type for load parameter 'file:1/x', expected bytes_param."],
    [{ priority: flag(true) }, "unrecognized load parameter 'priority'."],
    ...['', '/x', '../x', '1/../../x', '1//x', '1\\x', 'x\0'].map(
      (path): [Record<string, ModelRepositoryParameter>, string] => [
        { config: text('{}'), [`file:${path}`]: bytes(1) },
        `load parameter 'file:${path}' must be a path in the model's folder, such as file:1/model.onnx`,
      ],
    ),
  ])('the parameters %j are refused before anything is loaded', async (parameters, message) => {
    const control = new FakeControl();
    const loading = loadModel(control, asking('simple', parameters as Record<string, ModelRepositoryParameter>));
    await expect(loading).rejects.toMatchObject({ kind: 'invalid_argument', message });
    expect(control.calls).toEqual([]);
  });

  test('a repository by name', async () => {
    await expect(loadModel(new FakeControl(), asking('simple', {}, 'other'))).rejects.toMatchObject({
      kind: 'unimplemented',
      message: "'repository_name' specification is not supported",
    });
  });

  test.each([undefined, new FakeControl('none'), new FakeControl('poll')])('not explicit: %o', async (control) => {
    await expect(loadModel(control, asking('simple'))).rejects.toMatchObject(NOT_EXPLICIT);
    expect(control?.calls ?? []).toEqual([]);
  });

  test('a model that there is not', async () => {
    await expect(loadModel(new FakeControl(), asking('other'))).rejects.toMatchObject({
      kind: 'internal',
      message: "failed to load 'other', failed to poll from model repository",
    });
  });

  test('files without a config', async () => {
    const control = new FakeControl();
    await expect(loadModel(control, asking('simple', { 'file:1/model.onnx': bytes(1) }))).rejects.toMatchObject({
      kind: 'internal',
      message: expect.stringContaining("failed to load 'simple', failed to poll from model repository"),
    });
    expect(control.calls).toEqual([]);
  });

  test('one that could not be loaded: the words that clients look for, and the reason', async () => {
    const failed = new ScorewireError('failed_precondition', 'LOAD_FAILED', 'model.onnx: not ONNX');
    await expect(loadModel(new FakeControl('explicit', failed), asking('simple'))).rejects.toMatchObject({
      kind: 'internal',
      message: "failed to load 'simple', no version is available: model.onnx: not ONNX",
    });
    const override = asking('simple', { config: text('{') });
    await expect(loadModel(new FakeControl('explicit', failed), override)).rejects.toMatchObject({
      kind: 'internal',
      message: "failed to load 'simple', failed to poll from model repository: model.onnx: not ONNX",
    });
  });

  test('what else goes wrong is told as it is', async () => {
    const draining = new ScorewireError('unavailable', 'DRAINING', 'the server shuts down');
    await expect(loadModel(new FakeControl('explicit', draining), asking('simple'))).rejects.toBe(draining);
    const fixed = new ScorewireError('failed_precondition', 'CONTROL_MODE', 'models.control is none');
    await expect(loadModel(new FakeControl('explicit', fixed), asking('simple'))).rejects.toMatchObject(NOT_EXPLICIT);
  });
});

describe('unload', () => {
  test.each([
    asking('simple'),
    asking('nothing'),
    asking('simple', { unload_dependents: flag(true) }),
    asking('', {}, 'simple'),
  ])('%o', async (request) => {
    const control = new FakeControl();
    const name = await unloadModel(control, request);
    expect(control.calls).toEqual([['unload', name]]);
  });

  test('a flag that is none', async () => {
    const control = new FakeControl();
    await expect(unloadModel(control, asking('simple', { unload_dependents: text('yes') }))).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: "invalid value type for 'unload_dependents' parameter, expected bool_param.",
    });
    expect(control.calls).toEqual([]);
  });

  test('not explicit', async () => {
    await expect(unloadModel(undefined, asking('simple'))).rejects.toMatchObject(NOT_EXPLICIT);
    await expect(unloadModel(new FakeControl('poll'), asking('simple'))).rejects.toMatchObject(NOT_EXPLICIT);
  });
});
