// Texts as tensors have them on the wire: each its length in four bytes, the lowest first, and then its bytes, whatever those are.
import { bytesOf, textOf } from '../grpc/byte-strings.ts';
import type { Sliced } from '../grpc/slices.ts';
import { elementText } from './known-texts.ts';

const LENGTH_BYTES = 4;
/** Longer texts are read in pieces. */
const PIECE_BYTES = 4096;
const STEP_TEXTS = 128;
const STEP_BYTES = 256 * 1024;

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

/** The bytes of one long text. */
function* longBytes(text: string): Sliced<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + PIECE_BYTES);
    // Not within a pair.
    if (end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00) end++;
    parts.push(bytesOf(text.slice(at, end)));
    at = end;
    yield;
  }
  const bytes = Buffer.allocUnsafe(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const [index, part] of parts.entries()) {
    bytes.set(part, at);
    at += part.length;
    if (index % STEP_TEXTS === 0) yield;
  }
  return bytes;
}

/** As `rawTexts` takes them, behind each other. */
export function* packedTexts(texts: readonly string[]): Sliced<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let index = 0; index < texts.length; index++) {
    const text = texts[index] as string;
    const part = text.length > PIECE_BYTES ? yield* longBytes(text) : bytesOf(text);
    bytes += LENGTH_BYTES + part.length;
    parts.push(part);
    if (index % STEP_TEXTS === STEP_TEXTS - 1) yield;
  }
  const packed = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] as Uint8Array;
    packed.writeUInt32LE(part.length, at);
    at += LENGTH_BYTES;
    for (let from = 0; from < part.length; from += STEP_BYTES) {
      if (from > 0) yield;
      packed.set(part.subarray(from, from + STEP_BYTES), at + from);
    }
    at += part.length;
    if (index % STEP_TEXTS === STEP_TEXTS - 1) yield;
  }
  return packed;
}
