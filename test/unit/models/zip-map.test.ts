import { describe, expect, test } from 'vitest';
import { readGraph } from '../../../src/models/onnx-graph.ts';
import { withoutZipMap } from '../../../src/models/zip-map.ts';
import { classifier, linear, type ModelDef, type NodeDef, onnxModel } from '../../support/onnx-builder.ts';
import { floats, runModel } from './run-model.ts';

const rows = floats([
  [1, 2, 3],
  [0, 0, 0],
]);

const zipMap = (input: string, output: string): NodeDef => ({
  op: 'ZipMap',
  domain: 'ai.onnx.ml',
  inputs: [input],
  outputs: [output],
  attributes: { classlabels_int64s: { ints: [0, 1, 2] } },
});

type Case = [what: string, labels: string[] | number[], options: { batch?: 1; opset?: Record<string, number> }];

describe('without ZipMap a classifier runs, and gives what it gives where it was written without', () => {
  test.each<Case>([
    ['string labels', ['a', 'b', 'c'], {}],
    ['number labels', [0, 1], {}],
    ['one row at a time', [0, 1, 2], { batch: 1 }],
    ['operators of ai.onnx.ml alone, so that Identity has no operator set yet', [0, 1], { opset: { 'ai.onnx.ml': 1 } }],
    ['the default domain by its long name', [0, 1], { opset: { 'ai.onnx': 12, 'ai.onnx.ml': 2 } }],
  ])('%s', async (_, labels, options) => {
    const feeds = { X: options.batch === 1 ? floats([[1, 2, 3]]) : rows };
    const edited = await runModel(withoutZipMap(classifier(labels, options)), feeds);
    const plain = await runModel(classifier(labels, { ...options, zipMap: false }), feeds);
    expect(edited).toEqual(plain);
    expect(edited.output_probability?.dims).toEqual([feeds.X.dims[0], labels.length]);
  });

  test('several in one graph, beside outputs of other kinds', async () => {
    const model: ModelDef = {
      opset: { '': 17, 'ai.onnx.ml': 1 },
      inputs: [{ name: 'X', type: 'float32', dims: [null, 3] }],
      outputs: [
        { name: 'first', type: 'number maps' },
        { name: 'raw', type: 'float32', dims: [null, 3] },
        { name: 'second', type: 'number maps' },
      ],
      nodes: [
        zipMap('X', 'first'),
        { op: 'Softmax', inputs: ['X'], outputs: ['raw'] },
        { op: 'Neg', inputs: ['raw'], outputs: ['negative'] },
        zipMap('negative', 'second'),
      ],
    };
    const results = await runModel(withoutZipMap(onnxModel(model)), { X: floats([[1, 1, 1]]) });
    expect(results.first?.data).toEqual([1, 1, 1]);
    expect(results.raw?.data.map((value) => -Number(value))).toEqual(results.second?.data);
  });
});

test('only the ZipMap node and the type of its output change', () => {
  const before = readGraph(classifier(['a', 'b']), 'm');
  const after = readGraph(withoutZipMap(classifier(['a', 'b'])), 'm');
  expect(after.nodes.map(({ op }) => op)).toEqual(['LinearClassifier', 'Identity']);
  expect(after.nodes[1]).toMatchObject({ inputs: ['probabilities'], outputs: ['output_probability'] });
  expect(after.nodes[0]).toEqual(before.nodes[0]);
  expect(after.outputs[1]).toMatchObject({ name: 'output_probability', typeName: 'undeclared' });
  expect({ ...after, nodes: [], ops: [], outputs: [] }).toEqual({ ...before, nodes: [], ops: [], outputs: [] });
});

test('Identity gets an operator set where the model imports none for it', () => {
  const opsetOf = (opset: Record<string, number>) => readGraph(withoutZipMap(classifier([0, 1], { opset })), 'm').opset;
  expect(opsetOf({ 'ai.onnx.ml': 1 })).toEqual({ 'ai.onnx.ml': 1, '': 13 });
  expect(opsetOf({ 'ai.onnx.ml': 1, 'ai.onnx': 9 })).toEqual({ 'ai.onnx.ml': 1, '': 9 });
});

test('a model without ZipMap is given back as it is', () => {
  const model = linear([1, 2], 0);
  expect(withoutZipMap(model)).toBe(model);
});

test('the weights of a model of 50 MB are left as they are', () => {
  const zipped: ModelDef = {
    inputs: [{ name: 'X', type: 'float32', dims: [null, 3] }],
    outputs: [{ name: 'maps', type: 'number maps' }],
    initializers: [{ name: 'weights', type: 'float32', dims: [13_000_000], data: new Float32Array(13_000_000) }],
    nodes: [zipMap('X', 'maps')],
  };
  const model = onnxModel(zipped);
  expect(model.length).toBeGreaterThan(50e6);
  const edited = withoutZipMap(model);
  const weights = Buffer.from(new Float32Array(13_000_000).buffer);
  expect(Buffer.from(edited).includes(weights)).toBe(true);
});
