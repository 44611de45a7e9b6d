// ModelInferResponse, straight from the tensors that a run gave: every output raw, in the order of the request.
import { ScorewireError } from '../errors.ts';
import { PREFIX_BYTES } from '../grpc/call-head.ts';
import type { Sliced } from '../grpc/slices.ts';
import type { ServedTensor } from '../models/model.ts';
import type { Tensor } from '../tensor.ts';
import { classified } from './classification.ts';
import { shown } from './infer-error.ts';
import type { OutputList, PreparedModel } from './prepared-model.ts';
import { AT_ONCE_BYTES } from './raw-numbers.ts';
import { packedTexts } from './raw-texts.ts';
import type { OutputForm } from './request-outputs.ts';
import { callerDims } from './tensor-shapes.ts';
import { lengthSize, putBytes, putLength, textField } from './wire-writer.ts';

// Tags: field number times 8, and the wire type.
const ID = 26;
const OUTPUT = 42;
const RAW = 50;
const OUTPUT_SHAPE = 26;
const OUTPUT_PARAMETER = 34;
const STREAMED_RESPONSE = 18;
/** `triton_final_response`: true, among the response's parameters. */
const FINAL_RESPONSE = Uint8Array.of(...[34, 27, 10, 21], ...Buffer.from('triton_final_response'), ...[18, 2, 8, 1]);

const MAX_BYTES = 2 ** 31 - 1;
/** Larger ones have room for their prefix in front, so that nobody moves them again. */
const FRAMED_ABOVE_BYTES = AT_ONCE_BYTES;

const NO_BYTES = new Uint8Array(0);

/** What is answered. */
export type Answered = {
  prepared: PreparedModel;
  id: string;
  list: OutputList;
  /** By place in the list; undefined where all come as they are. */
  forms: readonly (OutputForm | undefined)[] | undefined;
  outputs: readonly Tensor[];
};

/** `framed`: there is room for the prefix in front. */
export type EncodedResponse = { bytes: Buffer; framed: boolean };

/** Bytes that a text takes beside its own, before it is encoded. */
const TEXT_BYTES = 40;

/** About how much memory a response takes until it is sent; 0 where that is little. */
export function responseBytes({ prepared, list, forms, outputs }: Answered): number {
  let bytes = 0;
  for (let index = 0; index < outputs.length; index++) {
    const { data, dims } = outputs[index] as Tensor;
    const classes = forms?.[index]?.classes ?? 0;
    if (classes > 0) {
      const rows = prepared.contract.maxRows > 0 ? (dims[0] ?? 1) : 1;
      const { labels = [] } = prepared.contract.outputs[list.places[index] as number] as ServedTensor;
      bytes += Math.min(classes * rows, data.length) * (TEXT_BYTES + CLASS_BYTES + longest(labels));
    } else if (Array.isArray(data)) {
      bytes += textBytes(data);
    } else {
      bytes += data.byteLength;
    }
  }
  return bytes > FRAMED_ABOVE_BYTES ? bytes : 0;
}

/** Of value and index in a class's text. */
const CLASS_BYTES = 40;

function longest(labels: readonly string[]): number {
  return labels.reduce((most, { length }) => Math.max(most, length), 0);
}

function textBytes(texts: readonly string[]): number {
  let bytes = TEXT_BYTES * texts.length;
  for (let index = 0; index < texts.length; index++) bytes += (texts[index] as string).length;
  return bytes;
}

/**
 * At once, where that is soon enough.
 * @param streamed whether it goes into a ModelStreamInferResponse, which is always framed
 * @throws ScorewireError
 */
