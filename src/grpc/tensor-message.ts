// Tensors to messages, and back.
import { invalidField } from '../errors.ts';
import { type Tensor as WireTensor, DataType as WireType } from '../gen/scorewire/v1/tensor.ts';
import { allocate, type DataType, elementCount, type Tensor } from '../tensor.ts';

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

const TYPES = new Map(Object.entries(WIRE_TYPES).map(([type, wire]) => [wire, type as DataType]));

/** @throws ScorewireError INVALID_ARGUMENT naming `field` for what is no tensor */
export function fromWireTensor(tensor: WireTensor, field: string): Tensor {
  const type = TYPES.get(tensor.dataType);
  if (type === undefined || type === 'float16') throw invalidField(field, 'expected a data type other than FLOAT16');
  const dims = tensor.shape.map(Number);
  const count = elementCount(dims);
  const values = listOf(type, tensor);
  if (dims.some((dim) => !(dim >= 0)) || values.length !== count) {
    throw invalidField(field, `expected ${count} values, as the shape says, found ${values.length}`);
  }
  if (type === 'string') return { type, dims, data: [...tensor.texts] };
  const data = allocate(type, count);
  const wide = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (const [index, value] of values.entries()) {
    (data as unknown as (number | bigint)[])[index] = wide ? BigInt(value) : Number(value);
  }
  return { type, dims, data };
}

function listOf(type: DataType, { floats, doubles, integers, unsigneds, texts }: WireTensor) {
  switch (type) {
    case 'float32':
      return floats;
    case 'float64':
      return doubles;
    case 'uint64':
      return unsigneds;
    case 'string':
      return texts;
    default:
      return integers;
  }
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
