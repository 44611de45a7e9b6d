// The value of a constant: TensorProto of onnx.proto.

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { allocate, DATA_TYPES, type DataType, elementCount, type Tensor } from '../tensor.ts';
import { ELEMENT_TYPES } from './onnx-value.ts';
import { eachField, text, varints, type WireField } from './wire.ts';

/**
 * Undefined where the tensor has more than `mostElements`, keeps its data in another file, or is of a type that can't be
 * exchanged. Throws where the bytes are no tensor.
 */
export function readTensorValue(bytes: Uint8Array, mostElements: number): Tensor | undefined {
  const dims: number[] = [];
  let typeName = '';
  let external = false;
  eachField(bytes, {
    1: (field) => dims.push(...varints(field)),
    2: (field) => (typeName = ELEMENT_TYPES[field.number] ?? ''),
    14: (field) => (external = field.number === 1),
  });
  const type = DATA_TYPES.find((one) => one === typeName);
  const count = elementCount(dims);
  if (type === undefined || external || !(count <= mostElements)) return undefined;
  const values: (number | bigint | string)[] = [];
  let raw: Uint8Array | undefined;
  eachField(bytes, {
    4: (field) => values.push(...floats(field, 4)),
    5: (field) => values.push(...varints(field)),
    6: (field) => values.push(text(field.bytes)),
    7: (field) => values.push(...integers(field)),
    9: (field) => (raw = field.bytes),
    10: (field) => values.push(...floats(field, 8)),
    11: (field) => values.push(...integers(field)),
  });
  const data = allocate(type, count);
  if (Array.isArray(data)) {
    if (values.length !== count) throw new Error(`a tensor of ${count} texts has ${values.length}`);
    return { type, dims, data: values as string[] };
  }
  if (raw !== undefined) {
    if (raw.length !== data.byteLength) throw new Error(`a tensor of ${data.byteLength} bytes has ${raw.length}`);
    new Uint8Array(data.buffer).set(raw);
    return { type, dims, data };
  }
  if (values.length !== count) throw new Error(`a tensor of ${count} elements has ${values.length}`);
  for (const [i, value] of values.entries()) (data as unknown as (number | bigint)[])[i] = element(type, value);
  return { type, dims, data };
}

/** Typed arrays take the low bits of numbers and bigints by themselves, but not one for the other. */
function element(type: DataType, value: number | bigint | string): number | bigint {
  return type === 'int64' || type === 'uint64' ? BigInt(value) : Number(value);
}

/** Stands packed, or once a value, of which the field is then the end. */
function floats({ packed, bytes, start, end }: WireField, size: 4 | 8): number[] {
  if (!packed) throw new Error(`a number of ${size} bytes stands alone at ${start} to ${end}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / size }, (_, i) =>
    size === 4 ? view.getFloat32(i * size, true) : view.getFloat64(i * size, true),
  );
}

/** Exact beyond 2^53. */
function integers(field: WireField): bigint[] {
  if (!field.packed) return [BigInt(field.number)];
  const reader = new BinaryReader(field.bytes);
  const values: bigint[] = [];
  while (reader.pos < reader.len) values.push(BigInt(reader.int64()));
  return values;
}
