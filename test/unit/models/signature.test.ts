import { describe, expect, test } from 'vitest';
import {
  classifier,
  embedding,
  identityText,
  linear,
  type ModelDef,
  type NodeDef,
  twoOutputs,
  type ValueDef,
} from '../../support/onnx-builder.ts';
import { MANIFEST, mistakeOf, signatureOf } from './signature-of.ts';

const riskSegments = [{ name: 'Low' }, { name: 'Medium', from: 0.3 }, { name: 'High', from: 0.6 }];

const x: ValueDef = { name: 'x', type: 'float32', dims: ['N', 4] };

/** One output, made from x by a chain of operators. */
function chain(ops: readonly (string | Partial<NodeDef>)[], output: Partial<ValueDef>): ModelDef {
  const nodes = ops.map((op, i): NodeDef => {
    const ends = { inputs: [i === 0 ? 'x' : `v${i}`], outputs: [i === ops.length - 1 ? 'y' : `v${i + 1}`] };
    return typeof op === 'string' ? { op, ...ends } : { op: '', ...ends, ...op };
  });
  return { inputs: [x], outputs: [{ name: 'y', type: 'float32', ...output }], nodes };
}

const trees = (labels: number): Partial<NodeDef> => ({
  op: 'TreeEnsembleClassifier',
  domain: 'ai.onnx.ml',
  attributes: { classlabels_int64s: { ints: Array.from({ length: labels }, (_, i) => i) } },
});

