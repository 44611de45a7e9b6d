import { describe, expect, test } from 'vitest';
import type { ModelDef } from '../../support/onnx-builder.ts';
import { ADD_SUB_TENSORS, addSub, readTriton, refusal } from './triton-model.ts';

/** `x` of these dimensions goes through unchanged, as `y`. */
const through = (dims: readonly (number | string | null)[] | undefined): ModelDef => ({
  inputs: [{ name: 'x', type: 'float32', dims }],
  outputs: [{ name: 'y', type: 'float32', dims }],
  nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
});

const tensor = (list: string, name: string, rest: string): string =>
  `${list} { name: "${name}" data_type: TYPE_FP32 ${rest} }\n`;
const both = (rest: string): string => tensor('input', 'x', rest) + tensor('output', 'y', rest);

/** `x` float32 [2] and `k`, which is 10 where nobody says so -> `y` = x * k. */
const scaled = (change: Partial<ModelDef> = {}): ModelDef => ({
  inputs: [
    { name: 'k', type: 'float32', dims: [1] },
    { name: 'x', type: 'float32', dims: [2] },
  ],
  outputs: [{ name: 'y', type: 'float32', dims: [2] }],
  initializers: [{ name: 'k', type: 'float32', dims: [1], data: [10] }],
  nodes: [{ op: 'Mul', inputs: ['x', 'k'], outputs: ['y'] }],
  ...change,
});

describe('a shape that fits the graph', () => {
  test.each<[string, ReturnType<typeof through>, string, object]>([
    ['the same', through(['N', 3]), 'max_batch_size: 2 DIMS dims: 3', { maxRows: 2, inputs: [{ dims: [3] }] }],
    ['narrower', through(['N', null, 'T']), 'max_batch_size: 2 DIMS dims: [ 5, -1 ]', { inputs: [{ dims: [5, -1] }] }],
    [
      'rows alone',
      through(['N']),
      'max_batch_size: 2 DIMS dims: [ 1 ] reshape { shape: [ ] }',
      {
        maxRows: 2,
        inputs: [{ dims: [1], reshape: [] }],
        outputs: [{ dims: [1], reshape: [] }],
      },
    ],
    [
      'another form',
      through(['N', 2, 3]),
      'max_batch_size: 2 DIMS dims: 6 reshape { shape: [ 2, 3 ] }',
      {
        inputs: [{ dims: [6], reshape: [2, 3] }],
      },
    ],
    [
      'another form with an open dimension',
      through(['N', 'T', 1]),
      'max_batch_size: 1 DIMS dims: -1 reshape { shape: [ -1, 1 ] }',
      {
        inputs: [{ dims: [-1], reshape: [-1, 1] }],
      },
    ],
    [
      'all of it, without rows',
      through([2, null]),
      'DIMS dims: [ 2, -1 ]',
      { maxRows: 0, inputs: [{ dims: [2, -1] }] },
    ],
    [
      'a form with dimensions of one more',
      through([1, 3, 2, 2]),
      'DIMS dims: [ 3, 2, 2 ] reshape { shape: [ 1, 3, 2, 2 ] }',
      { maxRows: 0, inputs: [{ dims: [3, 2, 2], reshape: [1, 3, 2, 2] }] },
    ],
    [
      'a scalar, which Triton writes as one element',
      through([]),
      'DIMS dims: [ 1 ]',
      {
        maxRows: 0,
        inputs: [{ dims: [1], reshape: [] }],
        outputs: [{ dims: [1], reshape: [] }],
      },
    ],
    [
      'any, where the graph declares none',
      through(undefined),
      'max_batch_size: 4 DIMS dims: [ 7 ]',
      {
        maxRows: 4,
        inputs: [{ dims: [7] }],
      },
    ],
  ])('%s', async (_, model, config, contract) => {
    const [head = '', rest = ''] = config.split('DIMS');
    const folder = await readTriton(`${head}\n${both(rest)}`, model);
    expect(folder.failures).toEqual([]);
    expect(folder.contract).toMatchObject(contract);
  });
});

