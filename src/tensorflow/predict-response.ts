// Tensors of a model to a PredictResponse, written in slices, with every value in the list of its type as TensorFlow's clients expect it.
import { ScorewireError } from '../errors.ts';
import { TensorProto } from '../gen/tensorflow/core/framework/tensor.ts';
import type { ModelSpec } from '../gen/tensorflow_serving/apis/model.ts';
import { PredictResponse } from '../gen/tensorflow_serving/apis/predict.ts';
import { bytesOf } from '../grpc/byte-strings.ts';
import { PREFIX_BYTES } from '../grpc/call-head.ts';
import type { Sliced } from '../grpc/slices.ts';
import type { Tensor } from '../tensor.ts';
import { type ElementType, elementType } from './element-types.ts';
import { VarintWriter, varintBytes, wideVarintBytes } from './varint-writer.ts';

/** An output by the name that the answer has for it. */
export type NamedTensor = { name: string; tensor: Tensor };

// Tags: field number times 8, and the wire type.
const OUTPUTS = 10;
const ENTRY_KEY = 10;
const ENTRY_VALUE = 18;

/** Values between two yields. */
const STEP_NUMBERS = 8 * 1024;
const STEP_TEXTS = 128;
const STEP_BYTES = 256 * 1024;

/** Above it, no client takes a message: a length has 32 bits, of which one is the sign. */
const MAX_BYTES = 2 ** 31 - 1;

/** The message with room for gRPC's prefix in front. @throws ScorewireError INVALID_ARGUMENT for one that is too large */
export function* writePredictResponse(modelSpec: ModelSpec, outputs: readonly NamedTensor[]): Sliced<Buffer> {
  const rest = PredictResponse.encode({ modelSpec, outputs: new Map() }).finish();
  const entries: Entry[] = [];
  let size = rest.length;
  for (const { name, tensor } of outputs) {
    const entry = yield* measured(name, tensor);
    entries.push(entry);
    size += 1 + varintBytes(entry.bytes) + entry.bytes;
  }
  if (size > MAX_BYTES) {
    const message = `the answer would be of ${size} bytes, and ${MAX_BYTES} is the most that clients take: send fewer rows`;
    throw new ScorewireError('invalid_argument', 'ANSWER_TOO_LARGE', message);
  }
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + size);
  const writer = new VarintWriter(framed, PREFIX_BYTES);
  for (const entry of entries) yield* writeEntry(writer, entry);
  framed.set(rest, writer.at);
  return framed;
}

type Entry = {
  name: Buffer;
  /** Type and shape, as they lie in the message. */
  head: Uint8Array;
  element: ElementType;
  data: Tensor['data'];
  /** Of string tensors. */
  texts: readonly Uint8Array[];
  /** Bytes of the values without tag and length, of the tensor, and of the whole entry. */
  listBytes: number;
  valueBytes: number;
  bytes: number;
};

function* measured(name: string, { type, dims, data }: Tensor): Sliced<Entry> {
  const element = elementType(type);
  const tensorShape = { dim: dims.map((dim) => ({ size: BigInt(dim), name: '' })), unknownRank: false };
  const head = TensorProto.encode({ ...NO_VALUES, dtype: element.wire, tensorShape }).finish();
  const texts: Uint8Array[] = [];
  let listBytes = 0;
  let listFrame = 0;
  if (element.kind === 'bytes') {
    for (const [index, text] of (data as string[]).entries()) {
      const bytes = bytesOf(text);
      texts.push(bytes);
      listBytes += 1 + varintBytes(bytes.length) + bytes.length;
      if (index % STEP_TEXTS === STEP_TEXTS - 1) yield;
    }
  } else if (data.length > 0) {
    listBytes = yield* numberBytes(element, data);
    listFrame = varintBytes(listTag(element)) + varintBytes(listBytes);
  }
  const valueBytes = head.length + listFrame + listBytes;
  const key = Buffer.from(name);
  const bytes = 1 + varintBytes(key.length) + key.length + 1 + varintBytes(valueBytes) + valueBytes;
  return { name: key, head, element, data, texts, listBytes, valueBytes, bytes };
}

