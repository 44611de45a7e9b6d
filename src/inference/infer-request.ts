// ModelInferRequest without its tensors' values: those stay the bytes that came, and are only found.
import { ScorewireError } from '../errors.ts';
import { VarintReader } from '../grpc/varint-reader.ts';
import { LENGTH_DELIMITED, WireCursor } from '../grpc/wire-cursor.ts';
import { knownText, newText } from './known-texts.ts';

/** `none`: the parameter is there, and has no value. */
export type InferParameter =
  | { kind: 'bool'; value: boolean }
  | { kind: 'int64' | 'uint64'; value: bigint }
  | { kind: 'string'; value: string }
  | { kind: 'double'; value: number }
  | { kind: 'none' };

export type Parameters = ReadonlyMap<string, InferParameter>;

/** Parts of the message: where each begins and ends, one after the other. */
export type Parts = readonly number[];

export type RequestInput = {
  name: string;
  datatype: string;
  /** Rounded where a double can't hold one. */
  shape: readonly number[];
  parameters: Parameters;
  /** Of its InferTensorContents; undefined where there are none. */
  contents: Parts | undefined;
};

export type RequestedOutput = { name: string; parameters: Parameters };

export type InferRequest = {
  /** Where all parts lie. */
  bytes: Uint8Array;
  modelName: string;
  modelVersion: string;
  id: string;
  parameters: Parameters;
  inputs: readonly RequestInput[];
  outputs: readonly RequestedOutput[];
  /** raw_input_contents, in order. */
  raw: Parts;
};

// Tags: field number times 8, and the wire type.
const MODEL_NAME = 10;
const MODEL_VERSION = 18;
const ID = 26;
const PARAMETERS = 34;
const INPUTS = 42;
const OUTPUTS = 50;
const RAW = 58;
const TENSOR_NAME = 10;
const INPUT_DATATYPE = 18;
const INPUT_SHAPES = 26;
const INPUT_SHAPE = 24;
const INPUT_PARAMETERS = 34;
const INPUT_CONTENTS = 42;
const OUTPUT_PARAMETERS = 18;
const KEY = 10;
const VALUE = 18;
const BOOL = 8;
const INT64 = 16;
const STRING = 26;
const DOUBLE = 33;
const UINT64 = 40;

/** Fields and dimensions: more than the widest model needs, and few enough to be passed over in a moment. */
const MAX_FIELDS = 100_000;
/** Bytes of names, texts and unknown fields. */
const MAX_TEXT_BYTES = 1024 * 1024;
/** Texts up to here are too short to be counted: fields are. */
const SHORT_BYTES = 64;

const NO_PARAMETERS: Parameters = new Map();

const TOO_MANY_FIELDS = new ScorewireError(
  'invalid_argument',
  'TOO_MANY_FIELDS',
  `expected at most ${MAX_FIELDS} inputs, dimensions and parameters together, and ${MAX_TEXT_BYTES} bytes of names and texts beside the tensors' values; found more`,
);

/**
 * Reads a message, of which it keeps parts. What is inside of typed contents is not looked at.
 * @throws NotWellFormed; ScorewireError INVALID_ARGUMENT for what nobody needs so much of
 */
export function readInferRequest(message: Uint8Array): InferRequest {
  return new RequestReader(message).read();
}

class RequestReader extends WireCursor {
  readonly #numbers: VarintReader;
  #fields = 0;
  #textBytes = 0;

  constructor(message: Uint8Array) {
    super(message);
    this.#numbers = new VarintReader(message);
  }

