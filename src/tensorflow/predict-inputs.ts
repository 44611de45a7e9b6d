// What a PredictRequest brings against what its model takes: names, types, shapes and counts first, then the values.
import { invalidField, ScorewireError } from '../errors.ts';
import { MAX_TEXTS, TEXT_BYTES } from '../grpc/byte-strings.ts';
import { LARGE_BYTES } from '../grpc/message-budget.ts';
import type { Sliced } from '../grpc/slices.ts';
import type { ServedTensor } from '../models/model.ts';
import type { ServedModel } from '../scoring/served-model.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import { type ElementType, elementType, elementTypeOf, wireTypeName } from './element-types.ts';
import { reshaped } from './reshaped.ts';
import type { TensorMessage } from './tensor-message.ts';
import { contentValues, listValues } from './tensor-values.ts';

/** Tensors that fit the model, whose values are still to be read. */
export type CheckedInputs = {
  inputs: readonly CheckedInput[];
  /** 1 for models without a dimension that counts them. */
  rows: number;
  /** What the values take in memory, about. */
  bytes: number;
};

type CheckedInput = {
  served: ServedTensor;
  element: ElementType;
  message: TensorMessage;
  /** As the graph takes them. */
  dims: readonly number[];
};

/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 100;
const MAX_NAMES = 20;

/** @throws ScorewireError INVALID_ARGUMENT */
export function checkInputs(model: ServedModel, messages: ReadonlyMap<string, TensorMessage>): CheckedInputs {
  const { contract } = model;
  const counted = contract.maxRows > 0;
  checkNames(contract.inputs, messages);
  const inputs: CheckedInput[] = [];
  let rows: number | undefined;
  let bytes = 0;
  let repeatedBytes = 0;
  for (const served of contract.inputs) {
    const message = messages.get(served.name);
    if (message === undefined) continue;
    const element = checkType(served, message);
    checkShape(served, message, counted);
    if (counted) {
      const [own] = message.dims as [number];
      checkRows(served.name, own, rows, contract.maxRows);
      rows = own;
    }
    const count = elementCount(message.dims);
    if (element.kind === 'bytes' && count > MAX_TEXTS) {
      throw invalidField(
        field(served.name, '.tensor_shape'),
        `expected at most ${MAX_TEXTS} texts, found ${count}; send them in several requests`,
      );
    }
    const repeated = checkCount(served.name, element, message, count);
    const memory = count * (element.bytes || TEXT_BYTES);
    if (repeated) repeatedBytes += memory;
    if (repeatedBytes > LARGE_BYTES) {
      throw invalidField(
        field(served.name),
        `expected all values of a tensor of more than ${LARGE_BYTES} bytes, found some`,
      );
    }
    bytes += memory;
    const rowDims = counted ? message.dims.slice(1) : message.dims;
    const dims = reshaped(rowDims, served.dims, served.reshape);
    inputs.push({ served, element, message, dims: counted ? [message.dims[0] as number, ...dims] : dims });
  }
  return { inputs, rows: rows ?? 1, bytes };
}

/** Reads the values, each input's into an array of its own. @throws NotWellFormed */
export function* readInputs({ inputs }: CheckedInputs): Sliced<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const { served, element, message, dims } of inputs) {
    const count = elementCount(dims);
    const data =
      message.content === undefined
        ? yield* listValues(message, element, count)
        : yield* contentValues(message.content, element, count);
    tensors.set(served.name, { type: served.type, dims, data });
  }
  return tensors;
}

