// What a request asks of its model: checked in the order that clients know from Triton, its tensors read in slices.
import type { ScorewireError } from '../errors.ts';
import { LARGE_BYTES } from '../grpc/message-budget.ts';
import type { Sliced } from '../grpc/slices.ts';
import { WireCursor } from '../grpc/wire-cursor.ts';
import type { ServedTensor } from '../models/model.ts';
import { elementCount, type Tensor, type TensorData } from '../tensor.ts';
import { knownDatatype, typeNamed } from './datatype-names.ts';
import { DATATYPES } from './datatypes.ts';
import { NO_ROOM, requestPrefix, shown, wrongField } from './infer-error.ts';
import { sharedPlace } from './infer-parameters.ts';
import type { InferRequest, Parts, RequestInput } from './infer-request.ts';
import type { PreparedModel } from './prepared-model.ts';
import { AT_ONCE_BYTES, bytesPerNumber, manyNumbers, rawNumbers } from './raw-numbers.ts';
import { rawTexts } from './raw-texts.ts';
import type { SharedMemory, SharedPart } from './shared-memory.ts';
import { fits, graphDims, shownDims, wholeNumber } from './tensor-shapes.ts';
import { TypedContents } from './typed-contents.ts';

// Tags of InferTensorContents.
const PACKED_FLOATS = 50;
const PACKED_DOUBLES = 58;

/** Bytes beside its own that a text takes on its way: here, on the way to a worker, in there, and perhaps all the way back. */
const TEXT_BYTES = 150;
/** Texts of an input: they are handed over at once, and nobody else is served meanwhile. */
const MAX_TEXTS = 1_000_000;

const NOTE =
  ' NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size.';

/** Says whether there is room for so many bytes until the call ends. */
type Room = { hold(bytes: number): boolean };

/** Where an input's values are. */
type Source =
  | { kind: 'raw'; from: number; to: number }
  | { kind: 'typed'; contents: TypedContents }
  | { kind: 'shared'; part: SharedPart };

/** The inputs of one request. */
export class RequestTensors {
  readonly #request: InferRequest;
  readonly #prepared: PreparedModel;
  readonly #sources: Source[] = [];
  /** What was read, the last input first. */
  readonly tensors = new Map<string, Tensor>();
  #nextRaw = 0;
  readonly #parts: SharedPart[] = [];

  constructor(request: InferRequest, prepared: PreparedModel) {
    this.#request = request;
    this.#prepared = prepared;
  }

  /** @throws ScorewireError INVALID_ARGUMENT for a name that comes twice */
  checkNames(): void {
    this.#checkTwice('input', this.#request.inputs);
    this.#checkTwice('output', this.#request.outputs);
  }