describe('what is read from the graph alone', () => {
  test('a regression: one column, no labels, no segments', () => {
    expect(signatureOf(chain(['Gemm'], { dims: ['N', 1] }))).toMatchObject({
      task: 'regression',
      score: { output: 'y', column: 0, width: 1 },
      scoreProblem: '',
      labels: [],
      segments: [],
      labelOutput: undefined,
    });
  });

  test('a column of [N], of [N, 1, 1], and of undeclared shape', () => {
    expect(signatureOf(chain(['Gemm'], { dims: ['N'] })).score).toEqual({ output: 'y', column: 0, width: 1 });
    expect(signatureOf(chain(['Gemm'], { dims: ['N', 1, 1] })).score).toEqual({ output: 'y', column: 0, width: 1 });
    expect(signatureOf(chain(['Gemm'], {})).score).toEqual({ output: 'y', column: 0, width: undefined });
    expect(signatureOf(chain(['Gemm'], { dims: [] })).score).toEqual({ output: 'y', column: 0, width: undefined });
    expect(signatureOf(chain(['Gemm'], { dims: ['N', 1], type: 'float64' })).score?.column).toBe(0);
  });

  test.each([
    ['a sigmoid', ['Gemm', 'Sigmoid']],
    ['a sigmoid, moved about', ['Gemm', 'Sigmoid', 'Reshape', 'Cast', 'Identity']],
    ['the second column of a softmax', ['Gemm', 'Softmax', 'Slice', 'Squeeze']],
    ['the second column of trees', [trees(2), { op: 'ArrayFeatureExtractor', domain: 'ai.onnx.ml' }]],
  ])('%s is the score of a binary classifier', (_, ops) => {
    expect(signatureOf(chain(ops, { dims: ['N', 1] }))).toMatchObject({
      task: 'binary',
      score: { output: 'y', column: 0, width: 1 },
      threshold: 0.5,
      segments: riskSegments,
    });
  });

  test('a sigmoid inside is none at the end', () => {
    expect(signatureOf(chain(['Gemm', 'Sigmoid', 'Gemm'], { dims: ['N', 1] })).task).toBe('regression');
  });

  test.each([
    ['two classes of ZipMap', classifier([0, 1])],
    ['two classes without ZipMap', classifier([0, 1], { zipMap: false })],
    ['two columns of a softmax', chain(['Gemm', 'Softmax'], { dims: ['N', 2] })],
    ['two classes of trees, shape undeclared', chain([trees(2), 'Identity'], {})],
  ])('%s: the second column scores', (_, model) => {
    expect(signatureOf(model)).toMatchObject({
      task: 'binary',
      score: { column: 1, width: 2 },
      scoreProblem: '',
      segments: riskSegments,
    });
  });

  test('two columns of nothing known are no classifier', () => {
    expect(signatureOf(chain(['Gemm'], { dims: ['N', 2] }))).toMatchObject({
      task: 'regression',
      score: undefined,
      scoreProblem: `model "m" has 2 columns in its output "y"; set score.column (0 to 1, or predicted beside task: multiclass) in ${MANIFEST}`,
    });
  });

  test('three classes need a column', () => {
    expect(signatureOf(classifier(['red', 'white', 'rosé']))).toMatchObject({
      task: 'multiclass',
      score: undefined,
      scoreProblem: `model "m" has 3 classes; set score.column (0 to 2, or predicted) in ${MANIFEST}`,
      labels: ['red', 'white', 'rosé'],
      labelOutput: 'output_label',
      segments: [],
    });
    expect(signatureOf(chain(['Gemm', 'Softmax'], {})).scoreProblem).toBe(
      `model "m" doesn't say how many columns its output "y" has; set score.column (a column from 0 on, or predicted) in ${MANIFEST}`,
    );
  });

  test('a label by ArgMax beside the probabilities makes a classifier', () => {
    const model: ModelDef = {
      inputs: [x],
      outputs: [
        { name: 'label', type: 'int64', dims: ['N'] },
        { name: 'probabilities', type: 'float32', dims: ['N', 2] },
      ],
      nodes: [
        { op: 'Concat', inputs: ['x'], outputs: ['probabilities'] },
        { op: 'ArgMax', inputs: ['probabilities'], outputs: ['best'] },
        { op: 'ArrayFeatureExtractor', domain: 'ai.onnx.ml', inputs: ['classes', 'best'], outputs: ['label'] },
      ],
    };
    expect(signatureOf(model)).toMatchObject({ task: 'binary', score: { column: 1 }, labelOutput: 'label' });
    // k-means: the nearest of two centres, and the distances to both.
    const nearest = model.nodes.map((node) => (node.op === 'ArgMax' ? { ...node, op: 'ArgMin' } : node));
    expect(signatureOf({ ...model, nodes: nearest })).toMatchObject({ task: 'regression', score: undefined });
  });

  test('several float outputs, none, an embedding: no score, and what to do', () => {
    expect(signatureOf(twoOutputs())).toMatchObject({
      score: undefined,
      scoreProblem: `model "m" has 2 float outputs (a, b); set score.output in ${MANIFEST}`,
    });
    expect(signatureOf(chain(['ArgMax'], { type: 'int64', dims: ['N', 1] }))).toMatchObject({
      score: undefined,
      scoreProblem: 'model "m" has no float output, so it has no score; ask for its outputs',
    });
    expect(signatureOf(embedding()).scoreProblem).toMatch(
      'model "m" has 8 columns in its output "embedding"; set score.column',
    );
  });

  test('names of classes: strings, and numbers that are not their index', () => {
    expect(signatureOf(classifier(['no', 'yes'])).labels).toEqual(['no', 'yes']);
    expect(signatureOf(classifier([-1, 1])).labels).toEqual(['-1', '1']);
    expect(signatureOf(classifier([0, 1])).labels).toEqual([]);
  });

  test('outputs are listed after ZipMap is gone; what is no tensor is left out with a warning', () => {
    const { outputs, warnings } = signatureOf(classifier(['no', 'yes']));
    expect(outputs).toEqual([
      { name: 'output_label', type: 'string', shape: [null] },
      { name: 'output_probability', type: 'float32', shape: [null, 2] },
    ]);
    expect(warnings).toEqual([]);

    const mixed = { ...chain(['Gemm'], { dims: ['N', 1] }) };
    const odd = signatureOf({ ...mixed, outputs: [...mixed.outputs, { name: 'maps', type: 'text maps' }] });
    expect(odd.outputs).toHaveLength(1);
    expect(odd.warnings).toEqual([
      'models/m/1/model.onnx: output "maps" is of type sequence, which can\'t be served; it is left out',
    ]);
  });

  test('text in, text and number out', () => {
    expect(signatureOf(identityText())).toMatchObject({
      task: 'regression',
      inputs: [{ name: 'text', type: 'string', shape: [null, 1] }],
      outputs: [{ name: 'echo' }, { name: 'score' }],
      score: { output: 'score', column: 0 },
    });
  });

  test('what can not be served at all', () => {
    const bfloat = { ...chain(['Gemm'], {}), inputs: [{ ...x, type: 'bfloat16' as const }] };
    expect(mistakeOf(() => signatureOf(bfloat))).toBe(
      'models/m/1/model.onnx: input "x" is of type bfloat16, which can\'t be served',
    );
    expect(mistakeOf(() => signatureOf(chain(['Gemm'], { type: 'number maps' })))).toBe(
      'models/m/1/model.onnx: none of its outputs is a tensor that can be served',
    );
  });
});

