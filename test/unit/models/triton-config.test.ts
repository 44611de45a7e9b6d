import { describe, expect, test } from 'vitest';
import { type Field, type Fields, TRITON_FIELDS } from '../../../src/models/triton-fields.ts';
import { onnxModel } from '../../support/onnx-builder.ts';
import { ADD_SUB_TENSORS, addSub, readTriton, refusal } from './triton-model.ts';

/** What a Triton installation would have for `addSub`. */
const FULL = `
name: "m"
platform: "onnxruntime_onnx"
max_batch_size: 8
${ADD_SUB_TENSORS}
`;

describe('a config', () => {
  test('gives tensors in its own order, rows, and the words that clients ask for', async () => {
    const { specs, contract, warnings, failures } = await readTriton(FULL);
    expect(failures).toEqual([]);
    expect(warnings).toEqual([]);
    expect(contract).toEqual({
      maxRows: 8,
      inputs: [
        { name: 'A', type: 'int32', dims: [4] },
        { name: 'B', type: 'int32', dims: [4] },
      ],
      outputs: [
        { name: 'DIFFERENCE', type: 'int32', dims: [4] },
        { name: 'SUM', type: 'int32', dims: [4] },
      ],
    });
    expect(specs[0]).toMatchObject({ maxBatchRows: 8, queuePolicy: undefined, intraOpThreads: undefined, warmUp: [] });
    expect(specs[0]?.batching.supported).toBe(true);
    expect(specs[0]?.triton?.content).toMatchObject({
      name: 'm',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      max_batch_size: 8,
      default_model_filename: 'model.onnx',
      input: [
        { name: 'A', data_type: 'TYPE_INT32', dims: [4] },
        { name: 'B', data_type: 'TYPE_INT32', dims: [4] },
      ],
    });
  });

  test('that says nothing of tensors leaves them to the graph', async () => {
    const { specs, contract } = await readTriton('backend: "onnxruntime"');
    expect(contract).toMatchObject({
      maxRows: 1_000_000,
      outputs: [{ name: 'SUM', dims: [4] }, { name: 'DIFFERENCE' }],
    });
    expect(specs[0]?.triton).toMatchObject({ maxBatchSize: undefined, inputs: undefined, outputs: undefined });
    expect((await readTriton('max_batch_size: 3')).contract).toMatchObject({ maxRows: 3, inputs: [{ dims: [4] }, {}] });
    expect((await readTriton('max_batch_size: 0')).contract).toMatchObject({
      maxRows: 0,
      inputs: [{ dims: [-1, 4] }, {}],
    });
  });

  test('without max_batch_size has tensors without a dimension for rows, and is not batched', async () => {
    const { specs, contract } = await readTriton(
      ADD_SUB_TENSORS.replaceAll('dims: 4', 'dims: [2,4]').replace('[ 4 ]', '[ 2, 4 ]'),
    );
    expect(contract).toMatchObject({ maxRows: 0, inputs: [{ dims: [2, 4] }, { dims: [2, 4] }] });
    expect(specs[0]?.batching).toMatchObject({ supported: false });
    expect(specs[0]?.batching.reason).toMatch(/^max_batch_size is 0 in /);
    expect(specs[0]?.maxBatchRows).toBeUndefined();
  });

  test('says how requests wait, and how many threads run them', async () => {
    const { specs, warnings } = await readTriton(`${FULL}
      dynamic_batching {
        max_queue_delay_microseconds: 1500
        default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 20000 allow_timeout_override: true max_queue_size: 5 }
      }
      parameters { key: "intra_op_thread_count" value: { string_value: "2" } }`);
    expect(warnings).toEqual([]);
    expect(specs[0]).toMatchObject({
      maxDelayMs: 1.5,
      intraOpThreads: 2,
      queuePolicy: { timeoutAction: 'DELAY', defaultTimeoutUs: 20_000, allowTimeoutOverride: true, maxQueueSize: 5 },
    });
    const [bare] = (await readTriton(`${FULL} dynamic_batching { default_queue_policy { } }`)).specs;
    expect(bare?.queuePolicy).toEqual({
      timeoutAction: 'REJECT',
      defaultTimeoutUs: 0,
      allowTimeoutOverride: false,
      maxQueueSize: 0,
    });
  });

  test('is warned of by field and line for what is not as it asks', async () => {
    const { specs, warnings } = await readTriton(`max_batch_size: 4
      dynamic_batching { preferred_batch_size: [ 2, 4 ] preserve_ordering: true priority_levels: 2 }
      instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0 ] }, { count: 1 kind: KIND_CPU } ]
      optimization { execution_accelerators { gpu_execution_accelerator: [ { name: "tensorrt" } ] } }
      parameters { key: "execution_mode" value: { string_value: "1" } }
      response_cache { enable: true }
      metric_tags { key: "team" value: "risk" }`);
    expect(specs).toHaveLength(1);
    expect(warnings).toEqual([
      'models/m/config.pbtxt:2: dynamic_batching.preferred_batch_size is ignored: a batch is as large as pays, by what runs have cost',
      'models/m/config.pbtxt:2: dynamic_batching.preserve_ordering is ignored: answers of different calls come when they are ready',
      'models/m/config.pbtxt:2: dynamic_batching.priority_levels is ignored: all requests are of one priority',
      'models/m/config.pbtxt:3: instance_group[0].count is ignored: every worker has every model; `workers.count` says how many there are',
      'models/m/config.pbtxt:3: instance_group[0].kind is ignored: models run on the CPU',
      'models/m/config.pbtxt:3: instance_group[0].gpus is ignored: models run on the CPU',
      'models/m/config.pbtxt:4: optimization is ignored: onnxruntime runs the graph by itself, with all of its optimisations',
      'models/m/config.pbtxt:6: response_cache.enable is ignored: every request is computed',
      'models/m/config.pbtxt:5: parameters["execution_mode"] is ignored: only intra_op_thread_count is read',
    ]);
  });

  test('is not warned of for what asks nothing', async () => {
    const { warnings } = await readTriton(`${FULL}
      instance_group { count: 1 kind: KIND_CPU } instance_group { kind: KIND_AUTO }
      optimization { graph { level: 0 } } response_cache { enable: false }
      dynamic_batching { preserve_ordering: false preferred_batch_size: [] }
      model_transaction_policy { decoupled: false } parameters { key: "intra_op_thread_count" value { string_value: "0" } }`);
    expect(warnings).toEqual([]);
  });

  test('may name the file, or a folder with the file and its weights in it', async () => {
    const net = 'default_model_filename: "net.onnx"';
    const { specs } = await readTriton(net, addSub, { '1/net.onnx': onnxModel(addSub) });
    expect(specs[0]?.file).toMatch(/\/m\/1\/net\.onnx$/);
    const large = await readTriton(net, addSub, { '1/net.onnx/model.onnx': onnxModel(addSub) });
    expect(large.specs[0]?.file).toMatch(/\/m\/1\/net\.onnx\/model\.onnx$/);
    expect(await refusal(net)).toBe('models/m/1 has no net.onnx; found model.onnx, which must be called net.onnx');
    expect(await refusal(net, addSub, { '1/net.onnx/weights': 'x' })).toBe('models/m/1/net.onnx has no model.onnx');
    expect(await refusal('default_model_filename: "../net.onnx"')).toBe(
      'models/m/config.pbtxt:1: default_model_filename: found "../net.onnx"; allowed is the name of a file in a version',
    );
  });

  test('names the elements of outputs by a file beside it', async () => {
    const config = `${FULL.replace('output { name: "DIFFERENCE"', 'output { label_filename: "labels.txt" name: "DIFFERENCE"')}`;
    const { contract } = await readTriton(config, addSub, { 'labels.txt': '\uFEFFcat\r\ndog\n\nbird\n' });
    expect(contract?.outputs[0]?.labels).toEqual(['cat', 'dog', '', 'bird']);
    expect(contract?.outputs[1]?.labels).toBeUndefined();
    expect(await refusal(config)).toBe(
      'models/m/config.pbtxt:7: output[0].label_filename: found "labels.txt"; allowed is a file in models/m',
    );
    expect(await refusal(config, addSub, { 'labels.txt/cat': '' })).toContain('output[0].label_filename: found');
    expect(await refusal(config.replace('labels.txt', '../labels.txt'), addSub, { '../labels.txt': 'x' })).toContain(
      'allowed is a file in models/m',
    );
  });
});

