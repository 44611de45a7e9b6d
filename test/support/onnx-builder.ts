// Writes small ONNX models, so that tests need no Python and no model files. Field numbers are those of onnx.proto.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

// In the order of TensorProto.DataType, from 1.
const ELEMENT_TYPES = [
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
] as const;

export type ElementType = (typeof ELEMENT_TYPES)[number];

/** A constant. `external` writes only a reference; the caller writes the data file (little-endian, row-major). */
export type TensorDef = { name?: string; dims: readonly number[] } & (
  | { type: 'float32' | 'int64'; data: ArrayLike<number> }
  | { type: 'string'; data: readonly string[] }
  | { type: ElementType; external: { location: string; offset?: number; length?: number } }
);

/** An input or output. A dimension is null or a symbol where it is open; no `dims`: the shape isn't declared. */
export type ValueDef = {
  name: string;
  /** 'untyped' declares no type; the maps are ZipMap's: a sequence of maps from int64, or string, to float. */
  type: ElementType | 'untyped' | 'number maps' | 'text maps';
  dims?: readonly (number | string | null)[];
};

export type AttributeDef =
  | { int: number }
  | { float: number }
  | { string: string }
  | { ints: readonly number[]; packed?: boolean }
  | { floats: readonly number[] }
  | { strings: readonly string[] }
  | { tensor: TensorDef }
  | { graph: GraphDef };

export type NodeDef = {
  op: string;
  domain?: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes?: Readonly<Record<string, AttributeDef>>;
};

export type GraphDef = {
  inputs: readonly ValueDef[];
  outputs: readonly ValueDef[];
  nodes: readonly NodeDef[];
  initializers?: readonly TensorDef[];
};

export type ModelDef = GraphDef & {
  irVersion?: number;
  /** By domain; default { '': 17 }. */
  opset?: Readonly<Record<string, number>>;
  producer?: string;
  producerVersion?: string;
  metadata?: Readonly<Record<string, string>>;
};

/** The bytes of an ONNX file. */
export function onnxModel(model: ModelDef): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int64(model.irVersion ?? 8);
  putText(writer, 2, model.producer ?? 'scorewire-test');
  putText(writer, 3, model.producerVersion ?? '1');
  putMessage(writer, 7, encodeGraph(model));
  for (const [domain, version] of Object.entries(model.opset ?? { '': 17 })) {
    const opset = new BinaryWriter();
    putText(opset, 1, domain);
    opset.tag(2, WireType.Varint).int64(version);
    putMessage(writer, 8, opset);
  }
  for (const [key, value] of Object.entries(model.metadata ?? {})) putMessage(writer, 14, encodeEntry(key, value));
  return writer.finish();
}

function encodeGraph(graph: GraphDef): BinaryWriter {
  const writer = new BinaryWriter();
  for (const node of graph.nodes) putMessage(writer, 1, encodeNode(node));
  putText(writer, 2, 'graph');
  for (const initializer of graph.initializers ?? []) putMessage(writer, 5, encodeTensor(initializer));
  for (const input of graph.inputs) putMessage(writer, 11, encodeValue(input));
  for (const output of graph.outputs) putMessage(writer, 12, encodeValue(output));
  return writer;
}

function encodeNode(node: NodeDef): BinaryWriter {
  const writer = new BinaryWriter();
  for (const input of node.inputs) putText(writer, 1, input);
  for (const output of node.outputs) putText(writer, 2, output);
  putText(writer, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes ?? {}))
    putMessage(writer, 5, encodeAttribute(name, value));
  if (node.domain !== undefined) putText(writer, 7, node.domain);
  return writer;
}

function encodeAttribute(name: string, value: AttributeDef): BinaryWriter {
  const writer = new BinaryWriter();
  putText(writer, 1, name);
  const kind = (type: number): void => {
    writer.tag(20, WireType.Varint).int32(type);
  };
  if ('float' in value) {
    writer.tag(2, WireType.Bit32).float(value.float);
    kind(1);
  } else if ('int' in value) {
    writer.tag(3, WireType.Varint).int64(value.int);
    kind(2);
  } else if ('string' in value) {
    putText(writer, 4, value.string);
    kind(3);
  } else if ('tensor' in value) {
    putMessage(writer, 5, encodeTensor(value.tensor));
    kind(4);
  } else if ('graph' in value) {
    putMessage(writer, 6, encodeGraph(value.graph));
    kind(5);
  } else if ('floats' in value) {
    for (const float of value.floats) writer.tag(7, WireType.Bit32).float(float);
    kind(6);
  } else if ('ints' in value) {
    if (value.packed) {
      writer.tag(8, WireType.LengthDelimited).fork();
      for (const int of value.ints) writer.int64(int);
      writer.join();
    } else {
      for (const int of value.ints) writer.tag(8, WireType.Varint).int64(int);
    }
    kind(7);
  } else {
    for (const string of value.strings) putText(writer, 9, string);
    kind(8);
  }
  return writer;
}

