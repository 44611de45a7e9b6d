import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOf, putBytesOf, textOf } from '../../../src/grpc/byte-strings.ts';

const piece = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => new Uint8Array(Buffer.from(text, 'utf8'))),
  // What the escapes themselves are made of, whole and cut short.
  fc
    .tuple(fc.integer({ min: 0x10fe00, max: 0x10ffff }), fc.nat({ max: 4 }))
    .map(([code, length]) => new Uint8Array(Buffer.from(String.fromCodePoint(code)).subarray(0, length))),
);

test('any bytes come back, by way of a text without NUL that is well-formed', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const bytes = Buffer.concat(pieces);
      const text = textOf(bytes);
      expect(text.isWellFormed()).toBe(true);
      expect(text).not.toContain('\0');
      expect(Buffer.from(bytesOf(text))).toEqual(bytes);
      const target = Buffer.alloc(7 + Buffer.byteLength(text), 0xf4);
      const end = putBytesOf(text, target, 7);
      expect(target.subarray(7, end)).toEqual(bytes);
      expect(target.subarray(0, 7)).toEqual(Buffer.alloc(7, 0xf4));
    }),
    { numRuns: 2000 },
  );
});

test('texts are what they are', () => {
  for (const text of ['', 'plain', 'ä€😀', '\u{10fe00}']) {
    expect(textOf(Buffer.from(text))).toBe(text);
    expect(Buffer.from(bytesOf(text)).toString()).toBe(text);
  }
});
