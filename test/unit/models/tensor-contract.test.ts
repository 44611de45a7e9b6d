import { expect, test } from 'vitest';
import { MOST_ROWS, tensorContract } from '../../../src/models/tensor-contract.ts';
import type { TensorSpec } from '../../../src/tensor.ts';
import { fakeModel } from '../../support/fake-model.ts';

/** A model of one float input, with an output of this shape. */
function contractOf(input: TensorSpec['shape'], output: TensorSpec['shape'], perRow: boolean | undefined) {
  const { spec } = fakeModel();
  const contract = tensorContract(
    {
      ...spec,
      inputs: [{ name: 'x', type: 'float32', shape: input }],
      outputs: [{ name: 'y', type: 'float32', shape: output }],
    },
    perRow,
  );
  return [contract.maxRows, contract.inputs[0]?.dims, contract.outputs[0]?.dims];
}

test.each<[string, TensorSpec['shape'], TensorSpec['shape'], boolean | undefined, unknown]>([
  ['rows in and out', [null, 4], [null, 2], undefined, [MOST_ROWS, [4], [2]]],
  ['open dimensions of a row are -1', [null, null], [null], undefined, [MOST_ROWS, [-1], []]],
  [
    "an output that says 1 where warm-up found one a row, as boosted trees' labels do",
    [null, 4],
    [1],
    true,
    [MOST_ROWS, [4], []],
  ],
  [
    'an output that says it is a scalar where warm-up found one a row',
    [null, 4],
    [],
    true,
    [MOST_ROWS, [4], undefined],
  ],
  [
    'an output that says nothing where warm-up found one a row',
    [null, 4],
    undefined,
    true,
    [MOST_ROWS, [4], undefined],
  ],
  ['an output that says 1 and nobody could look', [null, 4], [1], undefined, [0, [-1, 4], [1]]],
  ['an output with one entry for all rows, as warm-up found', [null, 4], [null], false, [0, [-1, 4], [-1]]],
  ['one row at a time', [1, 4], [1, 2], undefined, [0, [1, 4], [1, 2]]],
  ['a scalar', [], [], undefined, [0, [], []]],
  ['no shape declared', undefined, [null], undefined, [0, undefined, [-1]]],
])('%s', (_, input, output, perRow, expected) => {
  expect(contractOf(input, output, perRow)).toEqual(expected);
});
