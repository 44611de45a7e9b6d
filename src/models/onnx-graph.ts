// What an ONNX file says about its graph. Field numbers are those of onnx.proto (github.com/onnx/onnx, onnx/onnx.proto).

import { SetupError } from '../errors.ts';
import { type OnnxValue, readValue } from './onnx-value.ts';
import { eachField, text, varints, wireFields } from './wire.ts';

export type OnnxNode = {
  op: string;
  /** '' for the default domain. */
  domain: string;
  inputs: readonly string[];
  outputs: readonly string[];
  /** From the attributes classlabels_*, of ZipMap and the classifiers of ai.onnx.ml. */
  classLabels: readonly (number | string)[];
};

export type OnnxGraph = {
  irVersion: number;
  /** Name and version of the exporter. */
  producer: string;
  /** Version by domain. */
  opset: Record<string, number>;
  metadata: Map<string, string>;
  /** All inputs, also those that have an initializer of the same name and so needn't be given. */
  inputs: OnnxValue[];
  outputs: OnnxValue[];
  initializers: Set<string>;
  /** Of those that have a graph input of their name: their TensorProto, as a view of the file. */
  inputValues: Map<string, Uint8Array>;
  /** The main graph's, in its order. */
  nodes: OnnxNode[];
  /** `Op`, or `domain.Op` outside the default domain; of subgraphs and functions too. */
  ops: Set<string>;
  /** Files with external weights as the graph names them, relative to its own directory; sorted. */
  dataFiles: string[];
};

const GIT_LFS_POINTER = 'version https://git-lfs';

/** The name by which `ops` and messages call an operator. */
export function operatorName(node: Pick<OnnxNode, 'op' | 'domain'>): string {
  return node.domain === '' ? node.op : `${node.domain}.${node.op}`;
}

/**
 * Reads the graph's signature from the bytes of an ONNX file; weights are stepped over. `file` is for messages only.
 * Throws SetupError where the bytes are not an ONNX model.
 */
export function readGraph(bytes: Uint8Array, file: string): OnnxGraph {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new SetupError(`${file} is not an ONNX model: ${reason}`, cause);
  };
  if (bytes.length === 0) refuse('the file is empty');
  if (text(bytes.subarray(0, GIT_LFS_POINTER.length)) === GIT_LFS_POINTER) {
    refuse('it is a Git LFS pointer; fetch the file itself with "git lfs pull"');
  }
  const graph: OnnxGraph = {
    irVersion: 0,
    producer: '',
    opset: {},
    metadata: new Map(),
    inputs: [],
    outputs: [],
    initializers: new Set(),
    inputValues: new Map(),
    nodes: [],
    ops: new Set(),
    dataFiles: [],
  };
  try {
    readModel(bytes, graph);
  } catch (cause) {
    refuse(`it is damaged or cut short (${(cause as Error).message})`, cause);
  }
  if (graph.irVersion === 0) refuse('it has no ir_version');
  if (graph.outputs.length === 0) refuse('it has no graph with outputs');
  graph.dataFiles = [...new Set(graph.dataFiles)].sort();
  return graph;
}

function readModel(bytes: Uint8Array, into: OnnxGraph): void {
  let producerVersion = '';
  eachField(bytes, {
    1: (field) => (into.irVersion = field.number),
    2: (field) => (into.producer = text(field.bytes)),
    3: (field) => (producerVersion = text(field.bytes)),
    7: (field) => readMainGraph(field.bytes, into),
    8: (field) => readOpset(field.bytes, into),
    14: (field) => into.metadata.set(...readEntry(field.bytes)),
    25: (field) => readFunction(field.bytes, into),
  });
  into.producer = `${into.producer} ${producerVersion}`.trim();
}

function readOpset(bytes: Uint8Array, into: OnnxGraph): void {
  let domain = '';
  let version = 0;
  eachField(bytes, {
    1: (field) => (domain = shortDomain(text(field.bytes))),
    2: (field) => (version = field.number),
  });
  into.opset[domain] = version;
}