describe('one line with file, line and field for', () => {
  test.each([
    ['a mistake of form', 'max_batch_size 8', ':1:16: not protobuf text format: expected ":", "{" or "<", found "8"'],
    ['an unknown field', '\nmax_batchsize: 8', ':2: max_batchsize: no such field; did you mean max_batch_size?'],
    ['an unknown field inside', 'input { nam: "A" }', ':1: input[0].nam: no such field; did you mean name?'],
    ['another name', 'name: "n"', ':1: name: found "n"; allowed is "m", the name of its folder, or nothing'],
    [
      'another platform, whatever else is in it',
      'platform: "tensorrt_plan" foo: 1',
      ':1: platform: found "tensorrt_plan"; allowed is "onnxruntime_onnx": only ONNX models are served',
    ],
    [
      'another backend',
      'backend: "python"',
      ':1: backend: found "python"; allowed is "onnxruntime": only ONNX models are served',
    ],
    [
      'a value of another kind',
      'max_batch_size: "8"',
      ':1: max_batch_size: found "8"; allowed is a whole number from -2147483648 to 2147483647',
    ],
    ['a negative size', 'max_batch_size: -1', ':1: max_batch_size: found -1; allowed is a whole number, 0 or more'],
    [
      'an unknown name',
      'version_policy { all {} }\ndynamic_batching { default_queue_policy { timeout_action: DROP } }',
      ':2: dynamic_batching.default_queue_policy.timeout_action: found DROP; allowed is REJECT or DELAY',
    ],
    ['a field that stands twice', 'name: "m"\nname: "m"', ':2: name: found 2 values; allowed is one'],
    [
      'two policies',
      'version_policy { all {} latest { num_versions: 1 } }',
      ':1: version_policy: found all and latest; allowed is one of latest, all and specific',
    ],
    [
      'an entry of a map without a value',
      'parameters { key: "x" }',
      ':1: parameters: found a message; allowed is { key: ... value: ... }',
    ],
    [
      'threads that are no number',
      'parameters { key: "intra_op_thread_count" value { string_value: "many" } }',
      ':1: parameters.intra_op_thread_count.string_value: found "many"; allowed is a number of threads in quotes',
    ],
  ])('%s', async (_, config, message) => {
    expect(await refusal(config)).toBe(`models/m/config.pbtxt${message}`);
  });

  test('each of several mistakes, in the order of the file', async () => {
    expect(await refusal('max_batch_size: 1.5\nsequence_batching { }\ninput { dims: x }')).toBe(
      'models/m/config.pbtxt:1: max_batch_size: found 1.5; allowed is a whole number from -2147483648 to 2147483647; ' +
        'models/m/config.pbtxt:2: sequence_batching: models with state between requests (sequences) are not served; ' +
        'models/m/config.pbtxt:3: input[0].dims[0]: found x; allowed is a whole number from -9007199254740991 to 9007199254740991',
    );
  });

  test.each([
    ['sequence_batching { max_sequence_idle_microseconds: 5 }', 'sequence_batching'],
    ['ensemble_scheduling { step [ { model_name: "x" } ] }', 'ensemble_scheduling'],
    ['model_transaction_policy { decoupled: true }', 'model_transaction_policy.decoupled'],
    ['batch_input [ { kind: BATCH_ELEMENT_COUNT } ]', 'batch_input'],
    ['batch_output [ { } ]', 'batch_output'],
    ['cc_model_filenames { key: "7.5" value: "x.plan" }', 'cc_model_filenames'],
    ['model_operations { op_library_filename: "x.so" }', 'model_operations'],
    ['model_repository_agents { agents [ { name: "checksum" } ] }', 'model_repository_agents'],
    ['input [ { name: "A" is_shape_tensor: true } ]', 'input[0].is_shape_tensor'],
    ['input [ { name: "A" allow_ragged_batch: true } ]', 'input[0].allow_ragged_batch'],
  ])('what is not done here: %s', async (config, field) => {
    const message = await refusal(config);
    expect(message.slice(0, `models/m/config.pbtxt:1: ${field}: `.length)).toBe(`models/m/config.pbtxt:1: ${field}: `);
    expect(message).not.toContain(';');
  });
});

