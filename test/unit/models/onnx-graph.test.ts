import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SetupError } from '../../../src/errors.ts';
import { readGraph } from '../../../src/models/onnx-graph.ts';
import { classifier, type ModelDef, onnxModel, slowLinear } from '../../support/onnx-builder.ts';

const FOREST = fileURLToPath(new URL('../../fixtures/foreign/sklearn-random-forest/1/model.onnx', import.meta.url));

const identity: ModelDef = {
  inputs: [{ name: 'x', type: 'float32', dims: ['N', 3] }],
  outputs: [{ name: 'y', type: 'float32', dims: ['N', 3] }],
  nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
};

describe('what a graph says', () => {
  test('inputs and outputs: types, fixed, symbolic, open and undeclared dimensions', () => {
    const graph = readGraph(
      onnxModel({
        ...identity,
        inputs: [
          { name: 'a', type: 'float32', dims: ['N', 3] },
          { name: 'b', type: 'int64', dims: [null, 1] },
          { name: 'c', type: 'string' },
          { name: 'd', type: 'bool', dims: [] },
          { name: 'e', type: 'uint8', dims: [-1, 0] },
        ],
        outputs: [
          { name: 'y', type: 'bfloat16', dims: [1] },
          { name: 'maps', type: 'text maps' },
          { name: 'z', type: 'untyped' },
        ],
      }),
      'm',
    );
    expect(graph.inputs).toEqual([
      { name: 'a', type: 'float32', typeName: 'float32', shape: [null, 3] },
      { name: 'b', type: 'int64', typeName: 'int64', shape: [null, 1] },
      { name: 'c', type: 'string', typeName: 'string', shape: undefined },
      { name: 'd', type: 'bool', typeName: 'bool', shape: [] },
      { name: 'e', type: 'uint8', typeName: 'uint8', shape: [null, null] },
    ]);
    expect(graph.outputs).toEqual([
      { name: 'y', type: undefined, typeName: 'bfloat16', shape: [1] },
      { name: 'maps', type: undefined, typeName: 'sequence', shape: undefined },
      { name: 'z', type: undefined, typeName: 'undeclared', shape: undefined },
    ]);
  });

  test('producer, IR version, operator sets and metadata', () => {
    const graph = readGraph(
      onnxModel({
        ...identity,
        irVersion: 9,
        opset: { 'ai.onnx': 17, 'ai.onnx.ml': 3 },
        producer: 'pytorch',
        producerVersion: '2.9',
        metadata: { trained: '2024-05-01', owner: 'risk' },
      }),
      'm',
    );
    expect(graph).toMatchObject({ irVersion: 9, producer: 'pytorch 2.9', opset: { '': 17, 'ai.onnx.ml': 3 } });
    expect([...graph.metadata]).toEqual([
      ['trained', '2024-05-01'],
      ['owner', 'risk'],
    ]);
  });

  test('class labels, whatever the attribute is called and however it is packed', () => {
    const node = (attributes: ModelDef['nodes'][number]['attributes']): readonly (number | string)[] | undefined =>
      readGraph(
        onnxModel({
          ...identity,
          nodes: [{ op: 'ZipMap', domain: 'ai.onnx.ml', inputs: ['x'], outputs: ['y'], attributes }],
        }),
        'm',
      ).nodes[0]?.classLabels;
    expect(node({ classlabels_int64s: { ints: [-1, 1, 2 ** 40] } })).toEqual([-1, 1, 2 ** 40]);
    expect(node({ classlabels_ints: { ints: [3, 300], packed: true } })).toEqual([3, 300]);
    expect(node({ classlabels_strings: { strings: ['a', 'ß'] } })).toEqual(['a', 'ß']);
    expect(node({ nodes_values: { floats: [1, 2] }, post_transform: { string: 'NONE' } })).toEqual([]);
  });

  test('operators with their domain, those of a subgraph too; initializers by name', () => {
    const slow = readGraph(slowLinear([1, 2], 0, 5), 'm');
    expect(slow.ops).toContain('Sin');
    expect(slow.nodes.map(({ op }) => op)).not.toContain('Sin');
    expect(slow.initializers).toEqual(new Set(['weights', 'bias', 'ones', 'zero', 'iterations']));
    expect(readGraph(classifier([0, 1]), 'm').ops).toEqual(
      new Set(['ai.onnx.ml.LinearClassifier', 'ai.onnx.ml.ZipMap']),
    );
  });

  test('data files: of initializers and of constants, each once, in order', () => {
    const external = (location: string): { dims: number[]; type: 'float32'; external: { location: string } } => ({
      dims: [3],
      type: 'float32',
      external: { location },
    });
    const graph = readGraph(
      onnxModel({
        ...identity,
        initializers: [
          { name: 'w', ...external('z.data') },
          { name: 'v', ...external('z.data') },
        ],
        nodes: [
          { op: 'Constant', inputs: [], outputs: ['c'], attributes: { value: { tensor: external('a.data') } } },
          { op: 'Add', inputs: ['x', 'c'], outputs: ['y'] },
        ],
      }),
      'm',
    );
    expect(graph.dataFiles).toEqual(['a.data', 'z.data']);
  });
});

test('reads past the numbers of a forest', () => {
  const model = onnxModel({
    ...identity,
    nodes: [
      {
        op: 'TreeEnsembleRegressor',
        domain: 'ai.onnx.ml',
        inputs: ['x'],
        outputs: ['y'],
        attributes: { nodes_values: { floats: new Array<number>(1_000_000).fill(0.5) } },
      },
    ],
  });
  expect(readGraph(model, 'm').outputs.map((output) => output.name)).toEqual(['y']);
});

describe('what is no ONNX model', () => {
  const refused = (bytes: Uint8Array | string): string => {
    try {
      readGraph(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, 'models/a/1/model.onnx');
    } catch (error) {
      expect(error).toBeInstanceOf(SetupError);
      return (error as SetupError).message;
    }
    return 'accepted';
  };

  test('is refused with the file and the reason', () => {
    expect(refused('')).toBe('models/a/1/model.onnx is not an ONNX model: the file is empty');
    expect(refused('version https://git-lfs.github.com/spec/v1\noid sha256:1\n')).toBe(
      'models/a/1/model.onnx is not an ONNX model: it is a Git LFS pointer; fetch the file itself with "git lfs pull"',
    );
    expect(refused('<html>Not found</html>')).toMatch(/not an ONNX model: it is damaged or cut short \(.+\)$/);
    expect(refused('\x12\x02hi')).toBe('models/a/1/model.onnx is not an ONNX model: it has no ir_version');
    expect(refused('\x08\x08')).toBe('models/a/1/model.onnx is not an ONNX model: it has no graph with outputs');
    const whole = onnxModel(identity);
    expect(refused(whole.subarray(0, whole.length - 30))).toMatch(/damaged or cut short \(premature EOF\)/);
  });

  test('never fails in another way, wherever it is cut or damaged', () => {
    const forest = readFileSync(FOREST);
    const small = classifier(['a', 'b']);
    for (let length = 1; length < small.length; length++) refused(small.subarray(0, length));
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 3000; round++) {
      const source = round % 30 === 0 ? forest : small;
      const damaged = Uint8Array.from(source);
      for (let hit = 0; hit < 3; hit++) damaged[random(damaged.length)] = random(256);
      refused(damaged);
    }
  });
});
