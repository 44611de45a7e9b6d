// ModelInferRequest from its bytes: the same as generated code reads, for every message, and a refusal for what is none.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScorewireError } from '../../../src/errors.ts';
import {
  type InferTensorContents,
  ModelInferRequest,
  type InferParameter as ParameterMessage,
} from '../../../src/gen/inference/inference.ts';
import { textOf } from '../../../src/grpc/byte-strings.ts';
import type { Sliced } from '../../../src/grpc/slices.ts';
import { NotWellFormed } from '../../../src/grpc/wire-cursor.ts';
import { type InferParameter, type Parameters, readInferRequest } from '../../../src/inference/infer-request.ts';
import { TypedContents } from '../../../src/inference/typed-contents.ts';
import type { DataType } from '../../../src/tensor.ts';

function finish<T>(work: Sliced<T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const dimension = fc.oneof(
  int64.map((value) => value % 2n ** 53n),
  fc.bigInt({ min: -2n, max: 300n }),
);
const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.constantFrom('INPUT0', 'FP32', 'simple', ''));
const choice = <Case extends string, Value>($case: Case, value: fc.Arbitrary<Value>) =>
  value.map((given) => ({ parameterChoice: { $case, value: given } }));
const parameter = fc.oneof(
  choice('boolParam', fc.boolean()),
  choice('int64Param', int64),
  choice('stringParam', text),
  choice('doubleParam', fc.double({ noNaN: true })),
  choice('uint64Param', uint64),
  fc.constant({}),
) as fc.Arbitrary<ParameterMessage>;
const parameters = fc.array(fc.tuple(text, parameter), { maxLength: 3 }).map((entries) => new Map(entries));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const contents = fc.record({
  boolContents: fc.array(fc.boolean()),
  intContents: fc.array(int32),
  int64Contents: fc.array(int64),
  uintContents: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  uint64Contents: fc.array(uint64),
  fp32Contents: fc.array(fc.float()),
  fp64Contents: fc.array(fc.double()),
  bytesContents: fc.array(fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))),
});
const request = fc.record({
  modelName: text,
  modelVersion: text,
  id: text,
  parameters,
  inputs: fc.array(
    fc.record({
      name: text,
      datatype: text,
      shape: fc.array(dimension, { maxLength: 4 }),
      parameters,
      contents: fc.option(contents, { nil: undefined }),
    }),
    { maxLength: 3 },
  ),
  outputs: fc.array(fc.record({ name: text, parameters }), { maxLength: 3 }),
  rawInputContents: fc.array(
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
    { maxLength: 3 },
  ),
});

function messageOf(value: InferParameter): ParameterMessage {
  switch (value.kind) {
    case 'bool':
      return { parameterChoice: { $case: 'boolParam', value: value.value } };
    case 'int64':
      return { parameterChoice: { $case: 'int64Param', value: value.value } };
    case 'uint64':
      return { parameterChoice: { $case: 'uint64Param', value: value.value } };
    case 'string':
      return { parameterChoice: { $case: 'stringParam', value: value.value } };
    case 'double':
      return { parameterChoice: { $case: 'doubleParam', value: value.value } };
    default:
      return { parameterChoice: undefined } as ParameterMessage;
  }
}

function messagesOf(values: Parameters): Map<string, ParameterMessage> {
  return new Map([...values].map(([name, value]) => [name, messageOf(value)]));
}

const TYPES: readonly (readonly [DataType, keyof InferTensorContents])[] = [
  ['bool', 'boolContents'],
  ['int32', 'intContents'],
  ['int64', 'int64Contents'],
  ['uint32', 'uintContents'],
  ['uint64', 'uint64Contents'],
  ['float32', 'fp32Contents'],
  ['float64', 'fp64Contents'],
  ['string', 'bytesContents'],
];

/** All that our reader finds, in the form of generated code. */
function decoded(bytes: Uint8Array): unknown {
  const found = readInferRequest(bytes);
  return {
    modelName: found.modelName,
    modelVersion: found.modelVersion,
    id: found.id,
    parameters: messagesOf(found.parameters),
    inputs: found.inputs.map((input) => ({
      name: input.name,
      datatype: input.datatype,
      shape: input.shape.map(BigInt),
      parameters: messagesOf(input.parameters),
      contents: input.contents === undefined ? undefined : contentsOf(bytes, input.contents),
    })),
    outputs: found.outputs.map(({ name, parameters }) => ({ name, parameters: messagesOf(parameters) })),
    rawInputContents: Array.from({ length: found.raw.length / 2 }, (_, index) =>
      Array.from(bytes.subarray(found.raw[2 * index], found.raw[2 * index + 1])),
    ),
  };
}

function contentsOf(bytes: Uint8Array, parts: readonly number[]): Record<string, unknown[]> {
  const typed = new TypedContents(bytes, parts);
  finish(typed.count());
  return Object.fromEntries(
    TYPES.map(([type, field]) => {
      const values = [...(finish(typed.values(type)) as Iterable<unknown>)];
      expect(typed.length(type)).toBe(values.length);
      return [field, values];
    }),
  );
}

/** As ours: texts as texts, flags as numbers, bytes as plain arrays. */
function expected(message: ModelInferRequest): unknown {
  return {
    ...message,
    rawInputContents: message.rawInputContents.map((bytes) => Array.from(bytes)),
    inputs: message.inputs.map((input) => ({
      ...input,
      contents: input.contents && {
        ...input.contents,
        boolContents: input.contents.boolContents.map(Number),
        bytesContents: input.contents.bytesContents.map((bytes) => textOf(bytes)),
      },
    })),
  };
}

