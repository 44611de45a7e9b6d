// TensorFlow's element types and ours, and which list of a TensorProto has the values of each.
import { DataType as WireType } from '../gen/tensorflow/core/framework/types.ts';
import type { DataType } from '../tensor.ts';

/** How a list's values lie on the wire. */
export type ValueKind = 'fixed' | 'varint' | 'wide varint' | 'flag' | 'bytes';

/** `field`: the list's number in TensorProto. `bytes`: of an element in tensor_content, and of a fixed value. */
export type ElementType = {
  type: DataType;
  wire: WireType;
  field: number;
  list: string;
  kind: ValueKind;
  bytes: number;
};

const ELEMENT_TYPES: readonly ElementType[] = [
  { type: 'float32', wire: WireType.DT_FLOAT, field: 5, list: 'float_val', kind: 'fixed', bytes: 4 },
  { type: 'float64', wire: WireType.DT_DOUBLE, field: 6, list: 'double_val', kind: 'fixed', bytes: 8 },
  { type: 'int32', wire: WireType.DT_INT32, field: 7, list: 'int_val', kind: 'varint', bytes: 4 },
  { type: 'int16', wire: WireType.DT_INT16, field: 7, list: 'int_val', kind: 'varint', bytes: 2 },
  { type: 'uint16', wire: WireType.DT_UINT16, field: 7, list: 'int_val', kind: 'varint', bytes: 2 },
  { type: 'int8', wire: WireType.DT_INT8, field: 7, list: 'int_val', kind: 'varint', bytes: 1 },
  { type: 'uint8', wire: WireType.DT_UINT8, field: 7, list: 'int_val', kind: 'varint', bytes: 1 },
  { type: 'string', wire: WireType.DT_STRING, field: 8, list: 'string_val', kind: 'bytes', bytes: 0 },
  { type: 'int64', wire: WireType.DT_INT64, field: 10, list: 'int64_val', kind: 'wide varint', bytes: 8 },
  { type: 'bool', wire: WireType.DT_BOOL, field: 11, list: 'bool_val', kind: 'flag', bytes: 1 },
  { type: 'float16', wire: WireType.DT_HALF, field: 13, list: 'half_val', kind: 'varint', bytes: 2 },
  { type: 'uint32', wire: WireType.DT_UINT32, field: 16, list: 'uint32_val', kind: 'varint', bytes: 4 },
  { type: 'uint64', wire: WireType.DT_UINT64, field: 17, list: 'uint64_val', kind: 'wide varint', bytes: 8 },
];

const BY_WIRE = new Map(ELEMENT_TYPES.map((element) => [element.wire as number, element]));
const BY_TYPE = new Map(ELEMENT_TYPES.map((element) => [element.type, element]));
const NAMES = new Map(Object.entries(WireType).map(([name, number]) => [number as number, name]));

/** Undefined for what no model here takes. */
export function elementTypeOf(wire: number): ElementType | undefined {
  return BY_WIRE.get(wire);
}

export function elementType(type: DataType): ElementType {
  return BY_TYPE.get(type) as ElementType;
}

/** As in `DT_FLOAT`. */
export function wireTypeName(wire: number): string {
  return NAMES.get(wire) ?? `the data type ${wire}`;
}
