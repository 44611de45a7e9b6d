// One unary call on its HTTP/2 stream. grpc-js's own way to serve these makes a Writable, several closures and three copies
// of the headers for each call, and this is the path that every score takes; streams, connections, TLS and keepalive
// stay grpc-js's. What the answers to broken requests are is fixed by gRPC's specification:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { gunzip, inflate } from 'node:zlib';
import { type Metadata, status as Status } from '@grpc/grpc-js';

/** What a method does with a request. */
export type UnaryMethod = {
  /** As in `/scorewire.v1.ScoringService/Score`. */
  path: string;
  /** Called once a call, with a whole message, unless the call ended before; answers or refuses it, then or later. */
  onMessage: (call: UnaryCall, message: Buffer) => void;
};

export type RefusedStatus = { code: Status; details: string; metadata?: Metadata };

const PREFIX_BYTES = 5;
/** Pieces of a message that are kept apart: more of them are merged, since each is an object of some 100 bytes. */
const MAX_PIECES = 64;
/** Characters of a header that come back in an error: trailers that are too large are none. */
const MAX_SHOWN = 100;
/** Longer ones than a timer can hold (24 days) are left to whoever reads `deadlineMs`. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const RESPONSE_HEADERS: OutgoingHttpHeaders = {
  ':status': 200,
  'content-type': 'application/grpc+proto',
  'grpc-accept-encoding': 'identity,deflate,gzip',
};
const RESPONSE_OPTIONS = { waitForTrailers: true, sendDate: false };
const TRAILERS_ONLY = { endStream: true, sendDate: false };
const OK_TRAILERS: OutgoingHttpHeaders = { 'grpc-status': '0' };

const CALL = Symbol('call');
type Stream = ServerHttp2Stream & { [CALL]: UnaryCall };

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Record<string, number> = { H: 3.6e6, M: 6e4, S: 1e3, m: 1, u: 1e-3, n: 1e-6 };

export class UnaryCall {
  /** When the call began, `performance.now()` milliseconds. */
  readonly startedMs = performance.now();
  /** When the caller gives up, on the same clock; Infinity where it doesn't say. */
  readonly deadlineMs: number;
  readonly headers: IncomingHttpHeaders;
  readonly #stream: ServerHttp2Stream;
  readonly #method: UnaryMethod;
  readonly #maxMessageBytes: number;
  readonly #timer: NodeJS.Timeout | undefined;
  /** The request so far; the first of them holds the prefix, as soon as that is there. */
  #chunks: Buffer[] = [];
  #size = 0;
  #ended = false;
  #settled = false;
  #closed = false;

  private constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    method: UnaryMethod,
    maxMessageBytes: number,
    timeoutMs: number,
  ) {
    this.headers = headers;
    this.#stream = stream;
    this.#method = method;
    this.#maxMessageBytes = maxMessageBytes;
    this.deadlineMs = this.startedMs + timeoutMs;
    if (timeoutMs <= MAX_TIMER_MS) this.#timer = setTimeout(expire, Math.ceil(timeoutMs), this);
  }

  /**
   * Serves the call that `stream` is: open yet, and with a listener for its errors. A message above `maxMessageBytes`,
   * unpacked or not, is refused.
   */
  static serve(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    method: UnaryMethod,
    maxMessageBytes: number,
  ): void {
    const contentType = headers['content-type'];
    if (contentType === undefined || !contentType.startsWith('application/grpc')) {
      stream.respond({ ':status': 415 }, { endStream: true });
      stream.resume();
      stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    const timeout = headers['grpc-timeout'] as string | undefined;
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : parseTimeout(timeout);
    const call = new UnaryCall(stream, headers, method, maxMessageBytes, timeoutMs ?? Number.POSITIVE_INFINITY);
    (stream as Stream)[CALL] = call;
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('close', onClose);
    if (timeoutMs === undefined) {
      call.refuse({
        code: Status.INTERNAL,
        details: `grpc-timeout: expected 1 to 8 digits and a unit, got "${clip(timeout)}"`,
      });
    }
  }

  /** Whether nobody waits for the answer any more. */
  get abandoned(): boolean {
    return this.#closed || this.#stream.closed || this.#stream.destroyed;
  }

  /** Answers with `message`, if the call hasn't ended. */
  answer(message: Uint8Array): void {
    if (!this.#settle()) return;
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, PREFIX_BYTES);
    this.#stream.on('wantTrailers', sendOk);
    this.#stream.respond(RESPONSE_HEADERS, RESPONSE_OPTIONS);
    this.#stream.end(frame);
  }

  /** Answers with a status other than OK, if the call hasn't ended. */
  refuse({ code, details, metadata }: RefusedStatus): void {
    if (!this.#settle()) return;
    this.#stream.respond(
      {
        ...RESPONSE_HEADERS,
        'grpc-status': String(code),
        'grpc-message': encodeURI(details),
        ...(metadata === undefined ? undefined : (metadata.toHttp2Headers() as OutgoingHttpHeaders)),
      },
      TRAILERS_ONLY,
    );
    // The answer is whole: what the caller may still have to send is of no use.
    if (!this.#ended) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** False if the call ended before. */
  #settle(): boolean {
    if (this.#settled || this.#closed) return false;
    this.#settled = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#chunks = [];
    return !this.#stream.destroyed && !this.#stream.closed;
  }

  /** For the stream's listeners. */
  take(chunk: Buffer): void {
    if (this.#settled) return;
    this.#size += chunk.length;
    this.#chunks.push(chunk);
    if (this.#chunks.length > 1) {
      // Prefixes cut in pieces are rare, and merged at once: a length is always read from one chunk.
      if ((this.#chunks[0] as Buffer).length < PREFIX_BYTES) this.#chunks = [Buffer.concat(this.#chunks)];
      else if (this.#chunks.length > MAX_PIECES) this.#mergeSmall(this.#chunks);
    }
    const first = this.#chunks[0] as Buffer;
    if (first.length < PREFIX_BYTES) return;
    const length = first.readUInt32BE(1);
    if (length > this.#maxMessageBytes) {
      this.refuse({
        code: Status.RESOURCE_EXHAUSTED,
        details: `Received message larger than max (${length} vs ${this.#maxMessageBytes})`,
      });
    } else if (this.#size >= 2 * PREFIX_BYTES + length) {
      this.refuse({ code: Status.UNIMPLEMENTED, details: 'expected one message, got more' });
    }
  }

  /** From the end, pieces that together are no larger than the one before them: each byte is copied a few times at most. */
  #mergeSmall(chunks: Buffer[]): void {
    let from = chunks.length - 1;
    let size = (chunks[from] as Buffer).length;
    while (from > 0 && (chunks.length - from < MAX_PIECES / 2 || (chunks[from - 1] as Buffer).length <= size)) {
      from--;
      size += (chunks[from] as Buffer).length;
    }
    chunks.push(Buffer.concat(chunks.splice(from), size));
  }

  /** For the stream's listeners. */
  end(): void {
    this.#ended = true;
    if (this.#settled || this.abandoned) return;
    if (this.#size === 0) {
      this.refuse({ code: Status.UNIMPLEMENTED, details: 'expected one message, got none' });
      return;
    }
    const first = this.#chunks[0] as Buffer;
    if (first.length < PREFIX_BYTES || this.#size !== PREFIX_BYTES + first.readUInt32BE(1)) {
      this.refuse({ code: Status.INTERNAL, details: 'the request ends within a message' });
      return;
    }
    const all = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [];
    const message = all.subarray(PREFIX_BYTES);
    if (all[0] === 0) this.#method.onMessage(this, message);
    else this.#decompress(message);
  }

  /** For the stream's listeners. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  #decompress(message: Buffer): void {
    const encoding = this.headers['grpc-encoding'] as string | undefined;
    const unpack = encoding === 'gzip' ? gunzip : encoding === 'deflate' ? inflate : undefined;
    if (unpack === undefined) {
      const unsaid = encoding === undefined || encoding === 'identity';
      this.refuse(
        unsaid
          ? { code: Status.INTERNAL, details: 'a compressed message, but grpc-encoding names no compression' }
          : {
              code: Status.UNIMPLEMENTED,
              details: `grpc-encoding: expected identity, deflate or gzip, got "${clip(encoding)}"`,
            },
      );
      return;
    }
    unpack(message, { maxOutputLength: this.#maxMessageBytes }, (error, unpacked) => {
      if (error === null) {
        if (!this.#settled && !this.#closed) this.#method.onMessage(this, unpacked);
      } else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        this.refuse({
          code: Status.RESOURCE_EXHAUSTED,
          details: `Received message that decompresses to a size larger than ${this.#maxMessageBytes}`,
        });
      } else {
        this.refuse({ code: Status.INTERNAL, details: `the message is not what ${encoding} makes` });
      }
    });
  }
}

/** Milliseconds; undefined for what is no gRPC timeout. */
function parseTimeout(text: string): number | undefined {
  const match = TIMEOUT.exec(text);
  return match === null ? undefined : Number(match[1]) * (UNIT_MS[match[2] as string] as number);
}

function clip(text: string | undefined): string {
  return text === undefined || text.length <= MAX_SHOWN ? String(text) : `${text.slice(0, MAX_SHOWN)}...`;
}

// Shared by all calls: a closure for each event of each call is what the garbage collector would have to carry.
function onData(this: Stream, chunk: Buffer): void {
  this[CALL].take(chunk);
}

function onEnd(this: Stream): void {
  this[CALL].end();
}

function onClose(this: Stream): void {
  this[CALL].close();
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK_TRAILERS);
}

function expire(call: UnaryCall): void {
  call.refuse({ code: Status.DEADLINE_EXCEEDED, details: 'Deadline exceeded' });
}