export function encodeResponse(answered: Answered, streamed: boolean): EncodedResponse | Sliced<EncodedResponse> {
  const { list, forms, outputs } = answered;
  if (forms !== undefined || !areSmall(outputs)) return encodeSlowly(answered, streamed);
  const encoded: EncodedOutput[] = [];
  for (let index = 0; index < list.places.length; index++) {
    const { dims, data } = outputs[index] as Tensor;
    const place = list.places[index] as number;
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    const served = answered.prepared.contract.outputs[place] as ServedTensor;
    const shape = callerDims(served, dims, answered.prepared.contract.maxRows > 0 ? 1 : 0);
    const head = answered.prepared.outputHeads[place] as Uint8Array;
    encoded.push(encodedOutput(head, shape, NO_BYTES, new Uint8Array(buffer, byteOffset, byteLength)));
  }
  const response = begun(answered, encoded, streamed);
  const { bytes } = response;
  let { at } = response;
  for (let index = 0; index < encoded.length; index++) {
    const { raw } = encoded[index] as EncodedOutput;
    bytes[at] = RAW;
    at = putBytes(bytes, putLength(bytes, at + 1, raw.length), raw);
  }
  return response;
}

/** Whether all are numbers, and few. */
function areSmall(outputs: readonly Tensor[]): boolean {
  let bytes = 0;
  for (let index = 0; index < outputs.length; index++) {
    const { data } = outputs[index] as Tensor;
    if (Array.isArray(data)) return false;
    bytes += data.byteLength;
  }
  return bytes <= AT_ONCE_BYTES;
}

function* encodeSlowly(answered: Answered, streamed: boolean): Sliced<EncodedResponse> {
  const encoded: EncodedOutput[] = [];
  for (let index = 0; index < answered.list.places.length; index++) encoded.push(yield* encodeOutput(answered, index));
  const response = begun(answered, encoded, streamed);
  const { bytes } = response;
  let { at } = response;
  for (const { raw } of encoded) {
    bytes[at] = RAW;
    at = putLength(bytes, at + 1, raw.length);
    for (let from = 0; from < raw.length; from += AT_ONCE_BYTES) {
      at = putBytes(bytes, at, raw.subarray(from, from + AT_ONCE_BYTES));
      yield;
    }
  }
  return response;
}

/** All but the raw contents, which go to `at`. */
function begun(
  { prepared, id }: Answered,
  outputs: readonly EncodedOutput[],
  streamed: boolean,
): EncodedResponse & { at: number } {
  const idField = id === '' ? NO_BYTES : textField(ID, id);
  let size = prepared.head.length + idField.length + (streamed ? FINAL_RESPONSE.length : 0);
  for (let index = 0; index < outputs.length; index++) {
    const output = outputs[index] as EncodedOutput;
    size += 1 + lengthSize(output.size) + output.size + 1 + lengthSize(output.raw.length) + output.raw.length;
  }
  if (size > MAX_BYTES) {
    const message = `the response has ${size} bytes, which is more than a message may have (${MAX_BYTES}); ask for fewer rows or outputs`;
    throw new ScorewireError('invalid_argument', 'RESPONSE_TOO_LARGE', message);
  }
  const framed = streamed || size > FRAMED_ABOVE_BYTES;
  let at = framed ? PREFIX_BYTES : 0;
  const bytes = Buffer.allocUnsafe(at + size + (streamed ? 1 + lengthSize(size) : 0));
  if (streamed) {
    bytes[at] = STREAMED_RESPONSE;
    at = putLength(bytes, at + 1, size);
  }
  at = putBytes(bytes, at, prepared.head);
  at = putBytes(bytes, at, idField);
  if (streamed) at = putBytes(bytes, at, FINAL_RESPONSE);
  for (let index = 0; index < outputs.length; index++) at = putOutput(bytes, at, outputs[index] as EncodedOutput);
  return { bytes, framed, at };
}

type EncodedOutput = {
  head: Uint8Array;
  dims: readonly number[];
  dimsSize: number;
  /** With tag and length. */
  parameters: Uint8Array;
  /** Of the output's own message. */
  size: number;
  raw: Uint8Array;
};

