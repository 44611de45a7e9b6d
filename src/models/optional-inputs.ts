// Inputs with a value of their own: the graph keeps it as an initializer of the input's name. onnxruntime lets callers replace it,
// its binding for Node does not; so the value is taken out of the graph, and the worker feeds it where a caller doesn't.

import { SetupError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import { edited } from './edit-wire.ts';
import type { OptionalInput } from './model.ts';
import type { OnnxGraph } from './onnx-graph.ts';
import { readTensorValue } from './onnx-tensor.ts';
import { text, type WireField, wireFields } from './wire.ts';

/** Before, every constant had to be listed as an input, and none could be replaced. */
const FIRST_IR_VERSION = 4;

/** Where nobody says what is optional: larger values, and longer lists, are a model's weights, as some exporters list them. */
const MOST_ELEMENTS = 64;
const MOST_INPUTS = 16;

/**
 * The graph's inputs that callers may replace, in its order.
 * @param named those that a config lists, small or not; undefined: there is no list, and only small values count
 * @param file for messages
 */
export function optionalInputs(graph: OnnxGraph, named: readonly string[] | undefined, file: string): OptionalInput[] {
  if (graph.irVersion < FIRST_IR_VERSION) return [];
  const found: OptionalInput[] = [];
  for (const { name, type, shape } of graph.inputs) {
    const bytes = graph.inputValues.get(name);
    if (bytes === undefined || type === undefined || named?.includes(name) === false) continue;
    const value =
      named === undefined ? smallValue(bytes) : givenValue(bytes, `${file}: the value of its input "${name}"`);
    if (value !== undefined) found.push({ name, type, shape, value });
  }
  return named === undefined && found.length > MOST_INPUTS ? [] : found;
}

/** What can't be read stays a constant, for onnxruntime to judge. */
function smallValue(bytes: Uint8Array): Tensor | undefined {
  try {
    return readTensorValue(bytes, MOST_ELEMENTS);
  } catch {
    return undefined;
  }
}

function givenValue(bytes: Uint8Array, what: string): Tensor | undefined {
  try {
    return readTensorValue(bytes, Number.POSITIVE_INFINITY);
  } catch (error) {
    throw new SetupError(`${what} can't be read: ${(error as Error).message}`, error);
  }
}

/** The model without the initializers of these names; `model` itself where there are none. */
export function withoutValues(model: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  if (names.size === 0) return model;
  let graph: WireField | undefined;
  for (const field of wireFields(model)) if (field.field === 7) graph = field;
  if (graph === undefined) return model;
  const parts: Uint8Array[] = [];
  let kept = 0;
  for (const field of wireFields(graph.bytes)) {
    if (field.field !== 5 || !names.has(tensorName(field.bytes))) continue;
    parts.push(graph.bytes.subarray(kept, field.start));
    kept = field.end;
  }
  return edited(model, graph, [...parts, graph.bytes.subarray(kept)]);
}

function tensorName(tensor: Uint8Array): string {
  for (const field of wireFields(tensor)) if (field.field === 8) return text(field.bytes);
  return '';
}
