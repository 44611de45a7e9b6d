// Element types, as the Open Inference Protocol and Triton's configs call them.
import { DataType as ConfigType } from '../gen/inference/model_config.ts';
import type { DataType } from '../tensor.ts';

/** As in the requests' `datatype`. */
export const DATATYPES = {
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
} as const satisfies Record<DataType, string>;

export function configType(type: DataType): ConfigType {
  const name = DATATYPES[type];
  return name === 'BYTES' ? ConfigType.TYPE_STRING : ConfigType[`TYPE_${name}`];
}
