// Numbers of tensors as they are on the wire: little-endian, as in every array on the machines that we run on.
import type { Sliced } from '../grpc/slices.ts';
import { type DataType, NUMBER_ARRAYS, type TensorData } from '../tensor.ts';

export type NumberType = Exclude<DataType, 'string'>;

type Numbers = Exclude<TensorData, string[]>;

/** Copied at once; more is copied in pieces. */
export const AT_ONCE_BYTES = 256 * 1024;

export function bytesPerNumber(type: NumberType): number {
  return NUMBER_ARRAYS[type].BYTES_PER_ELEMENT;
}

/** Bytes [from, to), which are whole numbers, in an array with a buffer of its own. */
export function rawNumbers(type: NumberType, bytes: Uint8Array, from: number, to: number): Numbers {
  const start = bytes.byteOffset + from;
  const buffer = (bytes.buffer as ArrayBuffer).slice(start, start + to - from);
  if (type === 'bool') return flags(new Uint8Array(buffer));
  return new NUMBER_ARRAYS[type](buffer);
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
  return new NUMBER_ARRAYS[type](buffer);
}

/** Whatever is not 0 is true. */
function flags(values: Uint8Array): Uint8Array {
  for (let index = 0; index < values.length; index++) if ((values[index] as number) > 1) values[index] = 1;
  return values;
}