  read(): InferRequest {
    const end = this.bytes.length;
    let modelName = '';
    let modelVersion = '';
    let id = '';
    let parameters: Map<string, InferParameter> | undefined;
    const inputs: RequestInput[] = [];
    const outputs: RequestedOutput[] = [];
    const raw: number[] = [];
    while (this.at < end) {
      const tag = this.#field(end);
      switch (tag) {
        case MODEL_NAME:
          modelName = this.#name(end);
          break;
        case MODEL_VERSION:
          modelVersion = this.#name(end);
          break;
        case ID:
          id = this.#text(end);
          break;
        case PARAMETERS:
          parameters ??= new Map();
          this.#parameter(this.length(end), parameters);
          break;
        case INPUTS:
          inputs.push(this.#input(this.length(end)));
          break;
        case OUTPUTS:
          outputs.push(this.#output(this.length(end)));
          break;
        case RAW: {
          const stop = this.length(end);
          raw.push(this.at, stop);
          this.at = stop;
          break;
        }
        default:
          this.#skip(tag, end);
      }
    }
    const { bytes } = this;
    return { bytes, modelName, modelVersion, id, parameters: parameters ?? NO_PARAMETERS, inputs, outputs, raw };
  }

  #input(end: number): RequestInput {
    let name = '';
    let datatype = '';
    const shape: number[] = [];
    let parameters: Map<string, InferParameter> | undefined;
    let contents: number[] | undefined;
    while (this.at < end) {
      const tag = this.#field(end);
      switch (tag) {
        case TENSOR_NAME:
          name = this.#name(end);
          break;
        case INPUT_DATATYPE:
          datatype = this.#name(end);
          break;
        case INPUT_SHAPES: {
          const stop = this.length(end);
          while (this.at < stop) {
            this.#count();
            shape.push(this.#integer(stop).signed);
          }
          break;
        }
        case INPUT_SHAPE:
          shape.push(this.#integer(end).signed);
          break;
        case INPUT_PARAMETERS:
          parameters ??= new Map();
          this.#parameter(this.length(end), parameters);
          break;
        case INPUT_CONTENTS: {
          const stop = this.length(end);
          contents ??= [];
          contents.push(this.at, stop);
          this.at = stop;
          break;
        }
        default:
          this.#skip(tag, end);
      }
    }
    return { name, datatype, shape, parameters: parameters ?? NO_PARAMETERS, contents };
  }

  #output(end: number): RequestedOutput {
    let name = '';
    let parameters: Map<string, InferParameter> | undefined;
    while (this.at < end) {
      const tag = this.#field(end);
      if (tag === TENSOR_NAME) {
        name = this.#name(end);
      } else if (tag === OUTPUT_PARAMETERS) {
        parameters ??= new Map();
        this.#parameter(this.length(end), parameters);
      } else {
        this.#skip(tag, end);
      }
    }
    return { name, parameters: parameters ?? NO_PARAMETERS };
  }

  #parameter(end: number, into: Map<string, InferParameter>): void {
    let key = '';
    let value: InferParameter = NO_VALUE;
    while (this.at < end) {
      const tag = this.#field(end);
      if (tag === KEY) key = this.#name(end);
      else if (tag === VALUE) value = this.#value(this.length(end));
      else this.#skip(tag, end);
    }
    into.set(key, value);
  }

  #value(end: number): InferParameter {
    let value: InferParameter = NO_VALUE;
    while (this.at < end) {
      const tag = this.#field(end);
      switch (tag) {
        case BOOL: {
          const { low, high } = this.#integer(end);
          value = { kind: 'bool', value: (low | high) !== 0 };
          break;
        }
        case INT64:
          value = { kind: 'int64', value: this.#integer(end).bigint };
          break;
        case STRING:
          value = { kind: 'string', value: this.#text(end) };
          break;
        case DOUBLE: {
          const { at, bytes } = this;
          this.fixed(8, end);
          value = { kind: 'double', value: new DataView(bytes.buffer, bytes.byteOffset + at, 8).getFloat64(0, true) };
          break;
        }
        case UINT64:
          value = { kind: 'uint64', value: BigInt.asUintN(64, this.#integer(end).bigint) };
          break;
        default:
          this.#skip(tag, end);
      }
    }
    return value;
  }

  #integer(end: number): VarintReader {
    const numbers = this.#numbers;
    numbers.at = this.at;
    this.varint(end);
    numbers.read();
    return numbers;
  }

  #name(end: number): string {
    const stop = this.length(end);
    const start = this.at;
    this.at = stop;
    if (stop - start > SHORT_BYTES) this.#countText(stop - start);
    return knownText(this.bytes, start, stop);
  }

  /** One that is hardly ever the same. */
  #text(end: number): string {
    const stop = this.length(end);
    const start = this.at;
    this.at = stop;
    if (stop === start) return '';
    if (stop - start > SHORT_BYTES) this.#countText(stop - start);
    return newText(this.bytes, start, stop);
  }

  #field(end: number): number {
    this.#count();
    return this.tag(end);
  }

  #count(): void {
    if (++this.#fields > MAX_FIELDS) throw TOO_MANY_FIELDS;
  }

  #countText(bytes: number): void {
    this.#textBytes += bytes;
    if (this.#textBytes > MAX_TEXT_BYTES) throw TOO_MANY_FIELDS;
  }

  /** The value of a field that is not ours to read. There are no groups in proto/: a large one would only take time. */
  #skip(tag: number, end: number): void {
    if ((tag & 7) === LENGTH_DELIMITED) {
      this.at = this.length(end);
      return;
    }
    const start = this.at;
    this.skip(tag, Math.min(end, start + MAX_TEXT_BYTES), 0);
    this.#countText(this.at - start);
  }
}

const NO_VALUE: InferParameter = { kind: 'none' };

/** The same request with all of its parts in bytes of its own. */
export function lasting(request: InferRequest): InferRequest {
  return { ...request, bytes: Buffer.from(request.bytes) };
}