function readFunction(bytes: Uint8Array, into: OnnxGraph): void {
  eachField(bytes, { 7: (field) => readNode(field.bytes, into) });
}

function readMainGraph(bytes: Uint8Array, into: OnnxGraph): void {
  const values = new Map<string, Uint8Array>();
  eachField(bytes, {
    1: (field) => into.nodes.push(readNode(field.bytes, into)),
    5: (field) => {
      const name = readTensor(field.bytes, into);
      into.initializers.add(name);
      values.set(name, field.bytes);
    },
    11: (field) => into.inputs.push(readValue(field.bytes)),
    12: (field) => into.outputs.push(readValue(field.bytes)),
    15: (field) => into.initializers.add(readSparseTensor(field.bytes, into)),
  });
  for (const { name } of into.inputs) {
    const value = values.get(name);
    if (value !== undefined) into.inputValues.set(name, value);
  }
}

/** Of a subgraph only its operators and data files matter. */
function readSubgraph(bytes: Uint8Array, into: OnnxGraph): void {
  eachField(bytes, {
    1: (field) => readNode(field.bytes, into),
    5: (field) => readTensor(field.bytes, into),
    15: (field) => readSparseTensor(field.bytes, into),
  });
}

function readNode(bytes: Uint8Array, into: OnnxGraph): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const classLabels: (number | string)[] = [];
  const node: OnnxNode = { op: '', domain: '', inputs, outputs, classLabels };
  eachField(bytes, {
    1: (field) => inputs.push(text(field.bytes)),
    2: (field) => outputs.push(text(field.bytes)),
    4: (field) => (node.op = text(field.bytes)),
    5: (field) => readAttribute(field.bytes, classLabels, into),
    7: (field) => (node.domain = shortDomain(text(field.bytes))),
  });
  into.ops.add(operatorName(node));
  return node;
}

function readAttribute(bytes: Uint8Array, classLabels: (number | string)[], into: OnnxGraph): void {
  let name: string | undefined;
  for (const field of wireFields(bytes)) {
    if (field.field === 1) name = text(field.bytes);
    if (field.field === 5 || field.field === 10) readTensor(field.bytes, into);
    if (field.field === 6 || field.field === 11) readSubgraph(field.bytes, into);
    if (field.field >= 7 && field.field <= 9 && name !== undefined) {
      // An attribute has one kind of content, so nothing is left to find among the million numbers of a forest.
      if (!name.startsWith('classlabels_')) return;
      if (field.field === 8) classLabels.push(...varints(field));
      if (field.field === 9) classLabels.push(text(field.bytes));
    }
  }
}

/** Returns the tensor's name, and notes where its data lies if that is another file. */
function readTensor(bytes: Uint8Array, into: OnnxGraph): string {
  let name = '';
  const external = new Map<string, string>();
  let isExternal = false;
  eachField(bytes, {
    8: (field) => (name = text(field.bytes)),
    13: (field) => external.set(...readEntry(field.bytes)),
    14: (field) => (isExternal = field.number === 1),
  });
  if (isExternal) into.dataFiles.push(external.get('location') ?? '');
  return name;
}

function readSparseTensor(bytes: Uint8Array, into: OnnxGraph): string {
  let name = '';
  eachField(bytes, {
    1: (field) => (name = readTensor(field.bytes, into)),
    2: (field) => readTensor(field.bytes, into),
  });
  return name;
}

function readEntry(bytes: Uint8Array): [key: string, value: string] {
  const entry: [string, string] = ['', ''];
  eachField(bytes, {
    1: (field) => (entry[0] = text(field.bytes)),
    2: (field) => (entry[1] = text(field.bytes)),
  });
  return entry;
}

/** The default domain has two spellings. */
function shortDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}
