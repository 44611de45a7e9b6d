// `model_warmup` of a Triton config: requests that are run before anybody is served.

import { join } from 'node:path';
import { allocate, elementCount, type Tensor, type TensorData } from '../tensor.ts';
import type { ServedTensor, TensorContract, WarmUpSample } from './model.ts';
import { isInside, type ModelFiles } from './model-files.ts';
import type { TritonDocument } from './triton-content.ts';
import { TRITON_TYPES } from './triton-fields.ts';

const FOLDER = 'warmup';

/** Elements of an input of a sample; more would be a slip, and a start that never ends. */
const MOST_ELEMENTS = 2 ** 26;

type Sample = NonNullable<TritonDocument['content']['model_warmup']>[number];
type SampleInput = NonNullable<Sample['inputs']>[string];

/**
 * @param folder the model's
 * @throws SetupError that names file and field, for a sample that the model doesn't take
 */
export async function warmUpSamples(
  document: TritonDocument,
  contract: Pick<TensorContract, 'maxRows' | 'inputs'>,
  folder: string,
  files: ModelFiles,
): Promise<WarmUpSample[]> {
  const samples: WarmUpSample[] = [];
  for (const [index, sample] of (document.content.model_warmup ?? []).entries()) {
    const path = ['model_warmup', index];
    const rows = sample.batch_size || 1;
    const most = Math.max(contract.maxRows, 1);
    if (rows > most) throw document.mistake([...path, 'batch_size'], `at most ${most}, as many as a request has`);
    const given = sample.inputs ?? {};
    const inputs = new Map<string, Tensor>();
    for (const [name, input] of Object.entries(given)) {
      const at = [...path, 'inputs', name];
      const tensor = contract.inputs.find((one) => one.name === name);
      if (tensor === undefined) {
        const names = contract.inputs.map((one) => `"${one.name}"`).join(', ');
        throw document.mistake(at, `an input of the model: ${names}`, `"${name}"`);
      }
      inputs.set(
        name,
        await sampleInput(document, at, input, tensor, contract.maxRows > 0 ? rows : undefined, folder, files),
      );
    }
    const missing = contract.inputs.find(({ name, optional }) => optional !== true && !inputs.has(name));
    if (missing !== undefined) {
      throw document.mistake(
        [...path, 'inputs'],
        `all inputs of the model, "${missing.name}" too`,
        Object.keys(given).join(', '),
      );
    }
    samples.push({ name: sample.name ?? '', count: sample.count || 1, inputs });
  }
  return samples;
}

/** @param rows undefined: there is no dimension for rows */
async function sampleInput(
  { mistake }: TritonDocument,
  path: readonly (string | number)[],
  input: SampleInput,
  tensor: ServedTensor,
  rows: number | undefined,
  folder: string,
  files: ModelFiles,
): Promise<Tensor> {
  const type = TRITON_TYPES[tensor.type];
  if (input.data_type !== type) throw mistake([...path, 'data_type'], `${type}, as the input is`);
  const dims = input.dims ?? [];
  if (dims.some((dim) => dim < 1)) throw mistake([...path, 'dims'], 'dimensions from 1 on');
  const fits = tensor.dims?.length === dims.length && tensor.dims.every((dim, i) => dim === -1 || dim === dims[i]);
  if (tensor.dims !== undefined && !fits)
    throw mistake([...path, 'dims'], `[${tensor.dims.join(',')}], as the input has`);
  const count = elementCount(dims);
  if (count * (rows ?? 1) > MOST_ELEMENTS) throw mistake([...path, 'dims'], `at most ${MOST_ELEMENTS} elements`);

  const file = input.input_data_file;
  const row = allocate(tensor.type, count);
  if (file !== undefined) {
    const where = join(folder, FOLDER, file);
    const bytes = isInside(file) ? await files.read(where) : undefined;
    if (bytes === undefined) throw mistake([...path, 'input_data_file'], `a file in ${join(folder, FOLDER)}`);
    const problem = fill(row, bytes);
    if (problem !== '')
      throw mistake([...path, 'input_data_file'], `a file with ${problem}`, `${bytes.length} bytes in ${where}`);
  } else if (input.random_data === true) {
    randomise(row, tensor.type === 'bool');
  } else if (input.zero_data !== true) {
    throw mistake(path, 'one of zero_data, random_data and input_data_file');
  }
  const taken = reshaped(dims, tensor);
  return {
    type: tensor.type,
    dims: rows === undefined ? taken : [rows, ...taken],
    data: repeated(row, tensor.type, rows ?? 1),
  };
}

/** Open dimensions of the reshape are those of `dims`, in their order. */
function reshaped(dims: readonly number[], tensor: ServedTensor): readonly number[] {
  if (tensor.reshape === undefined) return dims;
  const open = dims.filter((_, i) => tensor.dims?.[i] === -1);
  return tensor.reshape.map((dim) => (dim === -1 ? (open.shift() ?? 1) : dim));
}

/** Returns what the bytes must be, where they are too few for the elements; more than enough are fine. */
function fill(row: TensorData, bytes: Uint8Array): string {
  if (!Array.isArray(row)) {
    if (bytes.length < row.byteLength) return `${row.byteLength} bytes`;
    new Uint8Array(row.buffer).set(bytes.subarray(0, row.byteLength));
    return '';
  }
  const lengths = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  for (let i = 0; i < row.length; i++) {
    const end = at + 4 <= bytes.length ? at + 4 + lengths.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) return `${row.length} texts, each behind its length in 4 bytes`;
    row[i] = Buffer.from(bytes.subarray(at + 4, end)).toString();
    at = end;
  }
  return '';
}

/** The same numbers at every start: floats from 0 to 1, whole numbers that any type has; texts stay empty. */
function randomise(row: TensorData, flags: boolean): void {
  if (Array.isArray(row)) return;
  let state = 1;
  const wide = row instanceof BigInt64Array || row instanceof BigUint64Array;
  const float = row instanceof Float32Array || row instanceof Float64Array;
  for (let i = 0; i < row.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    const part = state / 0x80000000;
    const value = float ? part : Math.floor(part * (flags ? 2 : 100));
    (row as unknown as (number | bigint)[])[i] = wide ? BigInt(value) : value;
  }
}

function repeated(row: TensorData, type: Tensor['type'], times: number): TensorData {
  const all = allocate(type, row.length * times);
  for (let i = 0; i < times; i++) {
    if (Array.isArray(all)) for (const [j, text] of (row as string[]).entries()) all[i * row.length + j] = text;
    else (all as Float32Array).set(row as Float32Array, i * row.length);
  }
  return all;
}
