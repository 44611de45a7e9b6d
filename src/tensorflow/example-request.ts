// Requests that bring examples, read in slices: the examples stay the bytes that came until it is their turn.
import { ScorewireError } from '../errors.ts';
import type { Sliced } from '../grpc/slices.ts';
import { WireCursor } from '../grpc/wire-cursor.ts';
import { joined } from '../grpc/wire-lists.ts';
import { FieldCount, type Part, RestBytes } from './predict-request.ts';
import { skipUnknown } from './tensor-message.ts';

/** What a request brings: examples, each a tensorflow.Example as bytes. */
export class ExampleBytes {
  readonly #bytes: Uint8Array;
  /** Where each one begins and ends, in turns. */
  readonly #places: readonly number[];
  /** What holds for all of them; undefined where nothing does. */
  readonly context: Uint8Array | undefined;

  constructor(bytes: Uint8Array, places: readonly number[], context: Uint8Array | undefined) {
    this.#bytes = bytes;
    this.#places = places;
    this.context = context;
  }

  get count(): number {
    return this.#places.length / 2;
  }

  at(index: number): Uint8Array {
    return this.#bytes.subarray(this.#places[2 * index], this.#places[2 * index + 1]);
  }
}

/** `rest`: the request without its examples, as bytes. */
export type ExampleRequest = { rest: Uint8Array; examples: ExampleBytes };

// Tags: field number times 8, and the wire type. Requests for one task and for several have them alike.
const MODEL_OR_TASK = 10;
const INPUT = 18;
const LIST = 10;
const LIST_WITH_CONTEXT = 18;
const EXAMPLE = 10;
const CONTEXT = 18;

export const MAX_EXAMPLES = 100_000;
const STEP_EXAMPLES = 256;

/**
 * Reads a message, of which it keeps parts.
 * @throws NotWellFormed; ScorewireError INVALID_ARGUMENT for one with too much in it, or without examples
 */
export function* readExampleRequest(message: Uint8Array): Sliced<ExampleRequest> {
  const { length: end } = message;
  const cursor = new WireCursor(message);
  const rest = new RestBytes(message);
  const fields = new FieldCount();
  const parts: Part[] = [];
  while (cursor.at < end) {
    if (fields.add()) yield;
    const start = cursor.at;
    const tag = cursor.tag(end);
    if (tag === INPUT) {
      const stop = cursor.length(end);
      parts.push([cursor.at, stop]);
      cursor.at = stop;
    } else {
      skipUnknown(cursor, tag, end);
      if (tag === MODEL_OR_TASK) rest.add(start, cursor.at);
    }
  }
  const examples = yield* readInput(yield* joined(message, parts), fields);
  return { rest: rest.read(), examples };
}

/** Of the two kinds of lists the last one counts, as in every oneof; the parts of one are one. */
function* readInput(bytes: Uint8Array, fields: FieldCount): Sliced<ExampleBytes> {
  const { length: end } = bytes;
  const cursor = new WireCursor(bytes);
  let kind = 0;
  let places: number[] = [];
  let contexts: Part[] = [];
  while (cursor.at < end) {
    if (fields.add()) yield;
    const tag = cursor.tag(end);
    if (tag !== LIST && tag !== LIST_WITH_CONTEXT) {
      skipUnknown(cursor, tag, end);
      continue;
    }
    if (tag !== kind) {
      kind = tag;
      places = [];
      contexts = [];
    }
    const stop = cursor.length(end);
    while (cursor.at < stop) {
      const field = cursor.tag(stop);
      if (field === EXAMPLE) {
        const to = cursor.length(stop);
        if (places.length === 2 * MAX_EXAMPLES) throw TOO_MANY;
        places.push(cursor.at, to);
        cursor.at = to;
        if (places.length % (2 * STEP_EXAMPLES) === 0) yield;
      } else if (field === CONTEXT && kind === LIST_WITH_CONTEXT) {
        if (fields.add()) yield;
        const to = cursor.length(stop);
        contexts.push([cursor.at, to]);
        cursor.at = to;
      } else {
        if (fields.add()) yield;
        skipUnknown(cursor, field, stop);
      }
    }
  }
  return new ExampleBytes(bytes, places, contexts.length === 0 ? undefined : yield* joined(bytes, contexts));
}

const TOO_MANY = new ScorewireError(
  'invalid_argument',
  'TOO_MANY_EXAMPLES',
  `expected at most ${MAX_EXAMPLES} examples, found more: send them in several calls`,
);
