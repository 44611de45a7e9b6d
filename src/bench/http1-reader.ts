// Cuts the bytes of an HTTP/1.1 server into answers: the status, how long the body is, whether the connection goes on. All
// other headers are skipped, and nothing is allocated an answer.

export class Http1Error extends Error {
  override name = 'Http1Error';
}

/** What the reader tells of the answers. */
export interface AnswerHandler {
  /** Bytes [start, end) of a body, valid during the call only. */
  body(status: number, bytes: Buffer, start: number, end: number): void;
  /** An answer is whole. */
  answered(status: number, bodyBytes: number, keepAlive: boolean): void;
}

/** What the next bytes are. Up to the body they come in lines. */
const Part = {
  statusLine: 0,
  header: 1,
  chunkSize: 2,
  chunkEnd: 3,
  trailer: 4,
  body: 5,
  chunk: 6,
  bodyUntilClose: 7,
} as const;

const MAX_LINE_BYTES = 16 * 1024;
const SHOWN_BYTES = 40;
const UNKNOWN_LENGTH = -1;

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
/** Set in lower-case letters; digits and punctuation that headers are made of have it anyhow. */
const LOWER_CASE = 0x20;

const HTTP_1 = Buffer.from('HTTP/1.');
const CONTENT_LENGTH = Buffer.from('content-length');
const TRANSFER_ENCODING = Buffer.from('transfer-encoding');
const CONNECTION = Buffer.from('connection');
const CHUNKED = Buffer.from('chunked');
const CLOSE = Buffer.from('close');
const KEEP_ALIVE = Buffer.from('keep-alive');

/** Reads the answers of one connection, one after the other. */
export class AnswerReader {
  readonly #handler: AnswerHandler;
  readonly #line = Buffer.allocUnsafeSlow(MAX_LINE_BYTES);
  #lineBytes = 0;
  #part: number = Part.statusLine;
  #status = 0;
  #keepAlive = true;
  #chunked = false;
  #contentBytes = UNKNOWN_LENGTH;
  /** Of the body, or of its chunk. */
  #missingBytes = 0;
  #bodyBytes = 0;

  constructor(handler: AnswerHandler) {
    this.#handler = handler;
  }

