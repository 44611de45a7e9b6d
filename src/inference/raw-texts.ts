// Texts as tensors have them on the wire: each its length in four bytes, the lowest first, and then its bytes, whatever those are.
import { putBytesOf, textOf } from '../grpc/byte-strings.ts';
import type { Sliced } from '../grpc/slices.ts';
import { elementText } from './known-texts.ts';

const LENGTH_BYTES = 4;
/** Longer texts are read in pieces. */
const PIECE_BYTES = 4096;
const STEP_TEXTS = 128;

/** Why bytes are not the texts of a tensor of so many elements. */
export type TextsProblem =
  | { kind: 'count'; found: number }
  | { kind: 'more'; found: number }
  | { kind: 'length'; available: number }
  | { kind: 'data'; expected: number; available: number };

/** The `count` texts that bytes [from, to) are, or what is wrong with them. */
export function* rawTexts(
  bytes: Uint8Array,
  from: number,
  to: number,
  count: number,
): Sliced<readonly string[] | TextsProblem> {
  const texts: string[] = [];
  let at = from;
  while (at < to) {
    const available = to - at;
    if (available < LENGTH_BYTES) return { kind: 'length', available };
    if (texts.length === count) return { kind: 'more', found: count + 1 };
    const length = lengthAt(bytes, at);
    at += LENGTH_BYTES;
    if (length > to - at) return { kind: 'data', expected: length, available: to - at };
    texts.push(length > PIECE_BYTES ? yield* longText(bytes, at, at + length) : elementText(bytes, at, at + length));
    at += length;
    if (texts.length % STEP_TEXTS === 0) yield;
  }
  return texts.length === count ? texts : { kind: 'count', found: texts.length };
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const lower = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return lower + (bytes[at + 3] as number) * 0x1000000;
}

/** One long text. */
export function* longText(bytes: Uint8Array, from: number, to: number): Sliced<string> {
  const pieces: string[] = [];
  for (let at = from; at < to; ) {
    let end = Math.min(to, at + PIECE_BYTES);
    // Not within a character, where these are characters.
    for (let back = 0; end < to && back < 3 && ((bytes[end] as number) & 0xc0) === 0x80; back++) end--;
    pieces.push(textOf(bytes.subarray(at, end)));
    at = end;
    if (at < to) yield;
  }
  return pieces.join('');
}

/** Puts the bytes of one long text in their place; returns the place behind them. */
function* putLong(text: string, target: Buffer, start: number): Sliced<number> {
  let at = start;
  for (let from = 0; from < text.length; ) {
    let end = Math.min(text.length, from + PIECE_BYTES);
    // Not within a pair.
    if (end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00) end++;
    at = putBytesOf(text.slice(from, end), target, at);
    from = end;
    yield;
  }
  return at;
}

/** As `rawTexts` takes them, behind each other. Nothing is made for each of them: there may be millions. */
export function* packedTexts(texts: readonly string[]): Sliced<Uint8Array> {
  let most = 0;
  for (let index = 0; index < texts.length; index++) {
    most += LENGTH_BYTES + Buffer.byteLength(texts[index] as string);
    if (index % STEP_TEXTS === STEP_TEXTS - 1) yield;
  }
  const packed = Buffer.allocUnsafe(most);
  let at = 0;
  for (let index = 0; index < texts.length; index++) {
    const text = texts[index] as string;
    const start = at + LENGTH_BYTES;
    const end = text.length > PIECE_BYTES ? yield* putLong(text, packed, start) : putBytesOf(text, packed, start);
    packed.writeUInt32LE(end - start, at);
    at = end;
    if (index % STEP_TEXTS === STEP_TEXTS - 1) yield;
  }
  return packed.subarray(0, at);
}
