// Elements of text tensors as bytes on the wire, where anything may be in them, and as texts inside, where onnxruntime's binding takes
// UTF-8 alone and cuts a text at its first NUL. What would be lost is written in private code points: U+10FF00 and the byte's value on
// top. Texts of models are as they are, unless they are of those code points themselves.
import { isUtf8 } from 'node:buffer';

/** U+10FF00 to U+10FFFF are F4 8F BC 80 to F4 8F BF BF. */
const FIRST = 0xf4;
const SECOND = 0x8f;
const THIRD_LEAST = 0xbc;

const SHORT_BYTES = 64;

/** The text that stands for these bytes. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (isUtf8(buffer) && !buffer.includes(0) && !buffer.includes(FIRST)) return buffer.toString('utf8');
  // Each byte takes four at most.
  const escaped = Buffer.allocUnsafe(4 * buffer.length);
  let end = 0;
  for (let at = 0; at < buffer.length; ) {
    const length = plainLength(buffer, at);
    if (length === 0) {
      const byte = buffer[at++] as number;
      escaped[end] = FIRST;
      escaped[end + 1] = SECOND;
      escaped[end + 2] = THIRD_LEAST | (byte >> 6);
      escaped[end + 3] = 0x80 | (byte & 0x3f);
      end += 4;
    }
    for (let left = length; left > 0; left--) escaped[end++] = buffer[at++] as number;
  }
  return escaped.toString('utf8', 0, end);
}

/** The bytes that a text stands for: those that `textOf` was given, else its UTF-8. */
export function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'utf8');
  const end = unescaped(bytes, 0, bytes.length);
  return end === bytes.length ? bytes : bytes.subarray(0, end);
}

/** Puts them at `at`, where there must be room for the text's UTF-8, which is never less; returns the place behind them. */
export function putBytesOf(text: string, target: Buffer, at: number): number {
  return unescaped(target, at, at + target.write(text, at, 'utf8'));
}

/** Turns the UTF-8 of a text in bytes[from, to) into the bytes that it stands for, in place; returns their end. */
function unescaped(bytes: Buffer, from: number, to: number): number {
  let at = firstEscape(bytes, from, to);
  let end = at;
  for (; at < to; at++) {
    if (isEscape(bytes, at)) {
      bytes[end++] = (((bytes[at + 2] as number) & 0x3) << 6) | ((bytes[at + 3] as number) & 0x3f);
      at += 3;
    } else {
      bytes[end++] = bytes[at] as number;
    }
  }
  return end;
}

/** Where there may be an escape; `to` where there is none. A loop is quicker than a call for a few bytes. */
function firstEscape(bytes: Buffer, from: number, to: number): number {
  if (to - from > SHORT_BYTES) {
    const found = bytes.subarray(from, to).indexOf(FIRST);
    return found < 0 ? to : from + found;
  }
  let at = from;
  while (at < to && bytes[at] !== FIRST) at++;
  return at;
}

function isEscape(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === FIRST && bytes[at + 1] === SECOND && (bytes[at + 2] as number) >= THIRD_LEAST;
}

/** Bytes of the character at `at` that can stand as it is; 0 where there is none. */
function plainLength(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return first === 0 ? 0 : 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const second = bytes[at + 1] ?? 0;
  if (first < 0xe0) return continues(second) ? 2 : 0;
  if (!continues(second) || !continues(bytes[at + 2] ?? 0)) return 0;
  // What would have been shorter otherwise, halves of surrogate pairs, and what is beyond the last code point are no UTF-8.
  if (first < 0xf0) return (first === 0xe0 && second < 0xa0) || (first === 0xed && second > 0x9f) ? 0 : 3;
  if ((first === 0xf0 && second < 0x90) || (first === FIRST && second > SECOND)) return 0;
  return continues(bytes[at + 3] ?? 0) && !isEscape(bytes, at) ? 4 : 0;
}

function continues(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
