import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hashText, ownText, textBytes } from '../../../src/scores/entity-text.ts';

it('a copy of a text is the same text', () => {
  const text = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 60 }));
  fc.assert(
    fc.property(text, (each) => {
      expect(ownText(each)).toBe(each);
    }),
  );
  // Half of a pair, and longer than anything.
  for (const each of ['customer-\ud83d-00001', 'x'.repeat(5000), 'ж'.repeat(5000)]) expect(ownText(each)).toBe(each);
});

it('texts take one byte a character, or two', () => {
  expect(['', 'abc', 'ж', 'a€'].map(textBytes)).toEqual([0, 3, 2, 4]);
});

it('hashes are even in every few bits, even of numbers in a row, and another for another seed', () => {
  for (const shift of [0, 8, 16, 24]) {
    const counts = new Array<number>(256).fill(0);
    for (let number = 0; number < 25_600; number++) {
      const bucket = (hashText(`customer-${number}`, 12_345) >>> shift) & 255;
      counts[bucket] = (counts[bucket] as number) + 1;
    }
    // A hundred each, give or take six times the square root.
    expect(Math.min(...counts)).toBeGreaterThan(40);
    expect(Math.max(...counts)).toBeLessThan(160);
  }
  expect(hashText('a', 1)).not.toBe(hashText('a', 2));
});