const NO_VALUES: TensorProto = {
  dtype: 0,
  tensorShape: undefined,
  versionNumber: 0,
  tensorContent: new Uint8Array(0),
  halfVal: [],
  floatVal: [],
  doubleVal: [],
  intVal: [],
  stringVal: [],
  scomplexVal: [],
  int64Val: [],
  boolVal: [],
  dcomplexVal: [],
  uint32Val: [],
  uint64Val: [],
};

function listTag({ field }: ElementType): number {
  return field * 8 + 2;
}

function* numberBytes({ kind, bytes }: ElementType, data: Tensor['data']): Sliced<number> {
  if (kind === 'fixed') return data.length * bytes;
  if (kind === 'flag') return data.length;
  let sum = 0;
  if (kind === 'wide varint') {
    const words = wordsOf(data);
    for (let from = 0; from < words.length; from += STEP_NUMBERS) {
      const to = Math.min(words.length, from + STEP_NUMBERS);
      for (let at = from; at < to; at += 2) sum += wideVarintBytes(words[at] as number, words[at + 1] as number);
      if (to < words.length) yield;
    }
    return sum;
  }
  const values = data as Int32Array;
  for (let from = 0; from < values.length; from += STEP_NUMBERS) {
    const to = Math.min(values.length, from + STEP_NUMBERS);
    for (let at = from; at < to; at++) sum += varintBytes(values[at] as number);
    if (to < values.length) yield;
  }
  return sum;
}

function* writeEntry(writer: VarintWriter, entry: Entry): Sliced<void> {
  const { name, head, element, data, listBytes, valueBytes, bytes } = entry;
  writer.write(OUTPUTS);
  writer.write(bytes);
  writer.write(ENTRY_KEY);
  writer.write(name.length);
  writer.bytes(name);
  writer.write(ENTRY_VALUE);
  writer.write(valueBytes);
  writer.bytes(head);
  if (element.kind === 'bytes') {
    for (const [index, text] of entry.texts.entries()) {
      writer.write(listTag(element));
      writer.write(text.length);
      writer.bytes(text);
      if (index % STEP_TEXTS === STEP_TEXTS - 1) yield;
    }
    return;
  }
  if (data.length === 0) return;
  writer.write(listTag(element));
  writer.write(listBytes);
  if (element.kind === 'fixed' || element.kind === 'flag') yield* writeBytes(writer, data as Uint8Array);
  else if (element.kind === 'wide varint') yield* writeWide(writer, wordsOf(data));
  else yield* writeNumbers(writer, data as Int32Array);
}

function* writeBytes(writer: VarintWriter, { buffer, byteOffset, byteLength }: Uint8Array): Sliced<void> {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  for (let from = 0; from < byteLength; from += STEP_BYTES) {
    writer.bytes(bytes.subarray(from, from + STEP_BYTES));
    if (from + STEP_BYTES < byteLength) yield;
  }
}

function* writeWide(writer: VarintWriter, words: Uint32Array): Sliced<void> {
  for (let from = 0; from < words.length; from += STEP_NUMBERS) {
    const to = Math.min(words.length, from + STEP_NUMBERS);
    for (let at = from; at < to; at += 2) writer.writeWide(words[at] as number, words[at + 1] as number);
    if (to < words.length) yield;
  }
}

function* writeNumbers(writer: VarintWriter, values: ArrayLike<number>): Sliced<void> {
  for (let from = 0; from < values.length; from += STEP_NUMBERS) {
    const to = Math.min(values.length, from + STEP_NUMBERS);
    for (let at = from; at < to; at++) writer.write(values[at] as number);
    if (to < values.length) yield;
  }
}

/** Lower and upper halves of 64-bit numbers, in turns. */
function wordsOf(data: Tensor['data']): Uint32Array {
  const { buffer, byteOffset, length } = data as BigInt64Array;
  return new Uint32Array(buffer, byteOffset, 2 * length);
}