describe('as JSON', () => {
  const json = (config: object | string) => ({
    config: typeof config === 'string' ? config : JSON.stringify(config),
    files: new Map<string, Uint8Array>(),
  });

  test('takes names in both forms, numbers as texts, and enums as numbers', async () => {
    const { specs, contract, failures } = await readTriton(
      'not read',
      addSub,
      {},
      json({
        maxBatchSize: '16',
        dynamic_batching: { maxQueueDelayMicroseconds: '250', preferredBatchSize: null },
        input: [
          { name: 'B', dataType: 8, dims: ['4'] },
          { name: 'A', data_type: 'TYPE_INT32', dims: [4] },
        ],
        parameters: { intra_op_thread_count: { stringValue: '3' } },
        version_policy: { all: {} },
      }),
    );
    expect(failures).toEqual([]);
    expect(contract).toMatchObject({ maxRows: 16, inputs: [{ name: 'B', dims: [4] }, { name: 'A' }] });
    expect(specs[0]).toMatchObject({ maxBatchRows: 16, maxDelayMs: 0.25, intraOpThreads: 3 });
    expect(specs[0]?.triton?.content).toMatchObject({
      max_batch_size: 16,
      input: [{ data_type: 'TYPE_INT32', dims: [4] }, {}],
      parameters: { intra_op_thread_count: { string_value: '3' } },
    });
  });

  test.each([
    ['{', 'the config given for m: not JSON: '],
    ['[]', 'the config given for m: found []; allowed is an object'],
    ['{"max_batch_sise": 1}', 'the config given for m: max_batch_sise: no such field; did you mean max_batch_size?'],
    [
      '{"input": [{"dims": {}}]}',
      'the config given for m: input[0].dims[0]: found a message; allowed is a whole number',
    ],
    [
      '{"max_batch_size": 1, "maxBatchSize": 2}',
      'the config given for m: max_batch_size: found 2 values; allowed is one',
    ],
    [
      '{"response_cache": {"enable": "yes"}}',
      'the config given for m: response_cache.enable: found "yes"; allowed is true or false',
    ],
    [`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`, 'the config given for m: a: no such field'],
  ])('refuses %.60s', async (config, message) => {
    expect((await refusal('', addSub, {}, json(config))).slice(0, message.length)).toBe(message);
  });
});

