import { describe, expect, test } from 'vitest';
import type { ModelDef } from '../../support/onnx-builder.ts';
import { ADD_SUB_TENSORS, readTriton, refusal } from './triton-model.ts';

const HEAD = `max_batch_size: 4 ${ADD_SUB_TENSORS}\n`;
const both = (input: string): string =>
  `inputs { key: "A" value { data_type: TYPE_INT32 dims: 4 ${input} } } inputs { key: "B" value { data_type: TYPE_INT32 dims: 4 zero_data: true } }`;

/** `text` string [N, 2], through. */
const texts: ModelDef = {
  inputs: [{ name: 'text', type: 'string', dims: ['N', 2] }],
  outputs: [{ name: 'echo', type: 'string', dims: ['N', 2] }],
  nodes: [{ op: 'Identity', inputs: ['text'], outputs: ['echo'] }],
};

function textBytes(...values: readonly string[]): Uint8Array {
  return Buffer.concat(
    values.map((value) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(value));
      return Buffer.concat([length, Buffer.from(value)]);
    }),
  );
}

describe('samples to warm up with', () => {
  test('are zeros, numbers, or what is in a file, for as many rows as they say', async () => {
    const { specs, failures } = await readTriton(
      `${HEAD} model_warmup { name: "zeros" ${both('zero_data: true')} }
        model_warmup { name: "file" batch_size: 2 count: 3 ${both('input_data_file: "a.bin"')} }
        model_warmup { name: "random" ${both('random_data: true')} }`,
      undefined,
      { 'warmup/a.bin': new Uint8Array(Int32Array.of(1, 2, 3, 4).buffer) },
    );
    expect(failures).toEqual([]);
    const [zeros, file, random] = specs[0]?.warmUp ?? [];
    const zero = (rows: number) => ({ type: 'int32', dims: [rows, 4], data: new Int32Array(rows * 4) });
    expect(zeros).toEqual({
      name: 'zeros',
      count: 1,
      inputs: new Map([
        ['A', zero(1)],
        ['B', zero(1)],
      ]),
    });
    expect(file).toEqual({
      name: 'file',
      count: 3,
      inputs: new Map([
        ['A', { type: 'int32', dims: [2, 4], data: Int32Array.of(1, 2, 3, 4, 1, 2, 3, 4) }],
        ['B', zero(2)],
      ]),
    });
    const { data } = random?.inputs.get('A') ?? {};
    const numbers = data as Int32Array;
    expect(new Set(numbers).size).toBeGreaterThan(1);
    expect(Math.max(...numbers)).toBeLessThan(128);
  });

  test('of texts come with their lengths', async () => {
    const config =
      'max_batch_size: 1 model_warmup { inputs { key: "text" value { data_type: TYPE_STRING dims: 2 input_data_file: "t" } } }';
    const { specs } = await readTriton(config, texts, { 'warmup/t': textBytes('yes', 'ä') });
    expect(specs[0]?.warmUp[0]?.inputs.get('text')).toEqual({ type: 'string', dims: [1, 2], data: ['yes', 'ä'] });
    expect(await refusal(config, texts, { 'warmup/t': textBytes('yes') })).toMatch(
      /input_data_file: found 7 bytes in .*; allowed is a file with 2 texts, each behind its length in 4 bytes$/,
    );
  });

  test.each([
    [
      'rows',
      `batch_size: 5 ${both('zero_data: true')}`,
      'model_warmup[0].batch_size: found 5; allowed is at most 4, as many as a request has',
    ],
    [
      'an unknown input',
      'inputs { key: "C" value { } }',
      'model_warmup[0].inputs.C: found "C"; allowed is an input of the model: "A", "B"',
    ],
    [
      'a missing input',
      'inputs { key: "A" value { data_type: TYPE_INT32 dims: 4 zero_data: true } }',
      'model_warmup[0].inputs: found A; allowed is all inputs of the model, "B" too',
    ],
    [
      'another type',
      both('zero_data: true').replace('INT32', 'FP32'),
      'model_warmup[0].inputs.A.data_type: found "TYPE_FP32"; allowed is TYPE_INT32, as the input is',
    ],
    [
      'other dimensions',
      both('zero_data: true').replace('dims: 4', 'dims: 3'),
      'model_warmup[0].inputs.A.dims: found [3]; allowed is [4], as the input has',
    ],
    [
      'open dimensions',
      both('zero_data: true').replace('dims: 4', 'dims: -1'),
      'model_warmup[0].inputs.A.dims: found [-1]; allowed is dimensions from 1 on',
    ],
    [
      'a file that is not there',
      both('input_data_file: "a"'),
      'model_warmup[0].inputs.A.input_data_file: found "a"; allowed is a file in models/m/warmup',
    ],
    [
      'a file from elsewhere',
      both('input_data_file: "../config.pbtxt"'),
      'model_warmup[0].inputs.A.input_data_file: found "../config.pbtxt"; allowed is a file in models/m/warmup',
    ],
    [
      'a file that is too short',
      both('input_data_file: "short"'),
      'model_warmup[0].inputs.A.input_data_file: found 2 bytes in models/m/warmup/short; allowed is a file with 16 bytes',
    ],
    [
      'no data',
      both(''),
      'model_warmup[0].inputs.A: found {"data_type":"TYPE_INT32","dims":[4]}; allowed is one of zero_data, random_data and input_data_file',
    ],
  ])('are refused by field for %s that can not be', async (_, sample, message) => {
    expect(await refusal(`${HEAD}\nmodel_warmup { ${sample} }`, undefined, { 'warmup/short': 'ab' })).toBe(
      `models/m/config.pbtxt:6: ${message}`,
    );
  });
});
