// Protobuf's text format, read without a schema: what `.pbtxt` files are written in
// (protobuf.dev/reference/protobuf/textformat-spec).

/** Where a value stands, both from 1. */
type Place = { line: number; column: number };

export type TextMessage = Place & {
  kind: 'message';
  /** By name, as often as it stands there; lists are spread. Names of extensions keep their brackets. */
  fields: ReadonlyMap<string, readonly TextValue[]>;
};

/** As it is written: what it means is up to the field's type. */
type Scalar =
  | { kind: 'text'; value: string }
  | { kind: 'integer'; value: bigint }
  | { kind: 'float'; value: number }
  /** Names of enums, `true`, `inf`; with a minus where there is one. */
  | { kind: 'word'; value: string };

export type TextValue = TextMessage | (Place & Scalar);

/** Text that breaks the format's rules. The message says what was expected and what was found. */
export class TextFormatError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(message: string, { line, column }: Place) {
    super(message);
    this.line = line;
    this.column = column;
  }
}

/** @throws TextFormatError */
export function parseTextFormat(text: string): TextMessage {
  return new Parser(text).document();
}

/** Messages inside of each other; more is nobody's config and would exhaust the stack. */
const MOST_DEPTH = 100;

const BRACKETS = [
  ['{', '}'],
  ['<', '>'],
] as const;