describe('what the manifest decides', () => {
  test('score, task, labels, threshold, segments', () => {
    expect(
      signatureOf(twoOutputs(), 'task: binary\nscore: { output: b }\nlabel: { threshold: 0.7, names: [n, y] }'),
    ).toMatchObject({
      task: 'binary',
      score: { output: 'b', column: 0, width: 1 },
      scoreProblem: '',
      threshold: 0.7,
      labels: ['n', 'y'],
      segments: riskSegments,
    });
    expect(
      signatureOf(classifier([0, 1, 2]), 'score: { column: predicted }\nlabel: { names: [a, b, c] }'),
    ).toMatchObject({
      task: 'multiclass',
      score: { output: 'output_probability', column: 'predicted', width: 3 },
      labels: ['a', 'b', 'c'],
    });
    expect(signatureOf(linear([1], 0), 'segments: []').segments).toEqual([]);
    expect(signatureOf(linear([1], 0), 'task: regression')).toMatchObject({ task: 'regression', segments: [] });
    expect(signatureOf(chain(['Gemm'], { dims: ['N', 2] }), 'task: binary').score?.column).toBe(1);
  });

  test('one class of three against the rest', () => {
    expect(signatureOf(classifier(['a', 'b', 'c']), 'task: binary\nscore: { column: 2 }')).toMatchObject({
      task: 'binary',
      score: { column: 2, width: 3 },
      labels: [],
      segments: riskSegments,
    });
  });

  test.each([
    [twoOutputs(), 'score: { output: c }', 'score.output: found "c"; allowed is a float output: a, b'],
    [
      classifier(['a', 'b']),
      'score: { output: output_label }',
      'score.output: found "output_label", which is string; allowed is a float output: output_probability',
    ],
    [
      twoOutputs(),
      'score: { column: 0 }',
      'score.output: found nothing; allowed is one of the 2 float outputs beside score.column: a, b',
    ],
    [classifier([0, 1, 2]), 'score: { column: 3 }', 'score.column: found 3; allowed is 0 to 2, or predicted'],
    [linear([1], 0), 'score: { column: 1 }', 'score.column: found 1; allowed is 0'],
    [linear([1], 0), 'score: { column: predicted }', 'score.column: found "predicted"; allowed is 0'],
    [
      classifier([0, 1]),
      'score: { column: predicted }',
      'score.column: found "predicted"; allowed is 0 to 1, or predicted beside task: multiclass',
    ],
    [
      classifier([0, 1, 2]),
      'task: binary',
      'task: found "binary"; allowed is multiclass or regression, or binary beside score.column, as output "output_probability" has 3 columns',
    ],
    [linear([1], 0), 'task: multiclass', 'task: found "multiclass"; allowed is binary, as output "score" has 1 column'],
    [
      chain(['Gemm'], { dims: ['N', 1] }),
      'label: { threshold: 0.5 }',
      'label.threshold: found 0.5; allowed is nothing, as the task is regression: only binary models have a threshold',
    ],
    [
      chain(['Gemm'], { dims: ['N', 1] }),
      'label: { names: [a, b] }',
      'label.names: found ["a","b"]; allowed is nothing, as the task is regression',
    ],
    [
      classifier([0, 1, 2]),
      'label: { names: [a, b] }',
      'label.names: found 2 names; allowed is a list of 3 names, one a class',
    ],
    [linear([1], 0), 'label: { names: [a] }', 'label.names: found 1 name; allowed is a list of 2 names, one a class'],
    [
      classifier(['a', 'b']),
      'label: { names: [b, a] }',
      "label.names: found b, a; allowed is the graph's own order, a, b",
    ],
  ])('but not against the graph: %#', (model, manifest, message) => {
    expect(mistakeOf(() => signatureOf(model, manifest))).toBe(`${MANIFEST}:1: ${message}`);
  });
});
