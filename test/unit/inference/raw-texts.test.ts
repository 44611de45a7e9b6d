import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sliced } from '../../../src/grpc/slices.ts';
import { packedTexts, rawTexts } from '../../../src/inference/raw-texts.ts';
import { packed } from '../../support/infer-requests.ts';

function finish<T>(work: Sliced<T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => Buffer.from(text)),
  fc.constantFrom('yes', 'no', '', '0'.repeat(40)).map((text) => Buffer.from(text)),
);

describe('texts of tensors', () => {
  it('come back as the bytes that they were, whatever those are', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 300 }), (texts) => {
        const raw = Buffer.concat([Buffer.of(1, 2, 3), packed(...texts), Buffer.of(4)]);
        const read = finish(rawTexts(raw, 3, raw.length - 1, texts.length)) as readonly string[];
        expect(read).toHaveLength(texts.length);
        expect(Buffer.from(finish(packedTexts(read)))).toEqual(packed(...texts));
      }),
    );
  });

  it('of tens of thousands of bytes come back as well, with characters across the pieces that they are read in', () => {
    for (const unit of ['a', 'ä', '€', '𝄞', 'a𝄞', '\0', '\u{10ff41}']) {
      for (const shift of [0, 1, 2, 3]) {
        const text = `${'x'.repeat(shift)}${unit.repeat(20_000)}`;
        const raw = packed(text);
        const read = finish(rawTexts(raw, 0, raw.length, 1)) as readonly string[];
        if (unit !== '\0' && unit !== '\u{10ff41}') expect(read).toEqual([text]);
        expect(Buffer.from(finish(packedTexts(read))).equals(raw)).toBe(true);
      }
    }
    const binary = packed(Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7919) & 0xff)));
    const read = finish(rawTexts(binary, 0, binary.length, 1)) as readonly string[];
    expect(Buffer.from(finish(packedTexts(read))).equals(binary)).toBe(true);
  });
});
