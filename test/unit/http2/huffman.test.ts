import { expect, test } from 'vitest';
import { huffmanDecode, huffmanEncode } from '../../../src/http2/huffman.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test.each([
  // RFC 7541, C.4 and C.6
  ['www.example.com', 'f1e3 c2e5 f23a 6ba0 ab90 f4ff'],
  ['no-cache', 'a8eb 1064 9cbf'],
  ['custom-value', '25a8 49e9 5bb8 e8b4 bf'],
  ['302', '6402'],
  ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff'],
])('%s', (text, bytes) => {
  expect(huffmanEncode(text)).toEqual(hex(bytes));
  expect(huffmanDecode(hex(bytes), 0, hex(bytes).length)).toBe(text);
});

test('every printable ASCII character survives', () => {
  const text = Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index)).join('');
  const bytes = huffmanEncode(text);
  expect(huffmanDecode(bytes, 0, bytes.length)).toBe(text);
});

test('reads from the middle of a buffer', () => {
  const bytes = huffmanEncode('13');
  expect(huffmanDecode(Uint8Array.from([0xaa, ...bytes, 0xbb]), 1, 1 + bytes.length)).toBe('13');
});

test('every byte survives', () => {
  const text = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');
  const bytes = huffmanEncode(text);
  expect(huffmanDecode(bytes, 0, bytes.length)).toBe(text);
});

test.each([
  ['the end symbol', 'ffff ffff'],
  ['a padding of more than seven bits', 'a8eb 1064 9cbf ff'],
  ['a padding that is not all ones', '0b3e'],
])('%s: no text', (_, bytes) => {
  expect(huffmanDecode(hex(bytes), 0, hex(bytes).length)).toBeUndefined();
});

test('refuses to encode other characters', () => {
  expect(() => huffmanEncode('€')).toThrow(RangeError);
});
