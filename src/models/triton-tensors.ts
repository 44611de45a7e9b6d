// Inputs and outputs of a Triton config, held against the graph's.

import type { TensorSpec } from '../tensor.ts';
import type { ServedTensor } from './model.ts';
import type { TritonDocument } from './triton-content.ts';
import { TRITON_TYPES, type TritonType } from './triton-fields.ts';

/** What the graph has. */
export type GraphTensors = {
  /** Those that a run needs. */
  inputs: readonly TensorSpec[];
  /** Those that have a value of their own, which callers may replace. */
  optional: readonly TensorSpec[];
  outputs: readonly TensorSpec[];
};

export type TritonTensors = {
  /** Undefined: as the graph has it. */
  maxBatchSize: number | undefined;
  inputs: readonly ServedTensor[] | undefined;
  outputs: readonly ServedTensor[] | undefined;
};

type ListName = 'input' | 'output';

/** What inputs and outputs of a config have in common. */
type ConfigTensor = {
  readonly name?: string;
  readonly data_type?: TritonType;
  readonly dims?: readonly number[];
  readonly reshape?: { readonly shape?: readonly number[] };
  readonly optional?: boolean;
};

/**
 * The config's tensors in its own order.
 * @param labels names of the elements of outputs, by the output's place in the config
 * @throws SetupError that names file and field, for the first that doesn't fit the graph
 */
export function tritonTensors(
  document: TritonDocument,
  graph: GraphTensors,
  labels: ReadonlyMap<number, readonly string[]>,
): TritonTensors {
  const { content } = document;
  const input = content.input ?? [];
  const output = content.output ?? [];
  // A config that lists neither leaves the whole signature to the graph, rows included.
  const listed = input.length > 0 || output.length > 0;
  const maxBatchSize = content.max_batch_size ?? (listed ? 0 : undefined);
  const rows = (maxBatchSize ?? 0) > 0;
  if (rows) checkRows(document, graph);
  return {
    maxBatchSize,
    inputs: input.length === 0 ? undefined : servedInputs(document, input, graph, rows),
    outputs:
      output.length === 0
        ? undefined
        : output.map((tensor, index) => {
            const served = servedTensor(document, ['output', index], tensor, graph.outputs, rows);
            const names = labels.get(index);
            return names === undefined ? served : { ...served, labels: names };
          }),
  };
}

/**
 * Rows need an open first dimension everywhere, as far as a graph can be believed: converters of boosted trees say 1, or nothing, of an
 * output's rows.
 */
function checkRows({ content, mistake }: TritonDocument, { inputs, outputs }: GraphTensors): void {
  const named = content.output?.map(({ name }) => name);
  const offered = outputs.filter(({ name }) => named === undefined || named.includes(name));
  for (const [what, tensors] of [
    ['input', inputs],
    ['output', offered],
  ] as const) {
    for (const { name, shape } of tensors) {
      if (shape === undefined || shape[0] === null) continue;
      if (what === 'output' && (shape.length === 0 || shape[0] === 1)) continue;
      const reason = shape.length === 0 ? 'is a scalar' : `has a first dimension fixed at ${shape[0]}`;
      throw mistake(['max_batch_size'], `0, as the graph's ${what} "${name}" ${reason}`);
    }
  }
  if (inputs.length === 0) throw mistake(['max_batch_size'], '0, as the graph has no inputs');
}

function servedInputs(
  document: TritonDocument,
  input: readonly ConfigTensor[],
  graph: GraphTensors,
  rows: boolean,
): ServedTensor[] {
  const { mistake } = document;
  const served = input.map((tensor, index) => {
    const { name = '', optional = false } = tensor;
    const hasValue = graph.optional.some((one) => one.name === name);
    const path = ['input', index, 'optional'] as const;
    if (optional && rows) throw mistake(path, 'false, as max_batch_size is above 0: a value of the graph has no rows');
    if (optional && !hasValue && graph.inputs.some((one) => one.name === name)) {
      throw mistake(path, `false, as the graph has no value for its input "${name}"`);
    }
    if (!optional && hasValue) throw mistake(path, `true, as the graph has a value for its input "${name}"`);
    const one = servedTensor(document, ['input', index], tensor, [...graph.inputs, ...graph.optional], rows);
    return optional ? { ...one, optional } : one;
  });
  const missing = graph.inputs.filter(({ name }) => !served.some((one) => one.name === name));
  if (missing.length === 0) return served;
  const names = (list: readonly { name: string }[]): string => list.map(({ name }) => `"${name}"`).join(', ');
  throw mistake(['input'], `all inputs of the graph: ${names(graph.inputs)}`, names(served));
}

