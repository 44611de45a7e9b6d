// One HTTP/1.1 connection (cleartext) that makes prepared POSTs on a bare socket, one after the other: it is kept alive, and
// the next request goes out once the last one is answered. What a pipelining client would gain, hardly any server allows.

import { connect, type Socket } from 'node:net';
import { nowUs } from './clock.ts';
import { framed } from './grpc-messages.ts';
import { type AnswerHandler, AnswerReader } from './http1-reader.ts';
import type { ConnectionOwner, LoadConnection } from './load-connection.ts';
import { INTERNAL, OK, statusOfJsonApi, UNAVAILABLE } from './status.ts';

export interface Http1Options {
  host: string;
  port: number;
  /** Whole requests, as `prepareRequests` makes them. */
  requests: readonly Buffer[];
  owner: ConnectionOwner;
  /** Hand on the answer of every n-th call; 0: of none. */
  sampleEvery: number;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** There may be many connections, and answers are short. */
const READ_BUFFER_BYTES = 16 * 1024;
/** How much of an error's body goes into its description. */
const DETAIL_CHARACTERS = 200;

/** The requests as they go on the wire. */
export function prepareRequests(
  authority: string,
  path: string,
  bodies: readonly Uint8Array[],
  headers: readonly (readonly [string, string])[] = [],
): Buffer[] {
  const further = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return bodies.map((body) => {
    const head = `POST ${path} HTTP/1.1\r\nhost: ${authority}\r\nuser-agent: scorewire-bench\r\ncontent-type: application/json\r\n${further}content-length: ${body.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head, 'latin1'), body]);
  });
}

export class Http1Connection implements LoadConnection, AnswerHandler {
  readonly #options: Http1Options;
  readonly #socket: Socket;
  readonly #reader = new AnswerReader(this);
  #open = false;
  #ended = false;
  #busy = false;
  #intendedUs = 0;
  #call = 0;
  #sent = 0;
  /** Pieces of the answer, of sampled calls only. */
  #sample: Buffer[] | undefined;
  #errorText = '';
  #resolveReady: (connection: Http1Connection) => void = () => {};
  #rejectReady: ((error: Error) => void) | undefined;

  private constructor(options: Http1Options) {
    this.#options = options;
    this.#socket = connect({
      host: options.host,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        callback: (bytes, chunk) => {
          this.#readChunk(chunk as Buffer, bytes);
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the peer closed the connection'));
    this.#socket.once('connect', () => {
      this.#open = true;
      this.#resolveReady(this);
    });
  }

  /** Connects. */
  static open(options: Http1Options): Promise<Http1Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Http1Connection(options);
      const timer = setTimeout(() => connection.#end('no connection within 5 s'), CONNECT_TIMEOUT_MS);
      connection.#resolveReady = (ready) => {
        clearTimeout(timer);
        connection.#rejectReady = undefined;
        resolve(ready);
      };
      connection.#rejectReady = (error) => {
        clearTimeout(timer);
        reject(error);
      };
    });
  }

  get inFlight(): number {
    return this.#busy ? 1 : 0;
  }

  /** Sends the request at once: there is nothing to gather. False where the last one has no answer yet. */
  send(call: number, intendedUs: number): boolean {
    if (this.#busy || !this.#open) return false;
    const { requests, sampleEvery } = this.#options;
    this.#busy = true;
    this.#intendedUs = intendedUs;
    this.#call = call;
    if (sampleEvery > 0 && this.#sent++ % sampleEvery === 0) this.#sample = [];
    this.#socket.write(requests[call] as Buffer);
    return true;
  }

  flush(): void {}

  intendedOfOpenCalls(): number[] {
    return this.#busy ? [this.#intendedUs] : [];
  }

  destroy(): void {
    this.#open = false;
    this.#ended = true;
    this.#busy = false;
    this.#socket.destroy();
  }

  body(status: number, bytes: Buffer, start: number, end: number): void {
    if (!isGood(status)) {
      const missing = DETAIL_CHARACTERS - this.#errorText.length;
      if (missing > 0) this.#errorText += bytes.toString('utf8', start, Math.min(end, start + missing));
    } else if (this.#sample !== undefined) this.#sample.push(Buffer.from(bytes.subarray(start, end)));
  }

  answered(status: number, bodyBytes: number, keepAlive: boolean): void {
    if (!this.#busy) {
      this.#end('an answer that nobody asked for');
      return;
    }
    if (!isGood(status)) {
      const text = this.#errorText;
      this.#errorText = '';
      this.#finish(statusOfJsonApi(status), `HTTP status ${status}${text === '' ? '' : `: ${text}`}`);
    } else if (bodyBytes === 0) this.#finish(INTERNAL, `HTTP status ${status} without a body`);
    else this.#finish(OK, '');
    if (!keepAlive) this.#retire();
  }

  #readChunk(chunk: Buffer, bytes: number): void {
    try {
      this.#reader.read(chunk, bytes);
    } catch (error) {
      this.#end((error as Error).message);
    }
    this.#options.owner.chunkRead();
  }

  #finish(status: number, detail: string): void {
    this.#busy = false;
    const pieces = this.#sample;
    this.#sample = undefined;
    const { owner } = this.#options;
    // Framed, as the owner gets all answers.
    if (pieces !== undefined && status === OK) owner.sampled(this.#call, framed(Buffer.concat(pieces)));
    owner.finished(this.#intendedUs, nowUs(), status, detail);
  }

  /** Takes no more calls. */
  #retire(): void {
    this.#socket.end();
    if (!this.#open) return;
    this.#open = false;
    this.#options.owner.closed(this);
  }

  /** The connection is lost, and with it what is in flight. */
  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    if (this.#rejectReady !== undefined) {
      this.#rejectReady(new Error(`${this.#options.host}:${this.#options.port}: ${reason}`));
      return;
    }
    this.#reader.close();
    if (this.#busy) this.#finish(UNAVAILABLE, reason);
    this.#retire();
  }
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}