const BLANK = /(?:[ \t\r\n\f\v]|#[^\n]*)*/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const TYPE_NAME = /[A-Za-z0-9_.\-/%~]+/y;
const FLOAT = /(?:\d+\.\d*|\.\d+|\d+(?=[eEfF]))(?:[eE][+-]?\d+)?[fF]?/y;
const INTEGER = /0[xX][0-9a-fA-F]+|0[0-7]+|[1-9]\d*|0/y;
const PLAIN = /[^"'\\\n]+/y;
const ESCAPE = /\\(?:([abfnrtv?\\'"])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/y;
const ESCAPED: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Parser {
  readonly #text: string;
  #at = 0;
  /** The line of the place asked for last, and where it begins. */
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    // Some editors begin a file with a byte-order mark.
    this.#text = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text;
    this.#blank();
  }

  document(): TextMessage {
    return { kind: 'message', line: 1, column: 1, fields: this.#fields('', 0) };
  }

  /** Up to `end` (the closing bracket, or '' for the end of the text) and past it. */
  #fields(end: string, depth: number): Map<string, TextValue[]> {
    const fields = new Map<string, TextValue[]>();
    for (;;) {
      if (this.#at === this.#text.length) {
        if (end === '') return fields;
        throw this.#expected(`a field or "${end}"`);
      }
      if (end !== '' && this.#takes(end)) return fields;
      const name = this.#name(end);
      const values = fields.get(name) ?? [];
      fields.set(name, values);
      this.#values(values, depth);
      if (!this.#takes(',')) this.#takes(';');
    }
  }

  #name(end: string): string {
    const name = this.#match(WORD);
    if (name !== undefined) return name;
    if (!this.#takes('[')) throw this.#expected(end === '' ? "a field's name" : `a field's name or "${end}"`);
    const type = this.#match(TYPE_NAME);
    if (type === undefined) throw this.#expected('the name of an extension or type');
    this.#needs(']');
    return `[${type}]`;
  }

  #values(into: TextValue[], depth: number): void {
    const colon = this.#takes(':');
    if (!this.#takes('[')) {
      into.push(this.#value(colon, depth));
      return;
    }
    if (this.#takes(']')) return;
    do into.push(this.#value(colon, depth));
    while (this.#takes(','));
    this.#needs(']');
  }

  #value(scalar: boolean, depth: number): TextValue {
    const place = this.#place();
    for (const [open, close] of BRACKETS) {
      if (!this.#takes(open)) continue;
      if (depth === MOST_DEPTH) throw new TextFormatError(`more than ${MOST_DEPTH} messages inside each other`, place);
      return { kind: 'message', ...place, fields: this.#fields(close, depth + 1) };
    }
    if (!scalar) throw this.#expected('":", "{" or "<"');
    return { ...place, ...this.#scalar() };
  }

  #scalar(): Scalar {
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return { kind: 'text', value: this.#strings() };
    const minus = this.#takes('-');
    const float = this.#match(FLOAT);
    if (float !== undefined) {
      this.#ended('number');
      const value = Number(float.replace(/[fF]$/, ''));
      return { kind: 'float', value: minus ? -value : value };
    }
    const integer = this.#match(INTEGER);
    if (integer !== undefined) {
      this.#ended('number');
      const value = BigInt(/^0[0-7]/.test(integer) ? `0o${integer.slice(1)}` : integer);
      return { kind: 'integer', value: minus ? -value : value };
    }
    const word = this.#match(WORD);
    if (word === undefined) throw this.#expected('a value');
    return { kind: 'word', value: minus ? `-${word}` : word };
  }

  /** Strings that stand side by side are one. Escapes give bytes, which together must be UTF-8. */
  #strings(): string {
    const place = this.#place();
    const bytes: Uint8Array[] = [];
    for (let quote = this.#text[this.#at]; quote === '"' || quote === "'"; quote = this.#text[this.#at]) {
      this.#string(quote, bytes);
    }
    try {
      return decoder.decode(Buffer.concat(bytes));
    } catch {
      throw new TextFormatError('expected UTF-8, found other bytes in the text', place);
    }
  }

  #string(quote: string, bytes: Uint8Array[]): void {
    const place = this.#place();
    this.#at++;
    for (;;) {
      const next = this.#text[this.#at];
      if (next === quote) break;
      if (next === '"' || next === "'") {
        bytes.push(Buffer.from(next));
        this.#at++;
        continue;
      }
      if (next === '\\') {
        bytes.push(this.#escape());
        continue;
      }
      const plain = this.#raw(PLAIN);
      if (plain === undefined) throw new TextFormatError(`expected ${quote} at the end of a text in its line`, place);
      bytes.push(Buffer.from(plain[0]));
    }
    this.#at++;
    this.#blank();
  }

  #escape(): Uint8Array {
    const place = this.#place();
    const found = this.#raw(ESCAPE);
    if (found === undefined) {
      throw new TextFormatError(
        `expected an escape, found ${JSON.stringify(this.#text.slice(this.#at, this.#at + 2))}`,
        place,
      );
    }
    const [, letter, octal, hex, short, long] = found;
    if (letter !== undefined) return Uint8Array.of(ESCAPED[letter] ?? letter.charCodeAt(0));
    const byte = octal === undefined ? hex && Number.parseInt(hex, 16) : Number.parseInt(octal, 8);
    if (typeof byte === 'number' && byte <= 0xff) return Uint8Array.of(byte);
    let point = Number.parseInt(short ?? long ?? '', 16);
    if (point >= 0xd800 && point < 0xdc00) point = this.#surrogate(point);
    // What is left of surrogates, too large, or an octal number above a byte.
    if (!(point <= 0x10ffff) || (point >= 0xd800 && point < 0xe000)) {
      throw new TextFormatError(`expected a character or byte, found ${found[0]}`, place);
    }
    return Buffer.from(String.fromCodePoint(point));
  }

  /** The character of a pair of surrogates, of which the first has been read; that one alone where it is alone. */
  #surrogate(high: number): number {
    const before = this.#at;
    const low = Number.parseInt(this.#raw(ESCAPE)?.[4] ?? '', 16);
    if (low >= 0xdc00 && low < 0xe000) return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    this.#at = before;
    return high;
  }

  /** A number or word must not run into the next one. */
  #ended(what: string): void {
    const before = this.#text[this.#at - 1] ?? '';
    const next = this.#text[this.#at] ?? '';
    if (/[A-Za-z0-9_.]/.test(next) && /[A-Za-z0-9_.]/.test(before)) throw this.#expected(`the end of a ${what}`);
  }

  #takes(token: string): boolean {
    if (this.#text[this.#at] !== token) return false;
    this.#at++;
    this.#blank();
    return true;
  }

  #needs(token: string): void {
    if (!this.#takes(token)) throw this.#expected(`"${token}"`);
  }

  #match(pattern: RegExp): string | undefined {
    const found = this.#raw(pattern)?.[0];
    if (found !== undefined) this.#blank();
    return found;
  }

  #blank(): void {
    this.#raw(BLANK);
  }

  #raw(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found !== undefined) this.#at += found[0].length;
    return found;
  }

  #place(): Place {
    for (let end = this.#text.indexOf('\n', this.#lineStart); end >= 0 && end < this.#at; ) {
      this.#line++;
      this.#lineStart = end + 1;
      end = this.#text.indexOf('\n', this.#lineStart);
    }
    return { line: this.#line, column: this.#at - this.#lineStart + 1 };
  }

  #expected(what: string): TextFormatError {
    const rest = this.#text.slice(this.#at, this.#at + 20).split('\n')[0] ?? '';
    const found = this.#at === this.#text.length ? 'the end' : JSON.stringify(rest);
    return new TextFormatError(`expected ${what}, found ${found}`, this.#place());
  }
}