describe('one line with file, line and field for', () => {
  const place = 'models/m/config.pbtxt';

  test.each<[string, ModelDef, string, string]>([
    [
      'an unknown input',
      addSub,
      ADD_SUB_TENSORS.replace('"A"', '"a"'),
      ':2: input[0].name: found "a"; allowed is an input of the graph: "A", "B"',
    ],
    [
      'an unknown output',
      addSub,
      `max_batch_size: 1 ${ADD_SUB_TENSORS.replace('"SUM"', '"TOTAL"')}`,
      ':4: output[1].name: found "TOTAL"; allowed is an output of the graph: "SUM", "DIFFERENCE"',
    ],
    [
      'no name',
      addSub,
      'max_batch_size: 1 output { dims: 4 }',
      ':1: output[0].name: found nothing; allowed is an output of the graph: "SUM", "DIFFERENCE"',
    ],
    [
      'an input that is missing',
      addSub,
      'max_batch_size: 1 input { name: "B" data_type: TYPE_INT32 dims: 4 }',
      ':1: input: found "B"; allowed is all inputs of the graph: "A", "B"',
    ],
    [
      'a name that stands twice',
      addSub,
      `max_batch_size: 1 ${ADD_SUB_TENSORS.replace('"DIFFERENCE"', '"SUM"')}`,
      ':4: output[1].name: found "SUM"; allowed is a name that isn\'t taken: output[0] has it',
    ],
    [
      'another type',
      addSub,
      `max_batch_size: 1 ${ADD_SUB_TENSORS.replace('TYPE_INT32', 'TYPE_FP32')}`,
      ':2: input[0].data_type: found "TYPE_FP32"; allowed is TYPE_INT32, as the graph\'s input "A" is int32 [-1,4]',
    ],
    [
      'no type',
      addSub,
      `max_batch_size: 1 input { name: "A" }`,
      ':1: input[0].data_type: found nothing; allowed is TYPE_INT32, as the graph\'s input "A" is int32 [-1,4]',
    ],
    [
      'a dimension that differs',
      through(['N', 3]),
      `max_batch_size: 1\n${both('dims: 4')}`,
      ':2: input[0].dims: found [4]; allowed is [3], as the graph\'s input "x" is float32 [-1,3], whose first dimension max_batch_size stands for',
    ],
    [
      'a dimension that is wider',
      through(['N', 3]),
      `max_batch_size: 1\n${both('dims: -1')}`,
      ':2: input[0].dims: found [-1]; allowed is [3], as the graph\'s input "x" is float32 [-1,3], whose first dimension max_batch_size stands for',
    ],
    [
      'rows counted twice',
      through(['N', 3]),
      `max_batch_size: 1\n${both('dims: [ -1, 3 ]')}`,
      ':2: input[0].dims: found [-1,3]; allowed is [3], as the graph\'s input "x" is float32 [-1,3], whose first dimension max_batch_size stands for',
    ],
    [
      'rows forgotten',
      through(['N', 3]),
      both('dims: [ 3 ]'),
      ':1: input[0].dims: found [3]; allowed is [-1,3], as the graph\'s input "x" is float32 [-1,3]',
    ],
    [
      'an output that differs',
      through(['N', 3]),
      `max_batch_size: 1 ${tensor('input', 'x', 'dims: 3')}${tensor('output', 'y', 'dims: 2')}`,
      ':2: output[0].dims: found [2]; allowed is [3], as the graph\'s output "y" is float32 [-1,3], whose first dimension max_batch_size stands for',
    ],
    [
      'a dimension of nothing',
      through(['N', 3]),
      both('dims: 0'),
      ':1: input[0].dims[0]: found 0; allowed is a whole number from 1 on, or -1 where it is open',
    ],
    [
      'a form that differs from the graph',
      through(['N', 6]),
      `max_batch_size: 1 ${both('dims: 6 reshape { shape: [ 2, 3 ] }')}`,
      ':1: input[0].reshape.shape: found [2,3]; allowed is [6], as the graph\'s input "x" is float32 [-1,6], whose first dimension max_batch_size stands for',
    ],
    [
      'a form with other elements',
      through(['N', 6]),
      `max_batch_size: 1 ${both('dims: 5 reshape { shape: [ 6 ] }')}`,
      ':1: input[0].reshape.shape: found [6]; allowed is as many elements as dims has: [5]',
    ],
    [
      'a form with other open dimensions',
      through(['N', 'T']),
      `max_batch_size: 1 ${both('dims: 5 reshape { shape: [ -1 ] }')}`,
      ':1: input[0].reshape.shape: found [-1]; allowed is as many elements as dims has: [5]',
    ],
    [
      'a scalar of several elements',
      through([]),
      both('dims: 2'),
      ':1: input[0].dims: found [2]; allowed is [], as the graph\'s input "x" is float32 []',
    ],
    [
      'rows of a fixed number',
      through([1, 3]),
      `max_batch_size: 1 ${both('dims: 3')}`,
      ':1: max_batch_size: found 1; allowed is 0, as the graph\'s input "x" has a first dimension fixed at 1',
    ],
    [
      'rows of a scalar',
      through([]),
      `max_batch_size: 1`,
      ':1: max_batch_size: found 1; allowed is 0, as the graph\'s input "x" is a scalar',
    ],
    [
      'an optional input without a value',
      addSub,
      ADD_SUB_TENSORS.replace('name: "A"', 'name: "A" optional: true'),
      ':2: input[0].optional: found true; allowed is false, as the graph has no value for its input "A"',
    ],
    [
      'an optional input of a model with rows',
      addSub,
      `max_batch_size: 1 ${ADD_SUB_TENSORS.replace('name: "A"', 'name: "A" optional: true')}`,
      ':2: input[0].optional: found true; allowed is false, as max_batch_size is above 0: a value of the graph has no rows',
    ],
    [
      'a value of older graphs, where it is a constant',
      scaled({ irVersion: 3 }),
      `${tensor('input', 'x', 'dims: 2')}${tensor('input', 'k', 'dims: 1 optional: true')}`,
      ':2: input[1].name: found "k"; allowed is an input of the graph: "x"',
    ],
  ])('%s', async (_, model, config, message) => {
    expect(await refusal(config, model)).toBe(`${place}${message}`);
  });
});