function* encodeOutput({ prepared, list, forms, outputs }: Answered, index: number): Sliced<EncodedOutput> {
  const place = list.places[index] as number;
  const served = prepared.contract.outputs[place] as ServedTensor;
  const perRow = prepared.contract.maxRows > 0;
  const form = forms?.[index];
  let tensor = outputs[index] as Tensor;
  let dims = callerDims(served, tensor.dims, perRow ? 1 : 0);
  let head = prepared.outputHeads[place] as Uint8Array;
  let parameters: Uint8Array = NO_BYTES;
  if (form !== undefined && form.classes > 0) {
    tensor = yield* classified(tensor, form.classes, served.labels, perRow);
    dims = tensor.dims;
    head = classHead(served.name);
  }
  const { data } = tensor;
  let raw: Uint8Array = Array.isArray(data)
    ? yield* packedTexts(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (form?.shared !== undefined) {
    parameters = yield* share(served.name, form.shared, raw);
    raw = NO_BYTES;
  }
  return encodedOutput(head, dims, parameters, raw);
}

function encodedOutput(
  head: Uint8Array,
  dims: readonly number[],
  parameters: Uint8Array,
  raw: Uint8Array,
): EncodedOutput {
  let dimsSize = 0;
  for (let dim = 0; dim < dims.length; dim++) dimsSize += lengthSize(dims[dim] as number);
  const shapeSize = dims.length === 0 ? 0 : 1 + lengthSize(dimsSize) + dimsSize;
  return { head, dims, dimsSize, parameters, size: head.length + shapeSize + parameters.length, raw };
}

function putOutput(bytes: Buffer, start: number, { head, dims, dimsSize, parameters, size }: EncodedOutput): number {
  let at = start;
  bytes[at] = OUTPUT;
  at = putLength(bytes, at + 1, size);
  at = putBytes(bytes, at, head);
  if (dims.length > 0) {
    bytes[at] = OUTPUT_SHAPE;
    at = putLength(bytes, at + 1, dimsSize);
    for (let dim = 0; dim < dims.length; dim++) at = putLength(bytes, at, dims[dim] as number);
  }
  return putBytes(bytes, at, parameters);
}

/** Name and datatype of an output whose largest elements are answered. */
function classHead(name: string): Uint8Array {
  return Buffer.concat([textField(10, name), textField(18, 'BYTES')]);
}

/** Puts an output where the caller wants it; returns the parameters that say so. */
function* share(name: string, { place, part }: NonNullable<OutputForm['shared']>, raw: Uint8Array): Sliced<Uint8Array> {
  if (raw.length > part.byteSize) {
    const message = `shared memory size specified with the request for output '${shown(name)}' (${part.byteSize} bytes) should be at least ${raw.length} bytes to hold the results`;
    throw new ScorewireError('internal', 'SHARED_MEMORY_TOO_SMALL', message);
  }
  for (let from = 0; from < raw.length; from += AT_ONCE_BYTES) {
    part.write(raw.subarray(from, from + AT_ONCE_BYTES), from);
    yield;
  }
  const parameters = [
    textParameter('shared_memory_region', place.region),
    numberParameter('shared_memory_byte_size', raw.length),
  ];
  if (place.offset > 0n) parameters.push(numberParameter('shared_memory_offset', Number(place.offset)));
  return Buffer.concat(parameters);
}

function textParameter(name: string, text: string): Uint8Array {
  return parameter(name, textField(26, text));
}

function numberParameter(name: string, value: number): Uint8Array {
  const field = Buffer.alloc(1 + lengthSize(value));
  field[0] = 16;
  putLength(field, 1, value);
  return parameter(name, field);
}

function parameter(name: string, value: Uint8Array): Uint8Array {
  const key = textField(10, name);
  const size = key.length + 1 + lengthSize(value.length) + value.length;
  const bytes = Buffer.alloc(1 + lengthSize(size) + size);
  bytes[0] = OUTPUT_PARAMETER;
  let at = putLength(bytes, 1, size);
  at = putBytes(bytes, at, key);
  bytes[at] = 18;
  at = putLength(bytes, at + 1, value.length);
  putBytes(bytes, at, value);
  return bytes;
}
