// PredictRequest, read in slices and without an object for each number: the tensors stay the bytes that came.
import { ScorewireError } from '../errors.ts';
import { PredictRequest } from '../gen/tensorflow_serving/apis/predict.ts';
import type { Sliced } from '../grpc/slices.ts';
import { wellFormedMessage } from '../grpc/well-formed.ts';
import { LENGTH_DELIMITED, WireCursor } from '../grpc/wire-cursor.ts';
import { joined } from '../grpc/wire-lists.ts';
import { skipUnknown, type TensorMessage, walkTensor } from './tensor-message.ts';

/** The request without its inputs, and the inputs by their names. */
export type PredictMessage = { request: PredictRequest; inputs: ReadonlyMap<string, TensorMessage> };

/** A part of a message. */
export type Part = readonly [from: number, to: number];

// Tags: field number times 8, and the wire type.
const MODEL_SPEC = 10;
const INPUTS = 18;
const OUTPUT_FILTER = 26;
const ENTRY_KEY = 10;
const ENTRY_VALUE = 18;

/** Fields beside the values of tensors: more than any model has inputs. */
const MAX_FIELDS = 50_000;
/** Bytes of what is no tensor, which is read at once. */
const MAX_REST_BYTES = 64 * 1024;
/** Fields between two yields. */
const STEP_FIELDS = 128;

const checkRest = wellFormedMessage('tensorflow.serving.PredictRequest');

/**
 * Reads a message, of which it keeps parts.
 * @throws NotWellFormed; ScorewireError INVALID_ARGUMENT for one with more in it than any model takes
 */
export function* readPredictRequest(message: Uint8Array): Sliced<PredictMessage> {
  const { length: end } = message;
  const cursor = new WireCursor(message);
  const rest = new RestBytes(message);
  const inputs = new Map<string, TensorMessage>();
  const fields = new FieldCount();
  while (cursor.at < end) {
    if (fields.add()) yield;
    const start = cursor.at;
    const tag = cursor.tag(end);
    if (tag === INPUTS) {
      yield* readEntry(cursor, cursor.length(end), inputs, fields);
    } else {
      skipUnknown(cursor, tag, end);
      if (tag === MODEL_SPEC || tag === OUTPUT_FILTER) rest.add(start, cursor.at);
    }
  }
  const bytes = rest.read();
  checkRest(bytes);
  return { request: PredictRequest.decode(bytes), inputs };
}

/** Of several entries of one name the last one counts, as in every map; the parts of a value are one. */
function* readEntry(
  cursor: WireCursor,
  end: number,
  inputs: Map<string, TensorMessage>,
  fields: FieldCount,
): Sliced<void> {
  const parts: Part[] = [];
  let name = '';
  while (cursor.at < end) {
    if (fields.add()) yield;
    const tag = cursor.tag(end);
    if ((tag & 7) !== LENGTH_DELIMITED) {
      skipUnknown(cursor, tag, end);
      continue;
    }
    const stop = cursor.length(end);
    if (tag === ENTRY_KEY) {
      cursor.text(stop);
      name = Buffer.from(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.at, stop - cursor.at).toString();
    } else if (tag === ENTRY_VALUE) {
      parts.push([cursor.at, stop]);
    }
    cursor.at = stop;
  }
  inputs.set(name, yield* walkTensor(yield* joined(cursor.bytes, parts)));
}

/** Counts what a message must not have without end. */
export class FieldCount {
  #fields = 0;

  /** Whether it is time to yield. @throws ScorewireError INVALID_ARGUMENT */
  add(): boolean {
    if (++this.#fields <= MAX_FIELDS) return this.#fields % STEP_FIELDS === 0;
    throw new ScorewireError(
      'invalid_argument',
      'TOO_MANY_FIELDS',
      `expected at most ${MAX_FIELDS} fields beside values, found more`,
    );
  }
}

/** Fields of a message that are read by generated code, and few. */
export class RestBytes {
  readonly #message: Uint8Array;
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** @throws ScorewireError INVALID_ARGUMENT */
  add(from: number, to: number): void {
    this.#parts.push(this.#message.subarray(from, to));
    this.#bytes += to - from;
    if (this.#bytes <= MAX_REST_BYTES) return;
    throw new ScorewireError(
      'invalid_argument',
      'TOO_MANY_FIELDS',
      `expected at most ${MAX_REST_BYTES} bytes of names and versions, found more`,
    );
  }

  read(): Uint8Array {
    const [first] = this.#parts;
    return first !== undefined && this.#parts.length === 1 ? first : Buffer.concat(this.#parts);
  }
}
