// Protobuf's parts, written in place.

/** Bytes that a length, or another whole number that is not negative, takes. */
export function lengthSize(value: number): number {
  if (value < 0x80) return 1;
  let size = 2;
  for (let rest = Math.floor(value / 0x4000); rest > 0; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Returns the place behind it. */
export function putLength(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[at] = rest;
  return at + 1;
}

/** Returns the place behind the copy. A loop is quicker than a call for a few bytes. */
export function putBytes(bytes: Uint8Array, at: number, part: Uint8Array): number {
  const { length } = part;
  if (length > 32) bytes.set(part, at);
  else for (let index = 0; index < length; index++) bytes[at + index] = part[index] as number;
  return at + length;
}

/** A field with its tag. */
export function textField(tag: number, text: string): Uint8Array {
  const length = Buffer.byteLength(text);
  const field = Buffer.allocUnsafe(1 + lengthSize(length) + length);
  field[0] = tag;
  field.write(text, putLength(field, 1, length));
  return field;
}