function servedTensor(
  document: TritonDocument,
  path: readonly [ListName, number],
  tensor: ConfigTensor,
  graph: readonly TensorSpec[],
  rows: boolean,
): ServedTensor {
  const { content, mistake } = document;
  const [list, index] = path;
  const spec = graph.find(({ name }) => name === tensor.name);
  if (spec === undefined) {
    const names = graph.map(({ name }) => `"${name}"`).join(', ') || 'nothing';
    throw mistake([...path, 'name'], `an ${list} of the graph: ${names}`);
  }
  const first = content[list]?.findIndex(({ name }) => name === tensor.name) ?? index;
  if (first < index) throw mistake([...path, 'name'], `a name that isn't taken: ${list}[${first}] has it`);
  const own = `as the graph's ${list} "${spec.name}" is ${spec.type} ${shapeText(spec.shape)}`;
  const type = TRITON_TYPES[spec.type];
  if (tensor.data_type !== type) throw mistake([...path, 'data_type'], `${type}, ${own}`);

  const dims = tensor.dims ?? [];
  checkDims(document, [...path, 'dims'], dims);
  const reshape = tensor.reshape && (tensor.reshape.shape ?? []);
  if (reshape !== undefined) {
    checkDims(document, [...path, 'reshape', 'shape'], reshape);
    if (!sameElements(dims, reshape)) {
      throw mistake(
        [...path, 'reshape', 'shape'],
        `as many elements as dims has: ${shapeText(dims)}`,
        shapeText(reshape),
      );
    }
  }
  const served: ServedTensor = { name: spec.name, type: spec.type, dims };
  if (spec.shape === undefined || (rows && spec.shape.length === 0))
    return reshape === undefined ? served : { ...served, reshape };
  // A scalar has no dimensions, and Triton has no tensors without.
  const scalar = spec.shape.length === 0 && reshape === undefined && dims.every((dim) => dim === 1);
  if (scalar) return dims.length === 0 ? served : { ...served, reshape: [] };
  const taken = rows ? spec.shape.slice(1) : spec.shape;
  const given = reshape ?? dims;
  const fits = given.length === taken.length && taken.every((dim, i) => dim === null || dim === given[i]);
  if (fits) return reshape === undefined ? served : { ...served, reshape };
  const why = rows ? `${own}, whose first dimension max_batch_size stands for` : own;
  throw mistake(
    [...path, ...(reshape === undefined ? ['dims'] : ['reshape', 'shape'])],
    `${shapeText(taken)}, ${why}`,
    shapeText(given),
  );
}

function checkDims({ mistake }: TritonDocument, path: readonly (string | number)[], dims: readonly number[]): void {
  const wrong = dims.findIndex((dim) => dim < 1 && dim !== -1);
  if (wrong >= 0) throw mistake([...path, wrong], 'a whole number from 1 on, or -1 where it is open');
}

/** Whether one is the other in another form: the same open dimensions, and as many elements around them. */
function sameElements(dims: readonly number[], reshape: readonly number[]): boolean {
  return products(dims).join() === products(reshape).join();
}

/** Of the fixed dimensions up to the first open one, from there to the next, and so on. */
function products(dims: readonly number[]): number[] {
  const found = [1];
  for (const dim of dims) {
    if (dim === -1) found.push(1);
    else found.push((found.pop() as number) * dim);
  }
  return found;
}

function shapeText(shape: readonly (number | null)[] | undefined): string {
  return shape === undefined ? 'of no declared shape' : `[${shape.map((dim) => dim ?? -1).join(',')}]`;
}
