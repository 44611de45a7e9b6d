// HPACK (RFC 7541), the reading half: one decoder a connection, since each block builds on the table that those before it
// left. What a field means for a request is found out when the field is first read, and kept with it in the table: to a
// client that repeats itself a call's headers cost a few look-ups.
import { huffmanDecode } from './huffman.ts';
import { DEFAULT_TABLE_BYTES, ENTRY_OVERHEAD_BYTES, STATIC_TABLE, STATIC_TABLE_ENTRIES } from './static-table.ts';

/** What a field is to a request. */
export const FieldKind = {
  regular: 0,
  method: 1,
  scheme: 2,
  path: 3,
  authority: 4,
  contentLength: 5,
  /** What HTTP/2 forbids in a request (RFC 9113, 8.2 and 8.3). */
  forbidden: 6,
} as const;

const PSEUDO_KINDS: Readonly<Record<string, number>> = {
  ':method': FieldKind.method,
  ':scheme': FieldKind.scheme,
  ':path': FieldKind.path,
  ':authority': FieldKind.authority,
};
const CONNECTION_SPECIFIC = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const FORBIDDEN_IN_VALUES = /[\0\r\n]|^[ \t]|[ \t]$/;
const DIGITS = /^\d{1,15}$/;

/** One header field; it may be in many requests. */
export class Field {
  readonly name: string;
  readonly value: string;
  /** Its size in the sense of HPACK and of SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly bytes: number;
  readonly kind: number;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.kind = kindOf(name, value);
  }
}

function kindOf(name: string, value: string): number {
  if (FORBIDDEN_IN_VALUES.test(value)) return FieldKind.forbidden;
  if (name.startsWith(':')) return PSEUDO_KINDS[name] ?? FieldKind.forbidden;
  if (!NAME.test(name) || CONNECTION_SPECIFIC.has(name)) return FieldKind.forbidden;
  if (name === 'te') return value === 'trailers' ? FieldKind.regular : FieldKind.forbidden;
  if (name === 'content-length') return DIGITS.test(value) ? FieldKind.contentLength : FieldKind.forbidden;
  return FieldKind.regular;
}

const STATIC_FIELDS = STATIC_TABLE.map(([name, value]) => new Field(name, value));

// Every peer may use a table of the default size unless we say otherwise, and we don't.
/** A power of two: no more entries fit into the table. */
const RING = DEFAULT_TABLE_BYTES / ENTRY_OVERHEAD_BYTES;
/** Blocks of at most so many bytes are compared with the one before. */
const REPEATED_BYTES = 128;

/** A block that is no HPACK: the connection can't go on (COMPRESSION_ERROR). */
export class HeaderError extends Error {
  override name = 'HeaderError';
}

export class HeaderDecoder {
  readonly #maxListBytes: number;
  readonly #ring: (Field | undefined)[] = Array(RING).fill(undefined);
  /** Place of the newest entry. */
  #newest = 0;
  #entries = 0;
  #tableBytes = 0;
  #tableLimit = DEFAULT_TABLE_BYTES;

  #at = 0;
  readonly #lastBlock = new Uint8Array(REPEATED_BYTES);
  #lastBytes = 0;
  #lastFields: readonly Field[] | undefined;