function encodeTensor(tensor: TensorDef): BinaryWriter {
  const writer = new BinaryWriter();
  for (const dim of tensor.dims) writer.tag(1, WireType.Varint).int64(dim);
  writer.tag(2, WireType.Varint).int32(elementType(tensor.type));
  if ('data' in tensor && tensor.type === 'string') for (const string of tensor.data) putText(writer, 6, string);
  if (tensor.name !== undefined) putText(writer, 8, tensor.name);
  if ('data' in tensor && tensor.type !== 'string') {
    const array =
      tensor.type === 'float32' ? new Float32Array(tensor.data) : BigInt64Array.from(Array.from(tensor.data), BigInt);
    writer.tag(9, WireType.LengthDelimited).bytes(new Uint8Array(array.buffer));
  }
  if ('external' in tensor) {
    for (const [key, value] of Object.entries(tensor.external)) putMessage(writer, 13, encodeEntry(key, String(value)));
    writer.tag(14, WireType.Varint).int32(1);
  }
  return writer;
}

function encodeValue(value: ValueDef): BinaryWriter {
  const writer = new BinaryWriter();
  putText(writer, 1, value.name);
  if (value.type === 'number maps') putMessage(writer, 2, sequenceOfMaps('int64'));
  else if (value.type === 'text maps') putMessage(writer, 2, sequenceOfMaps('string'));
  else if (value.type !== 'untyped') putMessage(writer, 2, tensorType(value.type, value.dims));
  return writer;
}

function tensorType(type: ElementType, dims: ValueDef['dims']): BinaryWriter {
  const tensor = new BinaryWriter();
  tensor.tag(1, WireType.Varint).int32(elementType(type));
  if (dims !== undefined) {
    const shape = new BinaryWriter();
    for (const dim of dims) {
      const size = new BinaryWriter();
      if (typeof dim === 'number') size.tag(1, WireType.Varint).int64(dim);
      if (typeof dim === 'string') putText(size, 2, dim);
      putMessage(shape, 1, size);
    }
    putMessage(tensor, 2, shape);
  }
  return wrapped(1, tensor);
}

function sequenceOfMaps(key: 'int64' | 'string'): BinaryWriter {
  const map = new BinaryWriter();
  map.tag(1, WireType.Varint).int32(elementType(key));
  putMessage(map, 2, tensorType('float32', []));
  return wrapped(4, wrapped(1, wrapped(5, map)));
}

function elementType(type: ElementType): number {
  return ELEMENT_TYPES.indexOf(type) + 1;
}

function encodeEntry(key: string, value: string): BinaryWriter {
  const writer = new BinaryWriter();
  putText(writer, 1, key);
  putText(writer, 2, value);
  return writer;
}

function wrapped(field: number, content: BinaryWriter): BinaryWriter {
  const writer = new BinaryWriter();
  putMessage(writer, field, content);
  return writer;
}

function putMessage(writer: BinaryWriter, field: number, content: BinaryWriter): void {
  writer.tag(field, WireType.LengthDelimited).bytes(content.finish());
}

function putText(writer: BinaryWriter, field: number, text: string): void {
  writer.tag(field, WireType.LengthDelimited).string(text);
}

// Ready models. `N` is the open batch dimension throughout.

const ML = 'ai.onnx.ml';

/** `x` float32 [N, weights] -> `score` float32 [N, 1] = sigmoid(x . weights + bias). */
export function linear(weights: readonly number[], bias: number): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', weights.length] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: linearWeights(weights, bias),
    nodes: [
      { op: 'Gemm', inputs: ['x', 'weights', 'bias'], outputs: ['logit'] },
      { op: 'Sigmoid', inputs: ['logit'], outputs: ['score'] },
    ],
  });
}

function linearWeights(weights: readonly number[], bias: number): TensorDef[] {
  return [
    { name: 'weights', type: 'float32', dims: [weights.length, 1], data: weights },
    { name: 'bias', type: 'float32', dims: [1], data: [bias] },
  ];
}

/** Elements that each row of `slowLinear` carries through its loop: enough that rows, not iterations, set the time. */
const SLOW_WIDTH = 4096;

/**
 * As `linear`, with the same scores, but each row also goes `iterations` times through a loop of element-wise steps that
 * adds nothing: the run lasts about iterations x rows x a few microseconds.
 */