function checkNames(served: readonly ServedTensor[], messages: ReadonlyMap<string, TensorMessage>): void {
  const missing = served.filter(({ name, optional }) => optional !== true && !messages.has(name));
  const known = new Set(served.map(({ name }) => name));
  const extra: string[] = [];
  if (missing.length === 0 && messages.size <= known.size) {
    for (const name of messages.keys()) if (!known.has(name)) extra.push(name);
    if (extra.length === 0) return;
  }
  const sent = [...messages.keys()];
  const all = [...known];
  const [first] = sent.filter((name) => !known.has(name));
  if (sent.length === all.length && first !== undefined) {
    throw wrongNames(
      `input tensor alias not found in signature: ${clipped(first)}. Inputs expected to be in the set ${setOf(all)}.`,
    );
  }
  throw wrongNames(
    `input size does not match signature: ${sent.length}!=${all.length} len(${setOf(sent)}) != len(${setOf(all)}). ` +
      `Sent extra: ${setOf(sent.filter((name) => !known.has(name)))}. ` +
      `Missing but required: ${setOf(missing.map(({ name }) => name))}.`,
  );
}

function wrongNames(message: string): ScorewireError {
  const violations = [{ field: 'inputs', description: message }];
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, { violations });
}

/** As in `{a,b}`, sorted. */
export function setOf(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, MAX_NAMES).map(clipped);
  if (names.length > MAX_NAMES) shown.push('...');
  return `{${shown.join(',')}}`;
}

function clipped(name: string): string {
  return name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}...` : name;
}

function field(name: string, part = ''): string {
  return `inputs["${clipped(name)}"]${part}`;
}

function checkType({ name, type }: ServedTensor, { wire }: TensorMessage): ElementType {
  const expected = elementType(type);
  if (wire === expected.wire) return expected;
  const known = elementTypeOf(wire) !== undefined;
  const found = `${wireTypeName(wire)}${known ? '' : ', which no model here takes'}`;
  throw invalidField(field(name, '.dtype'), `expected ${wireTypeName(expected.wire)}, found ${found}`);
}

function checkShape({ name, dims }: ServedTensor, message: TensorMessage, counted: boolean): void {
  const { dims: found, unknownRank } = message;
  const place = field(name, '.tensor_shape');
  if (unknownRank) throw invalidField(place, 'expected dimensions, found unknown_rank');
  const wrong = found.find((dim) => !(dim >= 0) || !Number.isSafeInteger(dim));
  if (wrong !== undefined)
    throw invalidField(place, `expected sizes of at least 0, found ${wrong} in [${found.join(',')}]`);
  if (!Number.isSafeInteger(elementCount(found))) {
    throw invalidField(place, `expected a tensor that fits in memory, found [${found.join(',')}]`);
  }
  if (dims === undefined) {
    if (!counted || found.length > 0) return;
    throw invalidField(place, 'expected a dimension that counts rows, found a scalar');
  }
  const expected = counted ? [-1, ...dims] : dims;
  const fits = expected.length === found.length && expected.every((dim, index) => dim < 0 || dim === found[index]);
  if (!fits) throw invalidField(place, `expected [${expected.join(',')}], found [${found.join(',')}]`);
}

function checkRows(name: string, own: number, others: number | undefined, most: number): void {
  if (others !== undefined && own !== others) {
    throw invalidField(field(name, '.tensor_shape'), `expected ${others} rows, as in other inputs, found ${own}`);
  }
  if (own > most) {
    throw invalidField(field(name, '.tensor_shape'), `expected at most ${most} rows, found ${own}`);
  }
}

/** Whether a value stands for more elements than one. */
function checkCount(name: string, element: ElementType, { content, counts }: TensorMessage, count: number): boolean {
  if (content !== undefined) {
    const { bytes } = element;
    // Texts have a byte each at least: that of their length.
    if (bytes === 0 ? content.length >= count : content.length === count * bytes) return false;
    const expected = bytes === 0 ? `at least ${count} bytes` : `${count * bytes} bytes`;
    throw invalidField(field(name, '.tensor_content'), `expected ${expected}, found ${content.length}`);
  }
  const found = counts[element.field] as number;
  if (found > count) {
    throw invalidField(field(name, `.${element.list}`), `expected at most ${count} values, found ${found}`);
  }
  // No values at all are zeros in TensorFlow, which must not hide that they are in a list that nobody reads.
  const elsewhere = found === 0 && count > 0 && counts.some((values) => values > 0);
  if (elsewhere)
    throw invalidField(field(name, `.${element.list}`), `expected ${count} values, found them in another list`);
  return found < count;
}