  /** @param maxListBytes the largest set of fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts it, that is kept */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /**
   * The fields of the block in bytes[start, end): the very same array where the block says the same as the one before.
   * Undefined where they are too many; the table is in order even then.
   * @throws HeaderError
   */
  decode(bytes: Buffer, start: number, end: number): readonly Field[] | undefined {
    if (this.#repeats(bytes, start, end)) return this.#lastFields;
    this.#lastFields = undefined;
    let touched = false;
    const fields: Field[] = [];
    let listBytes = 0;
    this.#at = start;
    while (this.#at < end) {
      const first = bytes[this.#at] as number;
      let field: Field;
      if (first >= 0x80) {
        field = this.#entry(this.#readInteger(bytes, end, 0x7f));
      } else if (first >= 0x40) {
        field = this.#readLiteral(bytes, end, 0x3f);
        this.#insert(field);
        touched = true;
      } else if (first >= 0x20) {
        if (listBytes > 0) throw new HeaderError('a change of the table size inside a header block');
        this.#resize(this.#readInteger(bytes, end, 0x1f));
        touched = true;
        continue;
      } else {
        field = this.#readLiteral(bytes, end, 0x0f);
      }
      listBytes += field.bytes;
      if (listBytes <= this.#maxListBytes) fields.push(field);
    }
    if (listBytes > this.#maxListBytes) return undefined;
    if (!touched) this.#remember(bytes, start, end, fields);
    return fields;
  }

  #repeats(bytes: Buffer, start: number, end: number): boolean {
    if (this.#lastFields === undefined || this.#lastBytes !== end - start) return false;
    const block = this.#lastBlock;
    for (let at = 0; at < this.#lastBytes; at++) if (block[at] !== bytes[start + at]) return false;
    return true;
  }

  #remember(bytes: Buffer, start: number, end: number, fields: readonly Field[]): void {
    if (end - start > REPEATED_BYTES) return;
    for (let at = start; at < end; at++) this.#lastBlock[at - start] = bytes[at] as number;
    this.#lastBytes = end - start;
    this.#lastFields = fields;
  }

  #entry(index: number): Field {
    if (index >= 1 && index <= STATIC_TABLE_ENTRIES) return STATIC_FIELDS[index - 1] as Field;
    const age = index - STATIC_TABLE_ENTRIES - 1;
    if (age < 0 || age >= this.#entries) throw new HeaderError(`no entry ${index} in the header table`);
    return this.#ring[(this.#newest - age) & (RING - 1)] as Field;
  }

  #insert(field: Field): void {
    this.#shrinkTo(this.#tableLimit - field.bytes);
    // One that is larger than the table empties it, and that is all.
    if (field.bytes > this.#tableLimit) return;
    this.#newest = (this.#newest + 1) & (RING - 1);
    this.#ring[this.#newest] = field;
    this.#entries++;
    this.#tableBytes += field.bytes;
  }

  #resize(limit: number): void {
    if (limit > DEFAULT_TABLE_BYTES)
      throw new HeaderError(`a table size of ${limit}, though our limit is ${DEFAULT_TABLE_BYTES}`);
    this.#tableLimit = limit;
    this.#shrinkTo(limit);
  }

  #shrinkTo(limit: number): void {
    while (this.#entries > 0 && this.#tableBytes > limit) {
      const oldest = (this.#newest - this.#entries + 1) & (RING - 1);
      this.#tableBytes -= (this.#ring[oldest] as Field).bytes;
      this.#ring[oldest] = undefined;
      this.#entries--;
    }
  }

  #readLiteral(bytes: Buffer, end: number, mask: number): Field {
    const nameIndex = this.#readInteger(bytes, end, mask);
    const name = nameIndex === 0 ? this.#readString(bytes, end) : this.#entry(nameIndex).name;
    return new Field(name, this.#readString(bytes, end));
  }

  #readString(bytes: Buffer, end: number): string {
    if (this.#at >= end) throw new HeaderError('a header block that ends within a field');
    const huffman = (bytes[this.#at] as number) >= 0x80;
    const length = this.#readInteger(bytes, end, 0x7f);
    const start = this.#at;
    if (length > end - start) throw new HeaderError('a header block that ends within a field');
    this.#at = start + length;
    if (!huffman) return bytes.toString('latin1', start, this.#at);
    const text = huffmanDecode(bytes, start, this.#at);
    if (text === undefined) throw new HeaderError("a text that is not in HPACK's Huffman code");
    return text;
  }

  #readInteger(bytes: Buffer, end: number, mask: number): number {
    let value = (bytes[this.#at++] as number) & mask;
    if (value !== mask) return value;
    for (let shift = 0; shift <= 21 && this.#at < end; shift += 7) {
      const byte = bytes[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HeaderError('a number that is too long or cut short');
  }
}
