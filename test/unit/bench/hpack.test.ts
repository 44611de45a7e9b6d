import { expect, test } from 'vitest';
import { AnswerHeaders } from '../../../src/bench/hpack.ts';
import { encodeHeaderBlocks } from '../../../src/http2/header-encoder.ts';
import { huffmanEncode } from '../../../src/http2/huffman.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function read(block: Uint8Array): AnswerHeaders {
  const headers = new AnswerHeaders();
  headers.read(block, 0, block.length);
  return headers;
}

/** A literal field that leaves no trace in a table, as gRPC servers write their trailers. */
function literal(name: string, value: string, huffman = false): Uint8Array {
  const string = (text: string): number[] => {
    const bytes = huffman ? huffmanEncode(text) : Buffer.from(text, 'latin1');
    return [(huffman ? 0x80 : 0) | bytes.length, ...bytes];
  };
  return Uint8Array.from([0x00, ...string(name), ...string(value)]);
}

test('requests: static fields, literals, and indices of what the first request left behind', () => {
  const blocks = encodeHeaderBlocks([
    [':method', 'POST'],
    [':path', '/a'],
    ['te', 'trailers'],
  ]);
  expect(blocks.literal).toEqual(hex('83 04 02 2f61 00 02 7465 08 747261696c657273'));
  expect(blocks.opening).toEqual(hex('83 44 02 2f61 40 02 7465 08 747261696c657273'));
  // The newest entry, te, is 62, the path before it 63.
  expect(blocks.indexed).toEqual(hex('83 bf be'));
  expect(blocks.tableBytes).toBe(32 + 5 + 2 + 32 + 2 + 8);
});

test('requests: long values take more than one length byte', () => {
  const { literal: block } = encodeHeaderBlocks([[':path', 'x'.repeat(300)]]);
  expect([...block.subarray(0, 4)]).toEqual([0x04, 0x7f, 0xad, 0x01]);
  expect(block.length).toBe(4 + 300);
});

test.each([false, true])('trailers, Huffman-coded: %s', (huffman) => {
  for (const status of [0, 8, 13, 16]) {
    const headers = read(literal('grpc-status', String(status), huffman));
    expect(headers.grpcStatus).toBe(status);
    expect(headers.httpStatus).toBe(-1);
  }
});

test('trailers-only answer with a message after other fields', () => {
  const block = Buffer.concat([
    hex('20 88'),
    literal('content-type', 'application/grpc'),
    literal('grpc-status', '8'),
    literal('grpc-message', 'queue%20full', true),
    literal('retry-info-bin', 'x'.repeat(90)),
  ]);
  const headers = read(block);
  expect(headers.httpStatus).toBe(200);
  expect(headers.grpcStatus).toBe(8);
  expect(headers.message()).toBe('queue full');
});

test('reading again forgets what was read before', () => {
  const headers = new AnswerHeaders();
  const first = Buffer.concat([literal('grpc-status', '8'), literal('grpc-message', 'full')]);
  headers.read(first, 0, first.length);
  headers.read(hex('88'), 0, 1);
  expect([headers.httpStatus, headers.grpcStatus, headers.message()]).toEqual([200, -1, '']);
});

test('HTTP status: static, by a static name, by a spelt name', () => {
  expect(read(hex('8d')).httpStatus).toBe(404);
  expect(read(hex('08 03 343239')).httpStatus).toBe(429);
  expect(read(literal(':status', '503')).httpStatus).toBe(503);
});

test('a status that is no number is none', () => {
  expect(read(literal('grpc-status', 'x')).grpcStatus).toBe(-1);
  expect(read(literal('grpc-status', '')).grpcStatus).toBe(-1);
});

test('refuses dynamic-table entries, larger tables, and blocks cut short', () => {
  expect(() => read(hex('be'))).toThrow(/dynamic table/);
  expect(() => read(hex('0f 2f 00'))).toThrow(/dynamic table/);
  expect(() => read(hex('3f e1 1f'))).toThrow(/enlarges/);
  const whole = literal('grpc-status', '0');
  expect(() => read(whole.subarray(0, whole.length - 1))).toThrow(/middle of a field/);
});
