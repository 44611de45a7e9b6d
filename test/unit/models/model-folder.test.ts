import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readModel } from '../../../src/models/model-folder.ts';
import { readRepository } from '../../../src/models/repository.ts';
import { linear, onnxModel } from '../../support/onnx-builder.ts';
import { tempRepository } from './temp-repository.ts';
import { ADD_SUB_TENSORS, addSub } from './triton-model.ts';

const small = linear([1, 2], 0);
const versionsOf = (folder: { specs: readonly { version: number }[] }) => folder.specs.map(({ version }) => version);

test('a model that can not be read does not stop the others', async () => {
  const directory = await tempRepository({
    'good/1/model.onnx': small,
    'simple/1/model.onnx': onnxModel(addSub),
    'simple/config.pbtxt': `max_batch_size: 8 ${ADD_SUB_TENSORS}`,
    'half/1/model.onnx': small,
    'half/2/model.onnx': 'no model',
    'broken/1/model.onnx': small,
    'broken/config.pbtxt': 'max_batch_size: 8\ninput {',
    'plan/1/model.plan': 'x',
    'plan/config.pbtxt': 'platform: "tensorrt_plan"',
    'plan_alone/1/model.plan': 'x',
    'ensemble/1/.keep': '',
    'ensemble/config.pbtxt': 'platform: "ensemble"',
    'yaml/1/model.onnx': small,
    'yaml/model.yaml': 'task: x\ndescription: 1',
    'bad name/1/model.onnx': small,
  });
  const { specs, failures, names } = await readRepository(directory);
  expect(specs.map(({ name, version }) => `${name} ${version}`)).toEqual(['good 1', 'half 1', 'simple 1']);
  expect(names).toEqual(['bad name', 'broken', 'ensemble', 'good', 'half', 'plan', 'plan_alone', 'simple', 'yaml']);
  expect(failures.map((failure) => ({ ...failure, reason: failure.reason.replaceAll(directory, 'models') }))).toEqual([
    {
      name: 'bad name',
      version: undefined,
      reason: 'models/bad name: a model can\'t be called "bad name"; allowed are letters, digits, "-", "_" and "."',
    },
    {
      name: 'broken',
      version: undefined,
      reason: 'models/broken/config.pbtxt:2:8: not protobuf text format: expected a field or "}", found the end',
    },
    {
      name: 'ensemble',
      version: undefined,
      reason:
        'models/ensemble/config.pbtxt:1: platform: found "ensemble"; allowed is "onnxruntime_onnx": only ONNX models are served',
    },
    { name: 'half', version: 2, reason: expect.stringMatching(/^models\/half\/2\/model.onnx is not an ONNX model: /) },
    {
      name: 'plan',
      version: undefined,
      reason:
        'models/plan/config.pbtxt:1: platform: found "tensorrt_plan"; allowed is "onnxruntime_onnx": only ONNX models are served',
    },
    { name: 'plan_alone', version: 1, reason: 'models/plan_alone/1 has no model.onnx' },
    {
      name: 'yaml',
      version: undefined,
      reason:
        'models/yaml/model.yaml:1: task: found "x"; allowed is binary, multiclass or regression; models/yaml/model.yaml:2: description: found 1; allowed is text',
    },
  ]);
});

describe('versions', () => {
  const four = { 'm/1/model.onnx': small, 'm/2/model.onnx': small, 'm/10/model.onnx': small };
  const read = async (files: Record<string, string | Uint8Array>) => readModel(await tempRepository(files), 'm');

  test('all are served without a config, the highest with one that says nothing', async () => {
    expect(versionsOf(await read(four))).toEqual([1, 2, 10]);
    expect(versionsOf(await read({ ...four, 'm/config.pbtxt': '' }))).toEqual([10]);
  });

  test.each([
    ['latest { num_versions: 2 }', [2, 10]],
    ['latest { }', [10]],
    ['latest { num_versions: 9 }', [1, 2, 10]],
    ['all { }', [1, 2, 10]],
    ['specific { versions: [ 10, 1 ] }', [1, 10]],
  ])('by the policy %s', async (policy, versions) => {
    const folder = await read({ ...four, 'm/config.pbtxt': `version_policy { ${policy} }` });
    expect(versionsOf(folder)).toEqual(versions);
    expect(folder.failures).toEqual([]);
  });

  test('that a policy names and that are not there are failures', async () => {
    const folder = await read({ ...four, 'm/config.pbtxt': 'version_policy { specific { versions: [ 1, 3 ] } }' });
    expect(versionsOf(folder)).toEqual([1]);
    expect(folder.failures).toMatchObject([
      {
        version: 3,
        reason: expect.stringContaining('specific.versions: found 3; allowed is versions that are there: 1, 2, 10'),
      },
    ]);
    const none = await read({ ...four, 'm/config.pbtxt': 'version_policy { specific { } }' });
    expect(none).toMatchObject({ specs: [], failures: [{ version: undefined }] });
  });

  test('the live one is served, whatever the policy says', async () => {
    const folder = await read({ ...four, 'm/config.pbtxt': '', 'm/live': '2' });
    expect(versionsOf(folder)).toEqual([2, 10]);
    expect(folder.live).toBe(2);
  });

  test('those that no policy asks for are not looked at', async () => {
    const folder = await read({ ...four, 'm/2/model.onnx': 'damaged', 'm/config.pbtxt': '' });
    expect(folder.failures).toEqual([]);
  });
});