test('outputs that a config does not list are not offered, and need not have rows', async () => {
  const model: ModelDef = {
    ...through(['N', 3]),
    outputs: [
      { name: 'y', type: 'float32', dims: ['N', 3] },
      { name: 'mean', type: 'float32', dims: [] },
    ],
    nodes: [
      { op: 'Identity', inputs: ['x'], outputs: ['y'] },
      { op: 'ReduceMean', inputs: ['x'], outputs: ['mean'], attributes: { keepdims: { int: 0 } } },
    ],
  };
  expect((await readTriton(`max_batch_size: 2 ${both('dims: 3')}`, model)).contract?.outputs).toMatchObject([
    { name: 'y' },
  ]);
});

test('outputs have rows where a converter says that there is one, or nothing', async () => {
  const model: ModelDef = {
    ...through(['N', 3]),
    outputs: [
      { name: 'label', type: 'float32', dims: [1] },
      { name: 'score', type: 'float32', dims: [] },
      { name: 'both', type: 'float32', dims: [2] },
    ],
    nodes: ['label', 'score', 'both'].map((output) => ({ op: 'Identity', inputs: ['x'], outputs: [output] })),
  };
  const listed = `max_batch_size: 2 ${tensor('input', 'x', 'dims: 3')}
    output { name: "label" data_type: TYPE_FP32 dims: [ ] } output { name: "score" data_type: TYPE_FP32 dims: 1 }`;
  expect((await readTriton(listed, model)).contract).toMatchObject({
    maxRows: 2,
    outputs: [{ dims: [] }, { dims: [1] }],
  });
  expect(await refusal(`${listed} output { name: "both" data_type: TYPE_FP32 dims: 1 }`, model)).toBe(
    `models/m/config.pbtxt:1: max_batch_size: found 2; allowed is 0, as the graph's output "both" has a first dimension fixed at 2`,
  );
});

describe('an input with a value in the graph', () => {
  const x = tensor('input', 'x', 'dims: 2');

  test('is optional where the config says so, in its place', async () => {
    const { specs, contract } = await readTriton(`${x}${tensor('input', 'k', 'dims: 1 optional: true')}`, scaled());
    expect(contract?.inputs).toEqual([
      { name: 'x', type: 'float32', dims: [2] },
      { name: 'k', type: 'float32', dims: [1], optional: true },
    ]);
    expect(specs[0]?.optionalInputs).toEqual([
      { name: 'k', type: 'float32', shape: [1], value: { type: 'float32', dims: [1], data: Float32Array.of(10) } },
    ]);
  });

  test('stays a constant where the config lists inputs without it', async () => {
    const { specs, contract } = await readTriton(x, scaled());
    expect(contract?.inputs).toMatchObject([{ name: 'x' }]);
    expect(specs[0]?.optionalInputs).toEqual([]);
  });

  test('is optional where the config lists no inputs, and last', async () => {
    const { contract } = await readTriton('', scaled());
    expect(contract).toMatchObject({ maxRows: 0, inputs: [{ name: 'x' }, { name: 'k', dims: [1], optional: true }] });
  });

  test('must be listed as what it is', async () => {
    expect(await refusal(`${x}${tensor('input', 'k', 'dims: 1')}`, scaled())).toBe(
      'models/m/config.pbtxt:2: input[1].optional: found nothing; allowed is true, as the graph has a value for its input "k"',
    );
  });
});
