// Tensors as they travel between the rooms: a type, dimensions, and one flat row-major array.

/** Element types, by onnxruntime's names. */
export const DATA_TYPES = [
  'float16',
  'float32',
  'float64',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
] as const;

export type DataType = (typeof DATA_TYPES)[number];

/** float16 as its 16-bit patterns, bool as 0 and 1, (u)int64 as bigints, string as strings. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | string[];

export type Tensor = {
  type: DataType;
  /** Row-major; the first one is the batch dimension where the model takes batches. */
  dims: readonly number[];
  data: TensorData;
};

/** An input or output as the graph declares it. A dimension is null where it is open. */
export type TensorSpec = {
  name: string;
  type: DataType;
  /** Absent where the graph doesn't say. */
  shape: readonly (number | null)[] | undefined;
};

/** What holds the numbers of each type. */
export const NUMBER_ARRAYS = {
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** Zeros (or empty strings), `length` elements of them. */
export function allocate(type: DataType, length: number): TensorData {
  return type === 'string' ? new Array<string>(length).fill('') : new NUMBER_ARRAYS[type](length);
}

/** Number of elements of a tensor with these dimensions; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  let count = 1;
  for (const dim of dims) count *= dim;
  return count;
}

/** Copies `source` into `target` from element `offset` on. Both must be of one type. */
export function copyInto(target: TensorData, offset: number, source: TensorData): void {
  if (Array.isArray(target)) {
    const texts = source as string[];
    for (let i = 0; i < texts.length; i++) target[offset + i] = texts[i] as string;
  } else {
    (target as Float32Array).set(source as Float32Array, offset);
  }
}

/** Elements `from` (inclusive) to `to` (exclusive), without a copy where the array allows it. */
export function view(data: TensorData, from: number, to: number): TensorData {
  return Array.isArray(data) ? data.slice(from, to) : data.subarray(from, to);
}

/** Smaller arrays are not worth the call. */
const FREED_BYTES = 4096;

/**
 * Gives the memory of an array back at once, with all that lies in its buffer: nobody may use it any more. Left to the garbage
 * collector, which counts objects and not what hangs on them, dead arrays pile up to a hundred megabytes a thread.
 */
export function free(data: TensorData): void {
  if (!Array.isArray(data) && data.buffer.byteLength >= FREED_BYTES) (data.buffer as ArrayBuffer).transfer(0);
}