describe('one model', () => {
  test('that is not there, or could not be, is a failure', async () => {
    const directory = await tempRepository({ 'm/1/model.onnx': small, file: 'x' });
    expect(await readModel(directory, 'm')).toMatchObject({ found: true, failures: [] });
    expect(await readModel(directory, 'n')).toMatchObject({
      found: false,
      failures: [{ name: 'n', version: undefined, reason: `${join(directory, 'n')} isn't there; expected is a model` }],
    });
    expect(await readModel(directory, 'file')).toMatchObject({ found: false, specs: [] });
    for (const name of ['..', '.', '../m', '', 'm/1', '.m', 'a\0b']) {
      expect(await readModel(directory, name)).toMatchObject({ found: false, specs: [], failures: [{ name }] });
    }
  });

  test('without versions is a failure', async () => {
    const directory = await tempRepository({ 'm/config.pbtxt': '' });
    await mkdir(join(directory, 'empty'));
    expect((await readModel(directory, 'm')).failures[0]?.reason).toMatch(/has no version; expected is /);
    expect(await readModel(directory, 'empty')).toMatchObject({ found: true, specs: [] });
  });

  test('lies as a folder in its version where it is large', async () => {
    const directory = await tempRepository({ 'm/1/model.onnx/model.onnx': small });
    const { specs, failures } = await readModel(directory, 'm');
    expect(failures).toEqual([]);
    expect(specs[0]).toMatchObject({
      directory: join(directory, 'm', '1'),
      file: join(directory, 'm', '1', 'model.onnx', 'model.onnx'),
      source: { externalDataDir: join(directory, 'm', '1', 'model.onnx') },
    });
  });

  test('comes with another config in the place of the one on disk', async () => {
    const directory = await tempRepository({ 'm/1/model.onnx': onnxModel(addSub), 'm/config.pbtxt': 'broken {' });
    const { specs } = await readModel(directory, 'm', { config: '{"max_batch_size": "16"}', files: new Map() });
    expect(specs[0]?.triton).toMatchObject({ maxBatchSize: 16, file: 'the config given for m' });
  });

  test('comes with its files, and then the disk is not read', async () => {
    const directory = await tempRepository({ 'm/7/model.onnx': small, 'm/live': '7', 'm/config.pbtxt': 'broken {' });
    const given = {
      config: '{"max_batch_size": 2}',
      files: new Map([
        ['3/model.onnx', onnxModel(addSub)],
        ['model.yaml', Buffer.from('description: given')],
      ]),
    };
    const { specs, live, failures } = await readModel(directory, 'm', given);
    expect(failures).toEqual([]);
    expect(live).toBeUndefined();
    expect(specs).toMatchObject([{ version: 3, description: 'given', inputs: [{ name: 'A' }, { name: 'B' }] }]);
    expect(await readModel(directory, 'new', given)).toMatchObject({
      found: true,
      specs: [{ name: 'new', version: 3 }],
    });
    const bytes = (path: string) => ({ config: undefined, files: new Map([[path, small]]) });
    for (const path of ['../x/1/model.onnx', '/1/model.onnx', '..', '']) {
      expect((await readModel(directory, 'm', bytes(path))).failures[0]?.reason).toContain(
        "allowed is a path in the model's folder",
      );
    }
    expect((await readModel(directory, 'm', bytes('1/other.onnx'))).failures).toMatchObject([
      { version: 1, reason: expect.stringContaining('has no model.onnx; found other.onnx') },
    ]);
  });
});

test('any change of a config leaves a model or a reason that names the file', async () => {
  const config = `name: "m" platform: "onnxruntime_onnx" max_batch_size: 8 ${ADD_SUB_TENSORS}
    version_policy { latest { num_versions: 1 } } dynamic_batching { preferred_batch_size: [ 4 ] }
    model_warmup { name: "w" inputs { key: "A" value { data_type: TYPE_INT32 dims: 4 zero_data: true } } }`;
  const change = fc.record({
    at: fc.nat(config.length),
    drop: fc.nat(12),
    put: fc.constantFrom('', '-', '{', '}', '"', '0', '[', ' ', 'x', '\u0000'),
  });
  const bytes = onnxModel(addSub);
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 3 }), async (changes) => {
      let text = config;
      for (const { at, drop, put } of changes) text = text.slice(0, at) + put + text.slice(at + drop);
      const files = new Map<string, Uint8Array>([
        ['1/model.onnx', bytes],
        ['config.pbtxt', Buffer.from(text)],
      ]);
      const { specs, failures } = await readModel('/models', 'm', { config: undefined, files });
      expect(specs.length + failures.length).toBe(1);
      for (const { reason } of failures) expect(reason).toMatch(/^\/models\/m(\/config\.pbtxt:\d+|\/1 has no )/);
    }),
    { numRuns: 500 },
  );
});