describe('beside a model.yaml', () => {
  const yaml = (manifest: string, config = FULL) => refusal(config, addSub, { 'model.yaml': manifest });

  test('batches are as small as the smaller says', async () => {
    const { specs } = await readTriton(FULL, addSub, { 'model.yaml': 'batching: { max_rows: 2 }' });
    expect(specs[0]).toMatchObject({ maxBatchRows: 2, triton: { maxBatchSize: 8 } });
  });

  test('keys that contradict each other are named, both', async () => {
    expect(await yaml('batching: { max_rows: 9 }')).toBe(
      'models/m/model.yaml:1: batching.max_rows: found 9; allowed is at most 8, as max_batch_size is 8 in models/m/config.pbtxt:4',
    );
    expect(await yaml('batching: { enabled: false }', `${FULL} dynamic_batching { }`)).toBe(
      'models/m/model.yaml:1: batching.enabled: found false; allowed is true, as dynamic_batching is set in models/m/config.pbtxt:9',
    );
    expect(
      await yaml('batching: { max_delay_ms: 2 }', `${FULL}dynamic_batching { max_queue_delay_microseconds: 1000 }`),
    ).toBe(
      'models/m/model.yaml:1: batching.max_delay_ms: found 2; allowed is 1, as dynamic_batching.max_queue_delay_microseconds is 1000 in models/m/config.pbtxt:9',
    );
  });
});

test('every field of the table says what becomes of it', () => {
  const silent: string[] = [];
  const look = (fields: Fields, path: string): void => {
    for (const [name, field] of Object.entries(fields) as [string, Field][]) {
      const { type, fate, note } = field;
      const inside = fate === 'honoured' && typeof type === 'object' && 'fields' in type ? type.fields : {};
      if (Object.values(inside).some((one) => one.fate !== undefined)) look(inside, `${path}${name}.`);
      else if (fate === undefined || note === undefined) silent.push(`${path}${name}`);
    }
  };
  look(TRITON_FIELDS, '');
  expect(silent).toEqual([]);
});
