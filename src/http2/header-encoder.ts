// HPACK (RFC 7541), the writing half: sets of header fields that are encoded once and sent many times. None is compressed by
// Huffman's code, which would cost more time than the bytes do.
import { ENTRY_OVERHEAD_BYTES, STATIC_TABLE_ENTRIES, staticIndexOfField, staticIndexOfName } from './static-table.ts';

export type HeaderField = readonly [name: string, value: string];

/** One set of header fields in the three forms that a connection may need. */
export interface HeaderBlocks {
  /** Stands alone: nothing from or for the dynamic table. */
  literal: Uint8Array;
  /** For the first use on a connection: leaves its fields in the peer's dynamic table. */
  opening: Uint8Array;
  /** For every later use: indices of what `opening` left there. */
  indexed: Uint8Array;
  /** The size that the peer's dynamic table must have for `opening` and `indexed`. */
  tableBytes: number;
  /** How many fields `opening` leaves there. */
  tableEntries: number;
}

/**
 * Encodes the fields in their order; names in lower case, pseudo-headers first, values of one byte a character.
 * @param laterEntries entries that go into the table after those of `opening`, and push theirs back
 */
export function encodeHeaderBlocks(fields: readonly HeaderField[], laterEntries = 0): HeaderBlocks {
  const literal: number[] = [];
  const opening: number[] = [];
  const indexed: number[] = [];
  const inTable = fields.filter(([name, value]) => staticIndexOfField(name, value) === 0);
  let tableBytes = 0;
  for (const field of fields) {
    const [name, value] = field;
    const whole = staticIndexOfField(name, value);
    if (whole !== 0) {
      for (const block of [literal, opening, indexed]) writeInteger(block, 0x80, 7, whole);
      continue;
    }
    writeLiteral(literal, 0x00, 4, name, value);
    writeLiteral(opening, 0x40, 6, name, value);
    // The newest entry of the dynamic table has the lowest index.
    const age = laterEntries + inTable.length - inTable.indexOf(field);
    writeInteger(indexed, 0x80, 7, STATIC_TABLE_ENTRIES + age);
    tableBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
  }
  return {
    literal: Uint8Array.from(literal),
    opening: Uint8Array.from(opening),
    indexed: Uint8Array.from(indexed),
    tableBytes,
    tableEntries: inTable.length,
  };
}

/** A block that stands alone, as `encodeHeaderBlocks` has it. */
export function encodeHeaders(fields: readonly HeaderField[]): Uint8Array {
  const block: number[] = [];
  for (const [name, value] of fields) {
    const whole = staticIndexOfField(name, value);
    if (whole !== 0) writeInteger(block, 0x80, 7, whole);
    else writeLiteral(block, 0x00, 4, name, value);
  }
  return Uint8Array.from(block);
}

function writeLiteral(out: number[], pattern: number, prefixBits: number, name: string, value: string): void {
  const nameIndex = staticIndexOfName(name);
  writeInteger(out, pattern, prefixBits, nameIndex);
  if (nameIndex === 0) writeString(out, name);
  writeString(out, value);
}

function writeString(out: number[], text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  writeInteger(out, 0x00, 7, bytes.length);
  for (const byte of bytes) out.push(byte);
}

function writeInteger(out: number[], pattern: number, prefixBits: number, value: number): void {
  const limit = (1 << prefixBits) - 1;
  if (value < limit) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | limit);
  let rest = value - limit;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}
