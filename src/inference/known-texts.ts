// Names of models and tensors, which are the same in request after request: to find a text again is quicker than to make it.
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
  if (seen >= 0x80) return newText(bytes, from, to);
  const slot = (hash ^ (hash >>> 15)) & (KNOWN - 1);
  const known = texts[slot] as string;
  if (known.length === length && same(known, bytes, from)) return known;
  const text = newText(bytes, from, to);
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
