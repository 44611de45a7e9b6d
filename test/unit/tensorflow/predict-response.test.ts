// What a PredictResponse says to clients' own code.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TensorProto } from '../../../src/gen/tensorflow/core/framework/tensor.ts';
import { PredictResponse } from '../../../src/gen/tensorflow_serving/apis/predict.ts';
import { textOf } from '../../../src/grpc/byte-strings.ts';
import { PREFIX_BYTES } from '../../../src/grpc/call-head.ts';
import type { DataType, TensorData } from '../../../src/tensor.ts';
import { elementType } from '../../../src/tensorflow/element-types.ts';
import { writePredictResponse } from '../../../src/tensorflow/predict-response.ts';
import { atOnce } from '../../support/at-once.ts';
import { DT, modelSpec, shapeOf, tensor } from '../../support/tensorflow.ts';

const bytes = fc.uint8Array({ maxLength: 9 });

/** Data of a type, and the message's list that it is expected in. */
const DATA: readonly [DataType, fc.Arbitrary<TensorData>, (data: never) => Partial<TensorProto>][] = [
  ['float32', fc.float32Array(), (data: Float32Array) => ({ floatVal: [...data] })],
  ['float64', fc.float64Array(), (data: Float64Array) => ({ doubleVal: [...data] })],
  ['int8', fc.int8Array(), (data: Int8Array) => ({ intVal: [...data] })],
  ['int16', fc.int16Array(), (data: Int16Array) => ({ intVal: [...data] })],
  ['int32', fc.int32Array(), (data: Int32Array) => ({ intVal: [...data] })],
  ['uint8', fc.uint8Array(), (data: Uint8Array) => ({ intVal: [...data] })],
  ['uint16', fc.uint16Array(), (data: Uint16Array) => ({ intVal: [...data] })],
  ['float16', fc.uint16Array(), (data: Uint16Array) => ({ halfVal: [...data] })],
  ['uint32', fc.uint32Array(), (data: Uint32Array) => ({ uint32Val: [...data] })],
  ['int64', fc.bigInt64Array(), (data: BigInt64Array) => ({ int64Val: [...data] })],
  ['uint64', fc.bigUint64Array(), (data: BigUint64Array) => ({ uint64Val: [...data] })],
  ['bool', fc.uint8Array({ max: 1 }), (data: Uint8Array) => ({ boolVal: Array.from(data, Boolean) })],
  [
    'string',
    fc.array(bytes).map((list) => list.map(textOf)),
    (data: string[]) => ({ stringVal: data.map((text) => Buffer.from(bytesBehind(text))) }),
  ],
];

function bytesBehind(text: string): number[] {
  // The escapes of bytes that are no UTF-8, taken apart by hand.
  return [...text].flatMap((character) => {
    const code = character.codePointAt(0) as number;
    return code >= 0x10ff00 ? [code & 0xff] : [...Buffer.from(character)];
  });
}

function read(framed: Buffer): PredictResponse {
  return PredictResponse.decode(framed.subarray(PREFIX_BYTES));
}

test.each(DATA)('%s is in the list of its type', (type, data, expected) => {
  fc.assert(
    fc.property(data, fc.string(), (values, name) => {
      const output = { name, tensor: { type, dims: [values.length, 1], data: values } };
      const spec = modelSpec({ name: 'risk', version: 2n, signature: 'serving_default' });
      const response = read(atOnce(writePredictResponse(spec, [output])));
      expect(response.modelSpec).toEqual(spec);
      const { wire } = elementType(type);
      expect([...response.outputs]).toEqual([[name, tensor(wire, [values.length, 1], expected(values as never))]]);
    }),
  );
});

test('parts of larger arrays are only those parts', () => {
  const floats = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
  const wide = new BigInt64Array([1n, -2n, 3n]).subarray(1);
  const { outputs } = read(
    atOnce(
      writePredictResponse(modelSpec('m'), [
        { name: 'a', tensor: { type: 'float32', dims: [2], data: floats } },
        { name: 'b', tensor: { type: 'int64', dims: [2], data: wide } },
      ]),
    ),
  );
  expect(outputs.get('a')?.floatVal).toEqual([2, 3]);
  expect(outputs.get('b')?.int64Val).toEqual([-2n, 3n]);
});

test('large tensors are written in slices', () => {
  const data = new Int32Array(200_000).fill(-5);
  const work = writePredictResponse(modelSpec('m'), [{ name: 'y', tensor: { type: 'int32', dims: [200_000], data } }]);
  let slices = 0;
  let step = work.next();
  for (; step.done !== true; step = work.next()) slices++;
  expect(slices).toBeGreaterThan(20);
  const output = read(step.value).outputs.get('y') as TensorProto;
  expect(output.dtype).toBe(DT.DT_INT32);
  expect(shapeOf(output)).toEqual([200_000]);
  expect(output.intVal.every((value) => value === -5)).toBe(true);
});
