// A port of src/http2 alone whose requests a test serves as it likes.
import type { TlsOptions } from 'node:tls';
import { encodeHeaderBlocks } from '../../src/http2/header-encoder.ts';
import { Http2Server, type Http2ServerOptions } from '../../src/http2/http2-server.ts';
import type { PreparedResponse, ServerStream, StreamListener } from '../../src/http2/stream.ts';

const TRAILERS = encodeHeaderBlocks([['x-end', 'yes']]);

/** A response as a test may want one: `:status` 200, `x-begin` and, behind the body, `x-end`. */
export const RESPONSE: PreparedResponse = {
  headers: encodeHeaderBlocks(
    [
      [':status', '200'],
      ['x-begin', 'yes'],
    ],
    TRAILERS.tableEntries,
  ),
  trailers: TRAILERS,
};
export const EMPTY: Uint8Array = new Uint8Array(0);

/** Writes down what a stream was told, and answers as the test says. */
export class Recorder implements StreamListener {
  readonly stream: ServerStream;
  /** `data 5`, `data 5 last`, `end`, `drain`, `abort`. */
  readonly told: string[] = [];
  body = '';
  readonly #also: Partial<StreamListener>;

  constructor(stream: ServerStream, also: Partial<StreamListener> = {}) {
    this.stream = stream;
    this.#also = also;
    stream.listener = this;
  }

  onData(bytes: Buffer, start: number, end: number, last: boolean): void {
    this.told.push(`data ${end - start}${last ? ' last' : ''}`);
    this.body += bytes.toString('latin1', start, end);
    this.#also.onData?.(bytes, start, end, last);
  }

  onEnd(): void {
    this.told.push('end');
    this.#also.onEnd?.();
  }

  onDrain(): void {
    this.told.push('drain');
    this.#also.onDrain?.();
  }

  onAbort(): void {
    this.told.push('abort');
    this.#also.onAbort?.();
  }
}

export class Http2Port {
  readonly server: Http2Server;
  port = 0;
  /** Every stream that began, in that order. */
  readonly streams: Recorder[] = [];
  /** What becomes of the next streams. */
  serve: (stream: ServerStream) => Recorder;

  constructor(options: Partial<Http2ServerOptions> = {}) {
    this.serve = echo;
    const all = { maxStreams: 100, maxHeaderListBytes: 65_536, maxIdleMs: 60_000, ...options };
    this.server = new Http2Server(all, (stream) => this.streams.push(this.serve(stream)));
  }

  static async open(options: Partial<Http2ServerOptions> = {}, tls?: TlsOptions): Promise<Http2Port> {
    const port = new Http2Port(options);
    port.port = await port.server.listen('127.0.0.1', 0, tls);
    return port;
  }

  destroy(): void {
    this.server.destroy();
  }
}

/** Answers with the body that came, once it is whole. */
export function echo(stream: ServerStream): Recorder {
  const recorder: Recorder = new Recorder(stream, {
    onEnd: () => stream.respond(RESPONSE, EMPTY, Buffer.from(recorder.body, 'latin1')),
  });
  return recorder;
}

/** Answers never. */
export function hold(stream: ServerStream): Recorder {
  return new Recorder(stream);
}

/** Answers a request, once it is whole, by these many bytes. */
export function answerOf(bytes: number): (stream: ServerStream) => Recorder {
  const body = Buffer.alloc(bytes, 'abcdefghijk');
  return (stream) => new Recorder(stream, { onEnd: () => stream.respond(RESPONSE, EMPTY, body) });
}