  #checkTwice(what: string, tensors: readonly { name: string }[]): void {
    if (tensors.length < 2) return;
    const names = new Set<string>();
    for (const [index, { name }] of tensors.entries()) {
      if (names.has(name))
        throw this.#problem(`${what}s[${index}].name`, `${what} '${shown(name)}' already exists in request`);
      names.add(name);
    }
  }

  /**
   * Finds the values of the inputs, whatever they are. Returns work that is to be done before it is called again; undefined when all are
   * found.
   * @throws ScorewireError
   */
  locate(memory: SharedMemory): Sliced<void> | undefined {
    const { inputs } = this.#request;
    while (this.#sources.length < inputs.length) {
      const work = this.#locateOne(inputs[this.#sources.length] as RequestInput, memory);
      if (work !== undefined) return work;
    }
    return undefined;
  }

  #locateOne(input: RequestInput, memory: SharedMemory): Sliced<void> | undefined {
    const { raw } = this.#request;
    const place = sharedPlace('inputs', input);
    if (place !== undefined) {
      if (input.contents !== undefined) {
        const found = `unexpected 'content' provided when using shared memory for input tensor ${this.#named(input)}`;
        throw this.#wrong(input, 'contents', found);
      }
      const part = memory.open(place.region, place.offset, place.byteSize);
      this.#parts.push(part);
      this.#sources.push({ kind: 'shared', part });
    } else if (input.contents !== undefined) {
      if (raw.length > 0) {
        const found = `contents field must not be specified when using raw_input_contents for ${this.#named(input)}`;
        throw this.#wrong(input, 'contents', found);
      }
      const floats = packedFloats(this.#request.bytes, input.contents, input.datatype);
      if (floats === undefined) return this.#locateTyped(input, input.contents);
      this.#sources.push(floats);
    } else if (this.#nextRaw < raw.length) {
      this.#sources.push({
        kind: 'raw',
        from: raw[this.#nextRaw] as number,
        to: raw[this.#nextRaw + 1] as number,
      });
      this.#nextRaw += 2;
    } else {
      const missing = `unable to find data for input tensor ${this.#named(input)} in request.`;
      throw this.#wrong(input, 'contents', missing);
    }
    return undefined;
  }

  *#locateTyped(input: RequestInput, parts: Parts): Sliced<void> {
    const contents = new TypedContents(this.#request.bytes, parts);
    yield* contents.count();
    this.#checkContents(input, contents);
    this.#sources.push({ kind: 'typed', contents });
  }

  #checkContents(input: RequestInput, contents: TypedContents): void {
    const type = typeNamed(input.datatype);
    const found = contents.other(type ?? '');
    if (found === undefined) return;
    const expected = knownDatatype(input.datatype);
    throw this.#wrong(
      input,
      'contents',
      `unexpected explicit tensor data for input tensor ${this.#named(input)} of type '${found}', expected datatype '${expected}'`,
    );
  }

  /** @throws ScorewireError INVALID_ARGUMENT for too few or too many inputs, and for one that the model doesn't have */
  checkInputs(): void {
    const { inputs } = this.#request;
    const { contract, requiredInputs } = this.#prepared;
    if (inputs.length < requiredInputs || inputs.length > contract.inputs.length) throw this.#wrongInputs();
    let required = 0;
    for (const input of inputs) {
      const served = this.#prepared.inputs.get(input.name);
      if (served === undefined) {
        const message = `unexpected inference input '${shown(input.name)}' for model '${this.#model}'`;
        throw this.#wrong(input, 'name', message);
      }
      if (served.optional !== true) required++;
    }
    // As many as there must be, and an optional one in the place of one of those.
    if (required < requiredInputs) throw this.#wrongInputs();
  }

  #wrongInputs(): ScorewireError {
    const { inputs } = this.#request;
    const { contract, requiredInputs } = this.#prepared;
    const all = contract.inputs.length;
    const got = inputs.map(({ name }) => `'${shown(name)}'`).slice(0, all + 8);
    const given = new Set(inputs.map(({ name }) => name));
    const missing = contract.inputs.filter(({ name, optional }) => optional !== true && !given.has(name));
    const number = requiredInputs === all ? `${all} inputs` : `number of inputs between ${requiredInputs} and ${all}`;
    // Without any, Triton's own list loses its first bracket.
    const lost = missing.length === 0 ? ']' : `[${missing.map(({ name }) => `'${name}'`).join()}]`;
    const message = `expected ${number} but got ${inputs.length} inputs for model '${this.#model}'. Got input(s) [${got.join()}], but missing required input(s) ${lost}. Please provide all required input(s).`;
    return this.#problem('inputs', message);
  }

  /** How many rows the request is of; 0 for models that don't count them. @throws ScorewireError INVALID_ARGUMENT */
  checkRows(): number {
    const { maxRows } = this.#prepared.contract;
    if (maxRows === 0) return 0;
    let rows = 0;
    for (const [index, input] of this.#request.inputs.entries()) {
      const [own] = input.shape;
      if (own === undefined) {
        const message = `input '${input.name}' has no shape but model requires batch dimension for '${this.#model}'`;
        throw this.#problem(`${pathOf(input)}.shape`, message);
      }
      if (index > 0 && own !== rows) {
        const message = `input '${input.name}' batch size does not match other inputs for '${this.#model}'`;
        throw this.#problem(`${pathOf(input)}.shape`, message);
      }
      rows = own;
    }
    if (rows > maxRows) {
      throw this.#problem('inputs', `inference request batch-size must be <= ${maxRows} for '${this.#model}'`);
    }
    return rows;
  }

  /**
   * Reads the tensors, as the graph takes them, into `tensors`. Returns work as `locate` does.
   * @throws ScorewireError
   */
  read(hold: Room): Sliced<void> | undefined {
    const { inputs } = this.#request;
    // The last one is looked at first, as in Triton: of two that are wrong, clients expect to hear of that one.
    for (let index = inputs.length - 1 - this.tensors.size; index >= 0; index--) {
      const input = inputs[index] as RequestInput;
      const served = this.#prepared.inputs.get(input.name) as ServedTensor;
      this.#checkShape(input, served);
      const data = this.#values(input, served, this.#sources[index] as Source, hold);
      if ('next' in data) return this.#later(input, served, data);
      this.#take(input, served, data);
    }
    return undefined;
  }

  *#later(input: RequestInput, served: ServedTensor, work: Sliced<TensorData>): Sliced<void> {
    this.#take(input, served, yield* work);
  }

  #take(input: RequestInput, served: ServedTensor, data: TensorData): void {
    const dims = graphDims(served, input.shape, this.#batchDims);
    this.tensors.set(input.name, { type: served.type, dims, data });
  }

  /** Whatever became of the request. */
  close(): void {
    for (const part of this.#parts.splice(0)) part.close();
  }

  get #batchDims(): number {
    return this.#prepared.contract.maxRows > 0 ? 1 : 0;
  }

  #checkShape(input: RequestInput, { type, dims }: ServedTensor): void {
    const { datatype, shape } = input;
    const expected = DATATYPES[type];
    if (datatype !== expected) {
      const found = knownDatatype(datatype);
      const message = `inference input '${input.name}' data-type is '${found}', but model '${this.#model}' expects '${expected}'`;
      throw this.#problem(`${pathOf(input)}.datatype`, message);
    }
    for (let index = 0; index < shape.length; index++) {
      if ((shape[index] as number) >= 0) continue;
      const message = `All input dimensions should be specified for input '${input.name}' for model '${this.#model}', got ${shownDims(shape)}`;
      throw this.#problem(`${pathOf(input)}.shape`, message);
    }
    if (fits(dims, shape, this.#batchDims)) return;
    const counts = this.#batchDims === 1;
    const wanted = shownDims(counts ? [-1, ...(dims ?? [])] : (dims ?? []));
    const message = `unexpected shape for input '${input.name}' for model '${this.#model}'. Expected ${wanted}, got ${shownDims(shape)}.${counts ? NOTE : ' '}`;
    throw this.#problem(`${pathOf(input)}.shape`, message);
  }

  #values(input: RequestInput, { type }: ServedTensor, source: Source, hold: Room): TensorData | Sliced<TensorData> {
    const count = elementCount(input.shape);
    if (type === 'string') return this.#texts(input, source, count, hold);
    const bytes = bytesPerNumber(type);
    const found = source.kind === 'typed' ? source.contents.length(type) * bytes : sizeOf(source);
    if (found !== count * bytes) {
      const message = `input byte size mismatch for input ${this.#named(input)}. Expected ${wholeNumber(count * bytes)}, got ${found}`;
      throw this.#problem(`${pathOf(input)}.contents`, message);
    }
    if (found > LARGE_BYTES && !hold.hold(found)) throw NO_ROOM;
    if (source.kind === 'typed') return source.contents.values(type);
    if (source.kind === 'shared') {
      return manyNumbers(type, found, (target, from) => source.part.read(target, from));
    }
    const all = this.#request.bytes;
    if (found <= AT_ONCE_BYTES) return rawNumbers(type, all, source.from, source.to);
    return manyNumbers(type, found, (target, from) => {
      const start = source.from + from;
      target.set(all.subarray(start, start + target.length));
    });
  }

  *#texts(input: RequestInput, source: Source, count: number, hold: Room): Sliced<string[]> {
    const room = (bytes: number) => {
      if (count > MAX_TEXTS) throw this.#tooManyTexts(input, count);
      if (bytes > LARGE_BYTES && !hold.hold(bytes)) throw NO_ROOM;
    };
    if (source.kind === 'typed') {
      const found = source.contents.length('string');
      if (found !== count) throw this.#textsProblem(input, count, found > count ? count + 1 : found, found > count);
      room(found * TEXT_BYTES + partBytes(input.contents ?? []));
      return (yield* source.contents.values('string')) as string[];
    }
    const size = sizeOf(source);
    room(size * 3 + Math.min(count, size / 4) * TEXT_BYTES);
    let bytes = this.#request.bytes;
    let from = 0;
    if (source.kind === 'raw') {
      from = source.from;
    } else {
      const copy = yield* manyNumbers('uint8', size, (target, at) => source.part.read(target, at));
      bytes = copy as Uint8Array;
    }
    const texts = yield* rawTexts(bytes, from, from + size, count);
    if (!('kind' in texts)) return texts as string[];
    switch (texts.kind) {
      case 'count':
      case 'more':
        throw this.#textsProblem(input, count, texts.found, texts.kind === 'more');
      case 'length':
        throw this.#problem(
          `${pathOf(input)}.contents`,
          `incomplete string length indicator for inference input ${this.#named(input)}, expecting 4 bytes but only ${texts.available} bytes available. Please make sure the string length indicator is in one buffer.`,
        );
      default:
        throw this.#problem(
          `${pathOf(input)}.contents`,
          `incomplete string data for inference input ${this.#named(input)}, expecting string of length ${texts.expected} but only ${texts.available} bytes available`,
        );
    }
  }

  #textsProblem(input: RequestInput, count: number, found: number, more: boolean): ScorewireError {
    const expected = wholeNumber(count);
    const message = more
      ? `unexpected number of string elements ${found} for inference input ${this.#named(input)}, expecting ${expected}`
      : `expected ${expected} string elements for inference input ${this.#named(input)}, got ${found}`;
    return this.#problem(`${pathOf(input)}.contents`, message);
  }

  #tooManyTexts(input: RequestInput, count: number): ScorewireError {
    const message = `expected at most ${MAX_TEXTS} string elements for inference input ${this.#named(input)}, got ${wholeNumber(count)}; send them in several requests`;
    return this.#problem(`${pathOf(input)}.shape`, message);
  }

  get #model(): string {
    return this.#prepared.model.spec.name;
  }

  #named({ name }: RequestInput): string {
    return `'${shown(name)}' for model '${this.#model}'`;
  }

  #wrong(input: RequestInput, field: string, message: string): ScorewireError {
    return wrongField(`${pathOf(input)}.${field}`, message);
  }

  /** Of those that begin with the request's id. */
  #problem(field: string, message: string): ScorewireError {
    return wrongField(field, `${requestPrefix(this.#request.id)}${message}`);
  }
}

/** Contents that are nothing but floats in one field are the bytes that they would be raw. */
function packedFloats(bytes: Uint8Array, parts: Parts, datatype: string): Source | undefined {
  const width = datatype === 'FP32' ? 4 : 8;
  const tag = datatype === 'FP32' ? PACKED_FLOATS : PACKED_DOUBLES;
  if (parts.length !== 2 || (width === 8 && datatype !== 'FP64')) return undefined;
  const end = parts[1] as number;
  const cursor = new WireCursor(bytes, parts[0]);
  if (cursor.at === end || cursor.tag(end) !== tag) return undefined;
  const stop = cursor.length(end);
  return stop === end && (stop - cursor.at) % width === 0 ? { kind: 'raw', from: cursor.at, to: stop } : undefined;
}

function pathOf({ name }: { name: string }): string {
  return `inputs["${shown(name)}"]`;
}

function sizeOf(source: Exclude<Source, { kind: 'typed' }>): number {
  return source.kind === 'raw' ? source.to - source.from : source.part.byteSize;
}

function partBytes(parts: readonly number[]): number {
  let bytes = 0;
  for (let at = 0; at < parts.length; at += 2) bytes += (parts[at + 1] as number) - (parts[at] as number);
  return bytes;
}
