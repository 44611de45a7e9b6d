import {
  type DataType as DataTypeMessage,
  dataTypeToJSON,
  type Tensor as TensorMessage,
} from '../gen/scorewire/v1/tensor.ts';
import type { DataType, Tensor } from './types.ts';

/** The list that a data type uses, as the array that fits it. */
const VALUES: Readonly<Record<DataType, (message: TensorMessage) => Tensor['values']>> = {
  FLOAT16: ({ floats }) => Float32Array.from(floats),
  FLOAT32: ({ floats }) => Float32Array.from(floats),
  FLOAT64: ({ doubles }) => Float64Array.from(doubles),
  INT8: ({ integers }) => Int8Array.from(integers, Number),
  INT16: ({ integers }) => Int16Array.from(integers, Number),
  INT32: ({ integers }) => Int32Array.from(integers, Number),
  INT64: ({ integers }) => BigInt64Array.from(integers),
  UINT8: ({ integers }) => Uint8Array.from(integers, Number),
  UINT16: ({ integers }) => Uint16Array.from(integers, Number),
  UINT32: ({ integers }) => Uint32Array.from(integers, Number),
  UINT64: ({ unsigneds }) => BigUint64Array.from(unsigneds),
  BOOL: ({ integers }) => Uint8Array.from(integers, Number),
  STRING: ({ texts }) => texts,
};

export function toTensor(message: TensorMessage): Tensor {
  const dataType = toDataType(message.dataType) ?? 'FLOAT32';
  return { dataType, shape: message.shape.map(Number), values: VALUES[dataType](message) };
}

/** undefined where it is not said. */
export function toDataType(dataType: DataTypeMessage): DataType | undefined {
  const name = dataTypeToJSON(dataType).slice('DATA_TYPE_'.length);
  return name === 'UNSPECIFIED' ? undefined : (name as DataType);
}
