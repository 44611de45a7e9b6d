import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { readGraph } from '../../../src/models/onnx-graph.ts';
import { optionalInputs, withoutValues } from '../../../src/models/optional-inputs.ts';
import { type ModelDef, onnxModel, type TensorDef } from '../../support/onnx-builder.ts';
import { runModel } from './run-model.ts';

/** `x` [2] -> `y` = x * k + b; k, b and the weights [65] have values. */
function model(change: Partial<ModelDef> = {}): Uint8Array {
  return onnxModel({
    inputs: [
      { name: 'k', type: 'float32', dims: [1] },
      { name: 'weights', type: 'float32', dims: [65] },
      { name: 'x', type: 'float32', dims: [2] },
    ],
    outputs: [{ name: 'y', type: 'float32', dims: [2] }],
    initializers: [
      { name: 'b', type: 'float32', dims: [1], data: [0.5] },
      { name: 'k', type: 'float32', dims: [1], data: [10] },
      { name: 'weights', type: 'float32', dims: [65], data: new Array<number>(65).fill(1) },
    ],
    nodes: [
      { op: 'Mul', inputs: ['x', 'k'], outputs: ['xk'] },
      { op: 'Add', inputs: ['xk', 'b'], outputs: ['y'] },
    ],
    ...change,
  });
}

const found = (bytes: Uint8Array, named?: readonly string[]) =>
  optionalInputs(readGraph(bytes, 'm.onnx'), named, 'm.onnx').map(({ name }) => name);

describe('inputs with a value of their own', () => {
  test('are the small ones, or those that are named', () => {
    expect(found(model())).toEqual(['k']);
    expect(found(model(), ['x', 'weights'])).toEqual(['weights']);
    expect(found(model(), [])).toEqual([]);
  });

  test('are none of a graph that lists all its constants as inputs', () => {
    expect(found(model({ irVersion: 3 }))).toEqual([]);
    const many: TensorDef[] = Array.from({ length: 17 }, (_, i) => ({
      name: `c${i}`,
      type: 'float32',
      dims: [1],
      data: [i],
    }));
    const inputs = [
      ...many.map(({ name = '' }) => ({ name, type: 'float32' as const, dims: [1] })),
      { name: 'x', type: 'float32' as const, dims: [2] },
    ];
    expect(found(model({ inputs, initializers: many }))).toEqual([]);
    expect(found(model({ inputs: inputs.slice(1), initializers: many.slice(1) }))).toHaveLength(16);
  });

  test('can be fed once the value is out of the graph, whose other constants stay', async () => {
    const edited = withoutValues(model(), new Set(['k']));
    const x = new ort.Tensor('float32', Float32Array.of(1, 2), [2]);
    const run = async (k: number) =>
      (await runModel(edited, { x, k: new ort.Tensor('float32', Float32Array.of(k), [1]) })).y?.data;
    expect(await run(10)).toEqual([10.5, 20.5]);
    expect(await run(3)).toEqual([3.5, 6.5]);
    expect(withoutValues(edited, new Set())).toBe(edited);
  });
});
