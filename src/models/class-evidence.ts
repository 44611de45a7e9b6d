// What a graph gives away about the classes behind one of its outputs.

import { type OnnxGraph, type OnnxNode, operatorName } from './onnx-graph.ts';
import { isZipMap } from './zip-map.ts';

export type ClassEvidence = {
  /** By index; empty where the graph doesn't name them. */
  labels: readonly (number | string)[];
  /**
   * What makes the output probabilities: a classifier node (or ZipMap, or a label by ArgMax beside it), or the function
   * that it ends in. Undefined: nothing does.
   */
  by: 'classifier' | 'sigmoid' | 'softmax' | undefined;
};

// Operators that move elements or change their type, and leave what they mean as it was. Normalizer makes a
// classifier's scores add up to 1.
const PASSING = new Set([
  'Identity',
  'Cast',
  'Gather',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Slice',
  'ai.onnx.ml.ArrayFeatureExtractor',
  'ai.onnx.ml.Normalizer',
  'ai.onnx.ml.ZipMap',
]);

const CLASSIFIER = /^ai\.onnx\.ml\..*Classifier$/;

/** Evidence about the output named `output`; about any output of the graph where none is named. */
export function classEvidence(graph: OnnxGraph, output: string | undefined): ClassEvidence {
  const origins = output === undefined ? graph.nodes : originsOf(graph, output);
  const named = origins.find((node) => isZipMap(node)) ?? origins.find(isClassifier) ?? commonClassifier(graph);
  if (named !== undefined) return { labels: named.classLabels, by: 'classifier' };

  const ops = new Set(origins.map(operatorName));
  if (output !== undefined && ops.has('Sigmoid')) return { labels: [], by: 'sigmoid' };
  if (output !== undefined && ops.has('Softmax')) return { labels: [], by: 'softmax' };
  return { labels: [], by: hasArgMaxLabel(graph) ? 'classifier' : undefined };
}

/** The graph's classifier; of several (an ensemble's) the last, if all know equally many classes. */
function commonClassifier(graph: OnnxGraph): OnnxNode | undefined {
  const classifiers = graph.nodes.filter(isClassifier);
  const last = classifiers.at(-1);
  return classifiers.every((node) => node.classLabels.length === last?.classLabels.length) ? last : undefined;
}

function isClassifier(node: OnnxNode): boolean {
  return CLASSIFIER.test(operatorName(node));
}

/** Whether an output is the class with the largest probability, as scikit-learn's converter writes it. */
function hasArgMaxLabel(graph: OnnxGraph): boolean {
  return graph.outputs.some(({ name, type }) => {
    if (type !== 'int64' && type !== 'string') return false;
    return originsOf(graph, name).some((node) => node.op === 'ArgMax');
  });
}

/** The nodes met on the way back from a value, up to and with the first that does more than pass elements on. */
function originsOf(graph: OnnxGraph, value: string): OnnxNode[] {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node])));
  const met = new Set<OnnxNode>();
  const follow = [value];
  for (let next = follow.pop(); next !== undefined; next = follow.pop()) {
    const node = producers.get(next);
    if (node === undefined || met.has(node)) continue;
    met.add(node);
    if (PASSING.has(operatorName(node))) follow.push(...node.inputs);
  }
  return [...met];
}
