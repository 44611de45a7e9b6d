// The texts of entities: where to look for them, what they take, and that they bring nothing else along.

/** FNV-1a, whose low bits are then mixed with the high ones. Any 32 bits. */
export function hashText(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

/** What the characters of a text take in memory. */
export function textBytes(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
}

/** Shorter ones V8 never makes as a part of another. */
const SHORT_TEXT = 12;
const scratch = Buffer.allocUnsafe(4096);

/** A copy of a text that may be a part of a much longer one, which it would keep in memory. */
export function ownText(text: string): string {
  if (text.length <= SHORT_TEXT) return text;
  const buffer = text.length * 2 <= scratch.length ? scratch : Buffer.allocUnsafe(text.length * 2);
  // Not UTF-8: it has no way to write half of a surrogate pair.
  const encoding = textBytes(text) === text.length ? 'latin1' : 'utf16le';
  return buffer.toString(encoding, 0, buffer.write(text, encoding));
}