  /** Reads chunk[0, length). @throws Http1Error for what is no HTTP/1.1 */
  read(chunk: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      at = this.#part < Part.body ? this.#readLine(chunk, at, length) : this.#readBody(chunk, at, length);
    }
  }

  /** The peer has closed the connection: an answer without a length ends by that. */
  close(): void {
    if (this.#part === Part.bodyUntilClose) this.#finish();
  }

  #readLine(chunk: Buffer, at: number, length: number): number {
    const line = this.#line;
    while (at < length) {
      const byte = chunk[at++] as number;
      if (byte === LF) {
        let end = this.#lineBytes;
        if (end > 0 && line[end - 1] === CR) end--;
        this.#lineBytes = 0;
        this.#onLine(end);
        return at;
      }
      if (this.#lineBytes === MAX_LINE_BYTES) throw new Http1Error(`a header of more than ${MAX_LINE_BYTES} bytes`);
      line[this.#lineBytes++] = byte;
    }
    return at;
  }

  #readBody(chunk: Buffer, at: number, length: number): number {
    const untilClose = this.#part === Part.bodyUntilClose;
    const end = untilClose ? length : Math.min(length, at + this.#missingBytes);
    this.#bodyBytes += end - at;
    this.#handler.body(this.#status, chunk, at, end);
    if (untilClose) return end;
    this.#missingBytes -= end - at;
    if (this.#missingBytes === 0) {
      if (this.#part === Part.chunk) this.#part = Part.chunkEnd;
      else this.#finish();
    }
    return end;
  }

  /** Takes the line in #line[0, end). */
  #onLine(end: number): void {
    switch (this.#part) {
      case Part.statusLine:
        this.#onStatusLine(end);
        return;
      case Part.header:
        if (end === 0) this.#onHead();
        else this.#onHeader(end);
        return;
      case Part.chunkSize:
        this.#missingBytes = this.#hexadecimal(end);
        this.#part = this.#missingBytes === 0 ? Part.trailer : Part.chunk;
        return;
      case Part.chunkEnd:
        if (end > 0) throw new Http1Error('a chunk that is longer than it says');
        this.#part = Part.chunkSize;
        return;
      default:
        if (end === 0) this.#finish();
    }
  }

  #onStatusLine(end: number): void {
    const line = this.#line;
    const status =
      100 * ((line[9] as number) - 0x30) + 10 * ((line[10] as number) - 0x30) + ((line[11] as number) - 0x30);
    if (
      end < 12 ||
      line.compare(HTTP_1, 0, HTTP_1.length, 0, HTTP_1.length) !== 0 ||
      !(status >= 100 && status < 600)
    ) {
      throw new Http1Error(`no HTTP/1.1: ${JSON.stringify(line.toString('latin1', 0, Math.min(end, SHOWN_BYTES)))}`);
    }
    this.#status = status;
    this.#keepAlive = line[HTTP_1.length] !== 0x30;
    this.#chunked = false;
    this.#contentBytes = UNKNOWN_LENGTH;
    this.#bodyBytes = 0;
    this.#part = Part.header;
  }

  #onHeader(end: number): void {
    if (this.#isNamed(CONTENT_LENGTH, end)) {
      this.#contentBytes = this.#decimal(CONTENT_LENGTH.length + 1, end);
    } else if (this.#isNamed(TRANSFER_ENCODING, end)) {
      this.#chunked = this.#has(CHUNKED, TRANSFER_ENCODING.length + 1, end);
    } else if (this.#isNamed(CONNECTION, end)) {
      if (this.#has(CLOSE, CONNECTION.length + 1, end)) this.#keepAlive = false;
      else if (this.#has(KEEP_ALIVE, CONNECTION.length + 1, end)) this.#keepAlive = true;
    }
  }

  /** The empty line after the headers. */
  #onHead(): void {
    const status = this.#status;
    if (status < 200) {
      // An informational answer comes before the real one.
      this.#part = Part.statusLine;
    } else if (status === 204 || status === 304) {
      this.#finish();
    } else if (this.#chunked) {
      this.#part = Part.chunkSize;
    } else if (this.#contentBytes === UNKNOWN_LENGTH) {
      this.#keepAlive = false;
      this.#part = Part.bodyUntilClose;
    } else if (this.#contentBytes === 0) {
      this.#finish();
    } else {
      this.#missingBytes = this.#contentBytes;
      this.#part = Part.body;
    }
  }

  #finish(): void {
    this.#part = Part.statusLine;
    this.#handler.answered(this.#status, this.#bodyBytes, this.#keepAlive);
  }

  #isNamed(name: Buffer, end: number): boolean {
    return end > name.length && this.#line[name.length] === COLON && this.#isAt(name, 0);
  }

  /** Whether the word lies somewhere in #line[start, end). */
  #has(word: Buffer, start: number, end: number): boolean {
    for (let at = start; at + word.length <= end; at++) if (this.#isAt(word, at)) return true;
    return false;
  }

  /** Whether the word, in lower case, lies in the line at this place, in whatever case. */
  #isAt(word: Buffer, at: number): boolean {
    for (let index = 0; index < word.length; index++) {
      if (((this.#line[at + index] as number) | LOWER_CASE) !== word[index]) return false;
    }
    return true;
  }

  #decimal(start: number, end: number): number {
    const line = this.#line;
    let at = start;
    while (at < end && (line[at] === SPACE || line[at] === TAB)) at++;
    let value = at < end ? 0 : Number.NaN;
    for (; at < end && line[at] !== SPACE && line[at] !== TAB; at++) value = 10 * value + digit(line[at] as number, 10);
    if (!Number.isSafeInteger(value)) throw new Http1Error('a content-length that is no number');
    return value;
  }

  /** The number that begins the line; what follows it is an extension. */
  #hexadecimal(end: number): number {
    const line = this.#line;
    let value = end > 0 ? 0 : Number.NaN;
    for (let at = 0; at < end && line[at] !== 0x3b && line[at] !== SPACE; at++) {
      value = 16 * value + digit(line[at] as number, 16);
    }
    if (!Number.isSafeInteger(value)) throw new Http1Error("a chunk's size that is no number");
    return value;
  }
}

/** NaN for what is no digit. */
function digit(byte: number, base: 10 | 16): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = (byte | LOWER_CASE) - 0x61;
  return base === 16 && letter >= 0 && letter < 6 ? letter + 10 : Number.NaN;
}
