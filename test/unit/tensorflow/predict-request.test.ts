// PredictRequest from its bytes: what is read is what was meant, however it lies on the wire.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import { TensorProto } from '../../../src/gen/tensorflow/core/framework/tensor.ts';
import { PredictRequest } from '../../../src/gen/tensorflow_serving/apis/predict.ts';
import { textOf } from '../../../src/grpc/byte-strings.ts';
import { wellFormedMessage } from '../../../src/grpc/well-formed.ts';
import { NotWellFormed } from '../../../src/grpc/wire-cursor.ts';
import type { DataType } from '../../../src/tensor.ts';
import { elementType } from '../../../src/tensorflow/element-types.ts';
import { readPredictRequest } from '../../../src/tensorflow/predict-request.ts';
import { type TensorMessage, walkTensor } from '../../../src/tensorflow/tensor-message.ts';
import { contentValues, listValues } from '../../../src/tensorflow/tensor-values.ts';
import { atOnce } from '../../support/at-once.ts';
import { DT, floats, modelSpec, tensor } from '../../support/tensorflow.ts';

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.nat({ max: 2 ** 32 - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array({ maxLength: 12 });

/** How a value is written, and what it is as an element. */
type Kind = {
  type: DataType;
  value: fc.Arbitrary<unknown>;
  write: (writer: BinaryWriter, value: never) => void;
  element: (value: never) => unknown;
};

const KINDS: readonly Kind[] = [
  { type: 'float32', value: fc.float(), write: (to, value) => to.float(value), element: (value) => value },
  { type: 'float64', value: fc.double(), write: (to, value) => to.double(value), element: (value) => value },
  { type: 'int32', value: int32, write: (to, value) => to.int32(value), element: (value) => value },
  { type: 'int16', value: int32, write: (to, value) => to.int32(value), element: (value) => (value << 16) >> 16 },
  { type: 'uint16', value: int32, write: (to, value) => to.int32(value), element: (value) => value & 0xffff },
  { type: 'int8', value: int32, write: (to, value) => to.int32(value), element: (value) => (value << 24) >> 24 },
  { type: 'uint8', value: int32, write: (to, value) => to.int32(value), element: (value) => value & 0xff },
  { type: 'float16', value: fc.nat(65535), write: (to, value) => to.int32(value), element: (value) => value },
  { type: 'uint32', value: uint32, write: (to, value) => to.uint32(value), element: (value) => value },
  { type: 'int64', value: int64, write: (to, value) => to.int64(value), element: (value) => value },
  { type: 'uint64', value: uint64, write: (to, value) => to.uint64(value), element: (value) => value },
  { type: 'bool', value: uint64, write: (to, value) => to.uint64(value), element: (value) => (value === 0n ? 0 : 1) },
  { type: 'string', value: bytes, write: (to, value) => to.bytes(value), element: (value) => textOf(value) },
];

const WIRE_TYPES: Partial<Record<DataType, number>> = { float32: 5, float64: 1, string: 2 };

describe.each(KINDS)('a list of $type', ({ type, value, write, element }) => {
  const { field } = elementType(type);
  const single = field * 8 + (WIRE_TYPES[type] ?? 0);
  /** After how many values the next field begins; each alone, or together. */
  const fields = fc.array(fc.record({ values: fc.array(value, { maxLength: 20 }), packed: fc.boolean() }), {
    maxLength: 6,
  });

  test('is read in whatever fields its values are, and its last one repeated', () => {
    fc.assert(
      fc.property(fields, fc.nat(5), (parts, more) => {
        const writer = new BinaryWriter();
        for (const { values, packed } of parts) {
          if (packed && type !== 'string') {
            writer.uint32(field * 8 + 2).fork();
            for (const one of values) write(writer, one as never);
            writer.join();
          } else {
            for (const one of values) write(writer.uint32(single), one as never);
          }
          // What is in between belongs to nobody, or to the shape.
          writer
            .uint32(200 * 8)
            .uint32(1)
            .uint32(18)
            .fork()
            .uint32(18)
            .fork()
            .uint32(8)
            .int64(3)
            .join()
            .join();
        }
        const message = atOnce(walkTensor(writer.finish()));
        const values = parts.flatMap((part) => part.values);
        const expected = values.map((one) => element(one as never));
        expect(message.counts[field]).toBe(expected.length);
        expect(message.dims).toEqual(parts.map(() => 3));
        while (expected.length < values.length + more) expected.push(expected.at(-1) ?? emptyOf(type));
        expect([...atOnce(listValues(message, elementType(type), expected.length))]).toEqual(expected);
      }),
    );
  });
});

function emptyOf(type: DataType): unknown {
  return type === 'string' ? '' : type.endsWith('int64') ? 0n : 0;
}

test('tensor_content is read as it lies there, texts by their lengths first', () => {
  const read = (proto: TensorProto, type: DataType, length: number) => {
    const { content } = atOnce(walkTensor(TensorProto.encode(proto).finish()));
    return [...atOnce(contentValues(content as Uint8Array, elementType(type), length))];
  };
  const wide = Buffer.from(new BigInt64Array([-1n, 2n ** 40n]).buffer);
  expect(read(tensor(DT.DT_INT64, [2], { tensorContent: wide }), 'int64', 2)).toEqual([-1n, 2n ** 40n]);
  const texts = Buffer.concat([Buffer.from([2, 0, 3]), Buffer.from('abxyz')]);
  expect(read(tensor(DT.DT_STRING, [3], { tensorContent: texts }), 'string', 3)).toEqual(['ab', '', 'xyz']);
  const short = tensor(DT.DT_STRING, [3], { tensorContent: texts.subarray(0, 6) });
  expect(() => read(short, 'string', 3)).toThrow(NotWellFormed);
});

test('a text of many pieces is whole, whatever bytes it has', () => {
  const long = Buffer.alloc(100_001, 'žluťoučký kůň ');
  long[50_000] = 0xff;
  const message = walked(tensor(DT.DT_STRING, [1], { stringVal: [long] }));
  expect(atOnce(listValues(message, elementType('string'), 1))).toEqual([textOf(long)]);
});

function walked(proto: TensorProto): TensorMessage {
  return atOnce(walkTensor(TensorProto.encode(proto).finish()));
}

test('a large list is read in slices', () => {
  const message = walked(tensor(DT.DT_INT64, [100_000], { int64Val: new Array(100_000).fill(-1n) }));
  let slices = 0;
  const work = listValues(message, elementType('int64'), 100_000);
  while (work.next().done !== true) slices++;
  expect(slices).toBeGreaterThan(10);
});

describe('a request', () => {
  const request = PredictRequest.encode({
    modelSpec: modelSpec({ name: 'risk', version: 3n, signature: 's' }),
    inputs: new Map([
      ['x', floats([1, 2], [1, 2])],
      ['y', tensor(DT.DT_STRING, undefined, { stringVal: [Buffer.from('a')] })],
    ]),
    outputFilter: ['p', 'q'],
  }).finish();

  test('has its model, its filter and its inputs', () => {
    const { request: rest, inputs } = atOnce(readPredictRequest(request));
    expect(rest.modelSpec).toEqual(modelSpec({ name: 'risk', version: 3n, signature: 's' }));
    expect(rest.outputFilter).toEqual(['p', 'q']);
    expect([...inputs].map(([name, { wire, dims, unknownRank }]) => ({ name, wire, dims, unknownRank }))).toEqual([
      { name: 'x', wire: DT.DT_FLOAT, dims: [1, 2], unknownRank: false },
      { name: 'y', wire: DT.DT_STRING, dims: [], unknownRank: false },
    ]);
  });

  test('that comes in parts is one: what comes later counts, as protobuf has it', () => {
    const later = PredictRequest.encode({
      modelSpec: modelSpec({ name: 'other' }),
      inputs: new Map([['x', floats([3], [7])]]),
      outputFilter: ['r'],
    }).finish();
    const { request: rest, inputs } = atOnce(readPredictRequest(Buffer.concat([request, later])));
    expect(rest.modelSpec?.name).toBe('other');
    expect(rest.outputFilter).toEqual(['p', 'q', 'r']);
    expect(inputs.get('x')?.dims).toEqual([3]);
  });

  test('is refused for what generated code would refuse, and for nothing else', () => {
    const check = wellFormedMessage('tensorflow.serving.PredictRequest');
    const outcome = (read: () => unknown): string => {
      try {
        read();
        return 'read';
      } catch (error) {
        if (error instanceof NotWellFormed || error instanceof ScorewireError) return 'refused';
        throw error;
      }
    };
    const change = fc.record({ at: fc.nat(request.length - 1), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 3 }), fc.nat(request.length), (changes, length) => {
        const damaged = Buffer.from(request.subarray(0, length));
        for (const { at, to } of changes) if (at < length) damaged[at] = to;
        expect(outcome(() => atOnce(readPredictRequest(damaged)))).toBe(outcome(() => check(damaged)));
      }),
      { numRuns: 2000 },
    );
  });

  test('with more in it than any model takes is refused', () => {
    const names = Buffer.concat(
      Array.from({ length: 60_000 }, () =>
        PredictRequest.encode({ inputs: new Map([['', floats([], [])]]), outputFilter: [] }).finish(),
      ),
    );
    expect(() => atOnce(readPredictRequest(names))).toThrow(/at most 50000 fields/);
    const filter = { inputs: new Map(), outputFilter: ['q'.repeat(70_000)] };
    expect(() => atOnce(readPredictRequest(PredictRequest.encode(filter).finish()))).toThrow(/at most 65536 bytes/);
  });
});
