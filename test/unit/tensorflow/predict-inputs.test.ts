// Tensors of a request against what the model takes.
import { describe, expect, test } from 'vitest';
import { TensorProto } from '../../../src/gen/tensorflow/core/framework/tensor.ts';
import type { TensorContract } from '../../../src/models/model.ts';
import type { ServedModel } from '../../../src/scoring/served-model.ts';
import { checkInputs, readInputs } from '../../../src/tensorflow/predict-inputs.ts';
import { reshaped } from '../../../src/tensorflow/reshaped.ts';
import { signaturesOf } from '../../../src/tensorflow/signatures.ts';
import { walkTensor } from '../../../src/tensorflow/tensor-message.ts';
import { atOnce } from '../../support/at-once.ts';
import { fakeModel } from '../../support/fake-model.ts';
import { floats } from '../../support/tensorflow.ts';

function withContract(contract: Partial<TensorContract>): ServedModel {
  const model = fakeModel();
  return { ...model, contract: { ...model.contract, ...contract } };
}

function check(model: ServedModel, inputs: Readonly<Record<string, TensorProto>>) {
  const messages = Object.entries(inputs).map(([name, proto]) => {
    return [name, atOnce(walkTensor(TensorProto.encode(proto).finish()))] as const;
  });
  return checkInputs(model, new Map(messages));
}

describe('inputs that need not be given', () => {
  const model = withContract({
    inputs: [
      { name: 'x', type: 'float32', dims: [1] },
      { name: 'shift', type: 'float32', dims: [1], optional: true },
    ],
  });

  test('may be', () => {
    const x = floats([2, 1], [1, 2]);
    expect(check(model, { x }).inputs.map(({ served }) => served.name)).toEqual(['x']);
    const both = check(model, { x, shift: floats([2, 1], [10]) });
    expect(both.inputs.map(({ dims }) => dims)).toEqual([
      [2, 1],
      [2, 1],
    ]);
    expect(() => check(model, { x, shift: floats([1], [10]) })).toThrow('expected [-1,1], found [1]');
  });

  test('don’t stand for those that must be', () => {
    expect(() => check(model, { shift: floats([1, 1], [10]) })).toThrow(
      'input size does not match signature: 1!=2 len({shift}) != len({shift,x}). Sent extra: {}. Missing but required: {x}.',
    );
  });

  test('are in the signature', () => {
    expect([...(signaturesOf(model).get('serving_default')?.inputs.keys() ?? [])]).toEqual(['x', 'shift']);
  });
});

describe('rows', () => {
  const two = withContract({
    maxRows: 3,
    inputs: [
      { name: 'a', type: 'float32', dims: [2] },
      { name: 'b', type: 'float32', dims: [-1] },
    ],
  });

  test('are as many in every input, and no more than the model takes', () => {
    expect(check(two, { a: floats([3, 2], [0]), b: floats([3, 4], [0]) }).rows).toBe(3);
    expect(() => check(two, { a: floats([3, 2], [0]), b: floats([2, 4], [0]) })).toThrow(
      'inputs["b"].tensor_shape: expected 3 rows, as in other inputs, found 2',
    );
    expect(() => check(two, { a: floats([4, 2], [0]), b: floats([4, 1], [0]) })).toThrow('at most 3 rows, found 4');
  });

  test('are not counted where the model has no dimension for them', () => {
    const model = withContract({ maxRows: 0, inputs: [{ name: 'a', type: 'float32', dims: [2, -1] }] });
    expect(check(model, { a: floats([2, 5], [0]) })).toMatchObject({ rows: 1, inputs: [{ dims: [2, 5] }] });
    expect(() => check(model, { a: floats([3, 5], [0]) })).toThrow('expected [2,-1], found [3,5]');
  });

  test('may be of any dimensions where the graph doesn’t say', () => {
    const model = withContract({ maxRows: 0, inputs: [{ name: 'a', type: 'float32', dims: undefined }] });
    for (const dims of [[], [0], [1, 2, 3]]) {
      expect(check(model, { a: floats(dims, []) }).inputs.map((input) => input.dims)).toEqual([dims]);
    }
  });

  test('reach the graph in its own form, where that is another one', () => {
    const model = withContract({ inputs: [{ name: 'a', type: 'float32', dims: [1, 4], reshape: [2, 2] }] });
    const tensors = atOnce(readInputs(check(model, { a: floats([1, 1, 4], [1, 2, 3, 4]) })));
    expect(tensors.get('a')).toEqual({ type: 'float32', dims: [1, 2, 2], data: new Float32Array([1, 2, 3, 4]) });
  });
});

test('open dimensions of another form are those that the tensor has, in their order', () => {
  expect(reshaped([3, 7, 5], [-1, 7, -1], [7, -1, 1, -1])).toEqual([7, 3, 1, 5]);
  expect(reshaped([1], [1], [])).toEqual([]);
  expect(reshaped([4, 5], [-1, -1], undefined)).toEqual([4, 5]);
});