export function slowLinear(weights: readonly number[], bias: number, iterations: number): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', weights.length] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: [
      ...linearWeights(weights, bias),
      { name: 'ones', type: 'float32', dims: [1, SLOW_WIDTH], data: new Array<number>(SLOW_WIDTH).fill(1) },
      { name: 'zero', type: 'float32', dims: [1], data: [0] },
      { name: 'iterations', type: 'int64', dims: [], data: [iterations] },
    ],
    nodes: [
      { op: 'Gemm', inputs: ['x', 'weights', 'bias'], outputs: ['logit'] },
      { op: 'Mul', inputs: ['logit', 'ones'], outputs: ['wide'] },
      {
        op: 'Loop',
        inputs: ['iterations', '', 'wide'],
        outputs: ['worked'],
        attributes: { body: { graph: sineStep() } },
      },
      { op: 'ReduceMean', inputs: ['worked'], outputs: ['mean'], attributes: { axes: { ints: [1] } } },
      { op: 'Mul', inputs: ['mean', 'zero'], outputs: ['nothing'] },
      { op: 'Add', inputs: ['logit', 'nothing'], outputs: ['sum'] },
      { op: 'Sigmoid', inputs: ['sum'], outputs: ['score'] },
    ],
  });
}

function sineStep(): GraphDef {
  return {
    inputs: [
      { name: 'step', type: 'int64', dims: [] },
      { name: 'go_in', type: 'bool', dims: [] },
      { name: 'value_in', type: 'float32', dims: ['N', SLOW_WIDTH] },
    ],
    outputs: [
      { name: 'go_out', type: 'bool', dims: [] },
      { name: 'value_out', type: 'float32', dims: ['N', SLOW_WIDTH] },
    ],
    nodes: [
      { op: 'Identity', inputs: ['go_in'], outputs: ['go_out'] },
      { op: 'Sin', inputs: ['value_in'], outputs: ['value_out'] },
    ],
  };
}

/**
 * `index` int64 [N, 1] -> `score` float32 [N, 1], looked up in `table`. An index outside the table (-4 to
 * 3, by default) makes the whole run fail, with all its rows.
 */
export function gatherRow(table: readonly number[] = [0.125, 0.25, 0.5, 0.75]): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'index', type: 'int64', dims: ['N', 1] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    initializers: [{ name: 'table', type: 'float32', dims: [table.length], data: table }],
    nodes: [{ op: 'Gather', inputs: ['table', 'index'], outputs: ['score'] }],
  });
}

/** `text` string [N, 1] -> `echo` string [N, 1], the same; `score` float32 [N, 1]: 1 for `yes`, 0.5 for `maybe`, else 0. */
export function identityText(): Uint8Array {
  return onnxModel({
    opset: { '': 17, [ML]: 2 },
    inputs: [{ name: 'text', type: 'string', dims: ['N', 1] }],
    outputs: [
      { name: 'echo', type: 'string', dims: ['N', 1] },
      { name: 'score', type: 'float32', dims: ['N', 1] },
    ],
    nodes: [
      { op: 'Identity', inputs: ['text'], outputs: ['echo'] },
      {
        op: 'LabelEncoder',
        domain: ML,
        inputs: ['text'],
        outputs: ['score'],
        attributes: {
          keys_strings: { strings: ['yes', 'maybe'] },
          values_floats: { floats: [1, 0.5] },
          default_float: { float: 0 },
        },
      },
    ],
  });
}

/** `x` of any type and shape -> `y`, the same. */
export function identity(type: ElementType, dims: readonly (number | string | null)[] | undefined): Uint8Array {
  const shape = dims === undefined ? {} : { dims };
  return onnxModel({
    inputs: [{ name: 'x', type, ...shape }],
    outputs: [{ name: 'y', type, ...shape }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  });
}

/** `INPUT0` and `INPUT1` int32 [N, 16] -> `OUTPUT0` their sum, `OUTPUT1` their difference: the model that Triton's examples call. */
export function addAndSubtract(): Uint8Array {
  const tensor = (name: string): ValueDef => ({ name, type: 'int32', dims: ['N', 16] });
  return onnxModel({
    inputs: [tensor('INPUT0'), tensor('INPUT1')],
    outputs: [tensor('OUTPUT0'), tensor('OUTPUT1')],
    nodes: [
      { op: 'Add', inputs: ['INPUT0', 'INPUT1'], outputs: ['OUTPUT0'] },
      { op: 'Sub', inputs: ['INPUT0', 'INPUT1'], outputs: ['OUTPUT1'] },
    ],
  });
}

/** `x` float32 [N, width] -> `score` float32 [N, 1]: mean of the row less that of the batch. Batching changes scores. */
export function meanOverBatch(width = 3): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', width] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    nodes: [
      { op: 'ReduceMean', inputs: ['x'], outputs: ['batch'], attributes: { axes: { ints: [0] } } },
      { op: 'Sub', inputs: ['x', 'batch'], outputs: ['centred'] },
      { op: 'ReduceMean', inputs: ['centred'], outputs: ['score'], attributes: { axes: { ints: [1] } } },
    ],
  });
}

