// Names of models and tensors, and categories, which come again and again: to find a text again is quicker than to make it.
import { textOf } from '../grpc/byte-strings.ts';
import { WireCursor } from '../grpc/wire-cursor.ts';

const KNOWN = 1024;
/** Longer ones are made anew. */
const MAX_KNOWN_BYTES = 40;

const texts: string[] = new Array<string>(KNOWN).fill('');

/** The text that bytes [from, to) are. @throws NotWellFormed for what is no UTF-8 */
export function knownText(bytes: Uint8Array, from: number, to: number): string {
  const length = to - from;
  if (length === 0) return '';
  if (length > MAX_KNOWN_BYTES) return newText(bytes, from, to);
  let hash = length;
  let seen = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    seen |= byte;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return seen < 0x80 ? plainText(bytes, from, to, hash) : newText(bytes, from, to);
}

/** An element of a tensor: any bytes. */
export function elementText(bytes: Uint8Array, from: number, to: number): string {
  if (to - from > MAX_KNOWN_BYTES) return textOf(bytes.subarray(from, to));
  let hash = to - from;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte === 0 || byte >= 0x80) return textOf(bytes.subarray(from, to));
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return to === from ? '' : plainText(bytes, from, to, hash);
}

function plainText(bytes: Uint8Array, from: number, to: number, hash: number): string {
  const slot = (hash ^ (hash >>> 15)) & (KNOWN - 1);
  const known = texts[slot] as string;
  if (known.length === to - from && same(known, bytes, from)) return known;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
  texts[slot] = text;
  return text;
}

function same(text: string, bytes: Uint8Array, from: number): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[from + index]) return false;
  }
  return true;
}

/** @throws NotWellFormed */
export function newText(bytes: Uint8Array, from: number, to: number): string {
  new WireCursor(bytes, from).text(to);
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}