const SAMPLE = ModelInferRequest.encode({
  modelName: 'simple',
  modelVersion: '1',
  id: 'größer',
  parameters: new Map([
    ['timeout', { parameterChoice: { $case: 'int64Param', value: -1n } }],
    ['half', { parameterChoice: { $case: 'doubleParam', value: 0.5 } }],
  ]),
  inputs: [
    {
      name: 'INPUT0',
      datatype: 'INT64',
      shape: [1n, 3n],
      parameters: new Map(),
      contents: {
        boolContents: [],
        intContents: [],
        int64Contents: [1n, -1n, 300n],
        uintContents: [],
        uint64Contents: [],
        fp32Contents: [1, 2],
        fp64Contents: [],
        bytesContents: [Buffer.from('ab')],
      },
    },
  ],
  outputs: [
    { name: 'OUTPUT0', parameters: new Map([['x', { parameterChoice: { $case: 'boolParam', value: true } }]]) },
  ],
  rawInputContents: [Buffer.from([1, 2, 3, 4])],
}).finish();

/** Whether it was read; anything but a refusal fails. */
function isRead(bytes: Uint8Array): boolean {
  try {
    decoded(bytes);
    return true;
  } catch (error) {
    if (error instanceof NotWellFormed || error instanceof ScorewireError) return false;
    throw error;
  }
}

describe('a request', () => {
  it('is read as generated code reads it', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = ModelInferRequest.encode(message as ModelInferRequest).finish();
        expect(decoded(bytes)).toEqual(expected(ModelInferRequest.decode(bytes)));
      }),
      { numRuns: 300 },
    );
  });

  it('is read from any place in a buffer', () => {
    const padded = Buffer.concat([Buffer.alloc(3, 0xff), SAMPLE, Buffer.alloc(3, 0xff)]);
    const bytes = padded.subarray(3, 3 + SAMPLE.length);
    expect(decoded(bytes)).toEqual(expected(ModelInferRequest.decode(SAMPLE)));
  });

  it('may have its numbers one a field, its contents in parts, and fields that nobody knows', () => {
    const input = new BinaryWriter();
    input.uint32(10).string('x').uint32(18).string('INT32').uint32(24).int64(2n).uint32(24).int64(-1n);
    for (const value of [7, -7]) input.uint32(42).fork().uint32(16).int32(value).join();
    input.uint32(42).fork().uint32(18).fork().int32(8).int32(300).join().uint32(53).float(1.5).join();
    const writer = new BinaryWriter();
    writer.uint32(42).fork().raw(input.finish()).join();
    writer
      .uint32(8 * 99)
      .int32(5)
      .uint32(8 * 98 + 2)
      .string('new')
      .uint32(8 * 97 + 1)
      .fixed64(1n);
    const bytes = writer.finish();
    const { inputs } = readInferRequest(bytes);
    expect(inputs[0]?.shape).toEqual([2, -1]);
    const typed = new TypedContents(bytes, inputs[0]?.contents ?? []);
    finish(typed.count());
    expect(finish(typed.values('int32'))).toEqual(Int32Array.of(7, -7, 8, 300));
    expect(finish(typed.values('int8'))).toEqual(Int8Array.of(7, -7, 8, 44));
    expect(finish(typed.values('float32'))).toEqual(Float32Array.of(1.5));
    expect(typed.other('int32')).toBe('FP32');
  });

  it.each([
    ['an id that is no UTF-8', Buffer.from([26, 2, 0xc3, 0x28])],
    ['half of a name', Buffer.from([10, 5, 65])],
    ['a field 0', Buffer.from([0, 0])],
    ['a group that never began', Buffer.from([12])],
    ['a number of eleven bytes', Buffer.concat([Buffer.from([42, 13, 26, 11]), Buffer.alloc(10, 0x80), Buffer.of(1)])],
    ['half a float in contents', Buffer.from([42, 5, 42, 3, 50, 1, 0])],
    ['half a varint in contents', Buffer.from([42, 5, 42, 3, 18, 1, 0x80])],
  ])('is refused: %s', (_, bytes) => {
    expect(() => decoded(bytes)).toThrow(NotWellFormed);
  });

  it('is read or refused, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void isRead(bytes)),
      { numRuns: 2000 },
    );
  });

  it('that is cut short is read as what is there, or refused', () => {
    const read = Array.from(SAMPLE, (_, length) => isRead(SAMPLE.subarray(0, length)));
    // Between two fields there is nothing wrong.
    expect(read.filter((one) => one).length).toBeGreaterThan(0);
    expect(read.filter((one) => !one).length).toBeGreaterThan(read.length / 2);
  });

  it('with a bit turned is read or refused', () => {
    for (let bit = 0; bit < SAMPLE.length * 8; bit++) {
      const bytes = Buffer.from(SAMPLE);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      isRead(bytes);
    }
  });

  it('of more fields than anybody needs is refused', () => {
    const many = Buffer.alloc(2 * 100_001).map((_, index) => (index % 2 === 0 ? 42 : 0));
    expect(() => readInferRequest(many)).toThrow(ScorewireError);
    const long = Buffer.concat([Buffer.from([26, 0x81, 0x80, 0x40]), Buffer.alloc(2 ** 20 + 1, 65)]);
    expect(() => readInferRequest(long)).toThrow(ScorewireError);
  });
});
