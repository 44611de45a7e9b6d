// A model that takes long to load: three layers of a network, with weights that are all made up.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { randomFrom } from '../../src/bench/arrivals.ts';
import { onnxModel, type TensorDef } from '../../test/support/onnx-builder.ts';

const WIDTHS = [64, 2048, 4096, 1];
const SEED = 7;

/** Writes it; about 34 MB. */
export function writeLargeModel(file: string): void {
  const random = randomFrom(SEED);
  const weights = WIDTHS.slice(1).map((width, layer): TensorDef => {
    const rows = WIDTHS[layer] as number;
    const data = Float32Array.from({ length: rows * width }, () => (random() - 0.5) / rows);
    return { name: `weights${layer}`, type: 'float32', dims: [rows, width], data };
  });
  const model = onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', WIDTHS[0] as number] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: weights,
    nodes: [
      { op: 'MatMul', inputs: ['x', 'weights0'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'MatMul', inputs: ['b', 'weights1'], outputs: ['c'] },
      { op: 'Relu', inputs: ['c'], outputs: ['d'] },
      { op: 'MatMul', inputs: ['d', 'weights2'], outputs: ['logit'] },
      { op: 'Sigmoid', inputs: ['logit'], outputs: ['score'] },
    ],
  });
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, model);
}
