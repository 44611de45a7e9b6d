import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { describe, expect, test } from 'vitest';
import { readTensorValue } from '../../../src/models/onnx-tensor.ts';

type Put = (writer: BinaryWriter) => void;

/** A TensorProto of this element type (its number) with these parts. */
function tensor(type: number, dims: readonly number[], ...parts: readonly Put[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const dim of dims) writer.tag(1, WireType.Varint).int64(dim);
  writer.tag(2, WireType.Varint).int32(type);
  for (const put of parts) put(writer);
  return writer.finish();
}

const packed =
  (field: number, write: (writer: BinaryWriter) => void): Put =>
  (writer) => {
    writer.tag(field, WireType.LengthDelimited).fork();
    write(writer);
    writer.join();
  };
const raw =
  (bytes: Uint8Array): Put =>
  (writer) =>
    void writer.tag(9, WireType.LengthDelimited).bytes(bytes);
const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer as ArrayBuffer);

describe('the value of a constant', () => {
  test.each<[string, Uint8Array, object]>([
    [
      'floats',
      tensor(
        1,
        [2],
        packed(4, (w) => w.float(1.5).float(-2)),
      ),
      { type: 'float32', data: Float32Array.of(1.5, -2) },
    ],
    [
      'doubles',
      tensor(
        11,
        [1],
        packed(10, (w) => w.double(0.1)),
      ),
      { type: 'float64', data: Float64Array.of(0.1) },
    ],
    [
      'small whole numbers',
      tensor(
        3,
        [2],
        packed(5, (w) => w.int32(-1).int32(7)),
      ),
      { type: 'int8', data: Int8Array.of(-1, 7) },
    ],
    [
      'flags',
      tensor(
        9,
        [2],
        packed(5, (w) => w.int32(1).int32(0)),
      ),
      { type: 'bool', data: Uint8Array.of(1, 0) },
    ],
    [
      'half floats',
      tensor(
        10,
        [1],
        packed(5, (w) => w.int32(0x3c00)),
      ),
      { type: 'float16', data: Uint16Array.of(0x3c00) },
    ],
    [
      'large whole numbers',
      tensor(
        7,
        [2],
        packed(7, (w) => w.int64('-9223372036854775808').int64(5)),
      ),
      { type: 'int64', data: BigInt64Array.of(-(2n ** 63n), 5n) },
    ],
    [
      'a whole number by itself',
      tensor(7, [], (w) => void w.tag(7, WireType.Varint).int64(5)),
      { type: 'int64', dims: [], data: BigInt64Array.of(5n) },
    ],
    [
      'without a sign',
      tensor(
        13,
        [1],
        packed(11, (w) => w.uint64('18446744073709551615')),
      ),
      { type: 'uint64', data: BigUint64Array.of(2n ** 64n - 1n) },
    ],
    [
      'without a sign, small',
      tensor(
        12,
        [1],
        packed(11, (w) => w.uint64(4_000_000_000)),
      ),
      { type: 'uint32', data: Uint32Array.of(4_000_000_000) },
    ],
    [
      'texts',
      tensor(
        8,
        [2],
        (w) => void w.tag(6, WireType.LengthDelimited).string('a').tag(6, WireType.LengthDelimited).string('ä'),
      ),
      { type: 'string', data: ['a', 'ä'] },
    ],
    [
      'bytes',
      tensor(6, [1, 2], raw(bytesOf(Int32Array.of(1, -2)))),
      { type: 'int32', dims: [1, 2], data: Int32Array.of(1, -2) },
    ],
    ['nothing', tensor(1, [0]), { type: 'float32', dims: [0], data: new Float32Array(0) }],
  ])('%s', (_, bytes, value) => {
    expect(readTensorValue(bytes, 64)).toMatchObject(value);
  });

  test.each([
    ['of too many elements', tensor(1, [65], raw(new Uint8Array(260)))],
    ['of a type that is not exchanged', tensor(16, [1], raw(new Uint8Array(2)))],
    ['in another file', tensor(1, [1], (w) => void w.tag(14, WireType.Varint).int32(1))],
  ])('is none %s', (_, bytes) => {
    expect(readTensorValue(bytes, 64)).toBeUndefined();
  });

  test.each([
    ['too few bytes', tensor(1, [2], raw(new Uint8Array(4)))],
    [
      'too many numbers',
      tensor(
        1,
        [1],
        packed(4, (w) => w.float(1).float(2)),
      ),
    ],
    ['too few texts', tensor(8, [2])],
  ])('is refused with %s', (_, bytes) => {
    expect(() => readTensorValue(bytes, 64)).toThrow(/has \d/);
  });
});
