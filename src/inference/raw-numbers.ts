// Numbers of tensors as they are on the wire: little-endian, as in every array on the machines that we run on.
import type { Sliced } from '../grpc/slices.ts';
import type { DataType, TensorData } from '../tensor.ts';

export type NumberType = Exclude<DataType, 'string'>;

type Numbers = Exclude<TensorData, string[]>;

const ARRAYS = {
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

/** Copied at once; more is copied in pieces. */
export const AT_ONCE_BYTES = 256 * 1024;

export function bytesPerNumber(type: NumberType): number {
  return ARRAYS[type].BYTES_PER_ELEMENT;
}

/** Bytes [from, to), which are whole numbers, in an array with a buffer of its own. */
export function rawNumbers(type: NumberType, bytes: Uint8Array, from: number, to: number): Numbers {
  const start = bytes.byteOffset + from;
  const buffer = (bytes.buffer as ArrayBuffer).slice(start, start + to - from);
  if (type === 'bool') return flags(new Uint8Array(buffer));
  return new ARRAYS[type](buffer);
}

/** As `rawNumbers`, of what `read` gives piece by piece: it fills its argument with the bytes from the given place on. */
export function* manyNumbers(
  type: NumberType,
  byteSize: number,
  read: (target: Uint8Array, from: number) => void,
): Sliced<Numbers> {
  const buffer = new ArrayBuffer(byteSize);
  for (let from = 0; from < byteSize; from += AT_ONCE_BYTES) {
    const piece = new Uint8Array(buffer, from, Math.min(AT_ONCE_BYTES, byteSize - from));
    read(piece, from);
    if (type === 'bool') flags(piece);
    yield;
  }
  return new ARRAYS[type](buffer);
}

/** Whatever is not 0 is true. */
function flags(values: Uint8Array): Uint8Array {
  for (let index = 0; index < values.length; index++) if ((values[index] as number) > 1) values[index] = 1;
  return values;
}
