// Inputs and outputs of an ONNX graph: ValueInfoProto and TypeProto of onnx.proto.

import { DATA_TYPES, type DataType } from '../tensor.ts';
import { eachField, text } from './wire.ts';

/** An input or output of the graph. */
export type OnnxValue = {
  name: string;
  /** Absent where it is no tensor, or one of elements that onnxruntime-node can't exchange. */
  type: DataType | undefined;
  /** For people: the element type, or `sequence`, `map`, `optional`, `sparse tensor`, `opaque`, `undeclared`. */
  typeName: string;
  /** Absent where the graph declares no shape; a dimension is null where it is open. */
  shape: readonly (number | null)[] | undefined;
};

// In the order of TensorProto.DataType.
export const ELEMENT_TYPES = (
  'undeclared,float32,uint8,int8,uint16,int16,int32,int64,string,bool,float16,float64,uint32,uint64,complex64,' +
  'complex128,bfloat16,float8e4m3fn,float8e4m3fnuz,float8e5m2,float8e5m2fnuz,uint4,int4,float4e2m1'
).split(',');

export function readValue(bytes: Uint8Array): OnnxValue {
  const value: OnnxValue = { name: '', type: undefined, typeName: 'undeclared', shape: undefined };
  eachField(bytes, {
    1: (field) => (value.name = text(field.bytes)),
    2: (field) => readType(field.bytes, value),
  });
  value.type = DATA_TYPES.find((type) => type === value.typeName);
  return value;
}

function readType(bytes: Uint8Array, into: OnnxValue): void {
  eachField(bytes, {
    1: (field) => readTensorType(field.bytes, into),
    4: () => (into.typeName = 'sequence'),
    5: () => (into.typeName = 'map'),
    7: () => (into.typeName = 'opaque'),
    8: () => (into.typeName = 'sparse tensor'),
    9: () => (into.typeName = 'optional'),
  });
}

function readTensorType(bytes: Uint8Array, into: OnnxValue): void {
  eachField(bytes, {
    1: (field) => (into.typeName = ELEMENT_TYPES[field.number] ?? `element type ${field.number}`),
    2: (field) => (into.shape = readShape(field.bytes)),
  });
}

function readShape(bytes: Uint8Array): (number | null)[] {
  const shape: (number | null)[] = [];
  eachField(bytes, { 1: (dimension) => shape.push(readDimension(dimension.bytes)) });
  return shape;
}

function readDimension(bytes: Uint8Array): number | null {
  let size: number | null = null;
  eachField(bytes, {
    // Some exporters write 0 or -1 for a dimension that they leave open.
    1: (field) => (size = field.number > 0 ? field.number : null),
  });
  return size;
}