/** `x` float32 [N, 4] -> `embedding` float32 [N, 8] = x0, -x0, x1, -x1, ...: no single score. */
export function embedding(): Uint8Array {
  const weights = Array.from({ length: 4 * 8 }, (_, i) => {
    const [row, column] = [Math.floor(i / 8), i % 8];
    return Math.floor(column / 2) === row ? (column % 2 === 0 ? 1 : -1) : 0;
  });
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 4] }],
    outputs: [{ name: 'embedding', type: 'float32', dims: ['N', 8] }],
    initializers: [{ name: 'weights', type: 'float32', dims: [4, 8], data: weights }],
    nodes: [{ op: 'MatMul', inputs: ['x', 'weights'], outputs: ['embedding'] }],
  });
}

/** `x` float32 [N, T], both open -> `score` float32 [N, 1], the mean of the row. */
export function openWidth(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 'T'] }],
    outputs: [{ name: 'score', type: 'float32', dims: ['N', 1] }],
    nodes: [{ op: 'ReduceMean', inputs: ['x'], outputs: ['score'], attributes: { axes: { ints: [1] } } }],
  });
}

/** `x` float32 [N, 2] -> `a` and `b`, float32 [N, 1]: mean and maximum of the row. Which one scores can't be told. */
export function twoOutputs(): Uint8Array {
  const rowWise: NodeDef['attributes'] = { axes: { ints: [1] } };
  return onnxModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 2] }],
    outputs: [
      { name: 'a', type: 'float32', dims: ['N', 1] },
      { name: 'b', type: 'float32', dims: ['N', 1] },
    ],
    nodes: [
      { op: 'ReduceMean', inputs: ['x'], outputs: ['a'], attributes: rowWise },
      { op: 'ReduceMax', inputs: ['x'], outputs: ['b'], attributes: rowWise },
    ],
  });
}

/**
 * What scikit-learn's converter writes by default for a linear classifier of three features: `X` float32 [N, 3] ->
 * `output_label` and `output_probability`, the latter through ZipMap. Class k's score is x[k % 3] + k, softmax over all.
 * Labels are strings or whole numbers. `zipMap: false` ends in a [N, classes] tensor instead.
 */
export function classifier(
  labels: readonly string[] | readonly number[],
  options: { zipMap?: boolean; batch?: 'N' | 1; opset?: Readonly<Record<string, number>> } = {},
): Uint8Array {
  const { zipMap = true, batch = 'N', opset = { '': 17, [ML]: 1 } } = options;
  const textual = typeof labels[0] === 'string';
  const names = { strings: labels as readonly string[] };
  const numbers = { ints: labels as readonly number[] };
  const scores = zipMap ? 'probabilities' : 'output_probability';
  const zip: NodeDef = {
    op: 'ZipMap',
    domain: ML,
    inputs: ['probabilities'],
    outputs: ['output_probability'],
    attributes: textual ? { classlabels_strings: names } : { classlabels_int64s: numbers },
  };
  return onnxModel({
    producer: 'skl2onnx',
    opset,
    inputs: [{ name: 'X', type: 'float32', dims: [batch, 3] }],
    outputs: [
      { name: 'output_label', type: textual ? 'string' : 'int64', dims: [batch] },
      zipMap
        ? { name: 'output_probability', type: textual ? 'text maps' : 'number maps' }
        : { name: 'output_probability', type: 'float32', dims: [batch, labels.length] },
    ],
    nodes: [
      {
        op: 'LinearClassifier',
        domain: ML,
        inputs: ['X'],
        outputs: ['output_label', scores],
        attributes: {
          coefficients: { floats: labels.flatMap((_, k) => [0, 1, 2].map((i) => (i === k % 3 ? 1 : 0))) },
          intercepts: { floats: labels.map((_, k) => k) },
          multi_class: { int: 1 },
          post_transform: { string: 'SOFTMAX' },
          ...(textual ? { classlabels_strings: names } : { classlabels_ints: numbers }),
        },
      },
      ...(zipMap ? [zip] : []),
    ],
  });
}
