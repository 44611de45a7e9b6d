// One request and its response on an HTTP/2 connection, as the server has them.
import type { Socket } from 'node:net';
import type { HeaderBlocks } from './header-encoder.ts';
import { type Peer, peerOf } from './peer.ts';
import type { RequestHead } from './request-head.ts';

/** Whoever serves a stream. */
export interface StreamListener {
  /** Bytes of the body lie in bytes[start, end), and may change after the call, or, where they are the `last`, after `onEnd`. */
  onData(bytes: Buffer, start: number, end: number, last: boolean): void;
  /** The body is whole. */
  onEnd(): void;
  /** What was written has gone, after a write that returned false. */
  onDrain(): void;
  /** The stream is over before the response was: reset by the client, or the connection is lost. */
  onAbort(): void;
}

/** Headers and trailers of the response that most requests get, encoded once. */
export type PreparedResponse = {
  /** Encoded for a table that the trailers go into after them. */
  headers: HeaderBlocks;
  trailers: HeaderBlocks;
};

/** How a stream sends. */
export interface StreamSender {
  /** Headers of a response, or with `end` all of it, or trailers. */
  headers(stream: ServerStream, fields: Uint8Array, end: boolean): void;
  /** A whole response; its body are the two parts, which are copied. */
  respond(stream: ServerStream, response: PreparedResponse, head: Uint8Array, body: Uint8Array): void;
  /** As much of what the stream holds back as there is room for. Returns whether nothing is left. */
  pump(stream: ServerStream): boolean;
}

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly socket: Socket;
  readonly sender: StreamSender;
  resetStream(stream: ServerStream, code: number): void;
  /** Gives the client room for the bytes that the stream has taken. */
  topUp(stream: ServerStream): void;
}

export class ServerStream {
  readonly id: number;
  /** Undefined where the headers were too large to be kept. */
  readonly head: RequestHead | undefined;
  listener: StreamListener | undefined;
  /** Called once, when nothing of the response is held any more, be it sent or not. */
  whenClosed: (() => void) | undefined;

  // For the connection.
  /** Bytes that the client still takes on this stream; negative after it made its window smaller. */
  sendWindowBytes: number;
  /** Bytes received that the client has not been given back yet. */
  receivedBytes = 0;
  bodyBytes = 0;
  /** The client has sent all that it will send. */
  remoteEnded: boolean;
  /** Nothing can be sent any more. */
  closed = false;
  /** Body that waits for room. */
  readonly pending: Uint8Array[] = [];
  pendingBytes = 0;
  /** Headers that end the stream once the body is out. */
  pendingTrailers: Uint8Array | undefined;
  paused = false;
  readonly #owner: StreamOwner;

  constructor(
    id: number,
    head: RequestHead | undefined,
    owner: StreamOwner,
    sendWindowBytes: number,
    remoteEnded: boolean,
  ) {
    this.remoteEnded = remoteEnded;
    this.id = id;
    this.head = head;
    this.#owner = owner;
    this.sendWindowBytes = sendWindowBytes;
  }

  get peer(): Peer {
    return peerOf(this.#owner.socket);
  }

  /** Sends the headers of the response, or, with `end`, the whole of it. */
  headers(block: Uint8Array, end: boolean): void {
    if (!this.closed) this.#owner.sender.headers(this, block, end);
  }

  /** Sends a whole response; `head` and `body` are its body, and are copied. */
  respond(response: PreparedResponse, head: Uint8Array, body: Uint8Array): void {
    if (!this.closed) this.#owner.sender.respond(this, response, head, body);
  }

  /** Sends a part of the body, which must not change any more. False: enough for now, `onDrain` says when to go on. */
  write(bytes: Uint8Array): boolean {
    if (this.closed || this.pendingTrailers !== undefined) return true;
    this.pending.push(bytes);
    this.pendingBytes += bytes.length;
    // What waits already goes first, and is in turn.
    return this.pendingBytes === bytes.length && this.#owner.sender.pump(this);
  }

  /** Ends the response with these trailers, after what was written. */
  end(trailers: Uint8Array): void {
    if (this.closed || this.pendingTrailers !== undefined) return;
    this.pendingTrailers = trailers;
    if (this.pendingBytes === 0) this.#owner.sender.pump(this);
  }

  /** Ends the stream at once, by an HTTP/2 error code. */
  reset(code: number): void {
    if (!this.closed) this.#owner.resetStream(this, code);
  }

  /** The client gets no more room than it has, until `resume`: what it has sent still comes. */
  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (!this.closed) this.#owner.topUp(this);
  }
}
