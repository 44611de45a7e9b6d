// Tensors to messages.
import { type Tensor as WireTensor, DataType as WireType } from '../gen/scorewire/v1/tensor.ts';
import type { DataType, Tensor } from '../tensor.ts';

export const WIRE_TYPES: Record<DataType, WireType> = {
  float16: WireType.DATA_TYPE_FLOAT16,
  float32: WireType.DATA_TYPE_FLOAT32,
  float64: WireType.DATA_TYPE_FLOAT64,
  int8: WireType.DATA_TYPE_INT8,
  int16: WireType.DATA_TYPE_INT16,
  int32: WireType.DATA_TYPE_INT32,
  int64: WireType.DATA_TYPE_INT64,
  uint8: WireType.DATA_TYPE_UINT8,
  uint16: WireType.DATA_TYPE_UINT16,
  uint32: WireType.DATA_TYPE_UINT32,
  uint64: WireType.DATA_TYPE_UINT64,
  bool: WireType.DATA_TYPE_BOOL,
  string: WireType.DATA_TYPE_STRING,
};

export function toWireTensor({ type, dims, data }: Tensor): WireTensor {
  const tensor: WireTensor = {
    dataType: WIRE_TYPES[type],
    shape: dims.map(BigInt),
    floats: [],
    doubles: [],
    integers: [],
    unsigneds: [],
    texts: [],
  };
  switch (type) {
    case 'float16':
      tensor.floats = Array.from(data as Uint16Array, data instanceof Uint16Array ? widenHalf : Number);
      break;
    case 'float32':
      tensor.floats = Array.from(data as Float32Array);
      break;
    case 'float64':
      tensor.doubles = Array.from(data as Float64Array);
      break;
    case 'uint64':
      tensor.unsigneds = Array.from(data as BigUint64Array);
      break;
    case 'string':
      tensor.texts = data as string[];
      break;
    default:
      tensor.integers = Array.from(data as Iterable<number | bigint>, (value) => BigInt(value));
  }
  return tensor;
}

/** The number that a 16-bit IEEE 754 pattern stands for. */
function widenHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
