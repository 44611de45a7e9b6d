// One HTTP/2 connection as a server has it (RFC 9113). Node's own http2 module makes some twenty objects a request, several of
// them in V8's old generation, whose clearing then stops every request at once; here a request is one object, a response
// is written in place into a buffer that goes round, and what requests have in common is decoded once.
import type { Socket } from 'node:net';
import { BlockReader } from './block-reader.ts';
import { endSocket } from './ending.ts';
import { ConnectionError, ErrorCode, expectBytes, protocolError } from './error-codes.ts';
import { FrameSequence } from './frame-sequence.ts';
import {
  encodeFrame,
  FrameFlag,
  FrameType,
  goAwayFrame,
  MAX_WINDOW_BYTES,
  readUint31,
  SETTINGS_ACK,
} from './frames.ts';
import type { Field } from './header-decoder.ts';
import { encodeHeaders } from './header-encoder.ts';
import { type ConnectionLimits, STREAM_WINDOW_BYTES, settingsOf } from './limits.ts';
import { Patience } from './patience.ts';
import { readPeerSettings, tooLarge } from './peer-settings.ts';
import { HTTP1_ANSWER } from './preface.ts';
import { ReceiveWindow } from './receive-window.ts';
import { RecentResets } from './recent-resets.ts';
import { areTrailers } from './request-head.ts';
import { Sender } from './sender.ts';
import { ServerStream, type StreamOwner } from './stream.ts';
import { StreamTable } from './stream-table.ts';

export interface ConnectionOwner {
  /** A request has begun: the stream wants a listener, or an answer. */
  onRequest(stream: ServerStream): void;
  onClosed(connection: Connection): void;
}

const DRAIN_PING = Buffer.from('drained?', 'latin1');
const HEADERS_TOO_LARGE = encodeHeaders([[':status', '431']]);

export class Connection implements StreamOwner {
  readonly sender: Sender;
  /** When the connection began or its last stream ended, `performance.now()` milliseconds. */
  idleSinceMs = performance.now();
  /** When the client was told to go, on the same clock; Infinity: it wasn't yet. */
  toldMs = Number.POSITIVE_INFINITY;
  readonly socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #maxStreams: number;
  readonly #frames: FrameSequence;
  readonly #blocks: BlockReader;
  readonly #streams: StreamTable<ServerStream>;
  readonly #patience = new Patience();

  #open = true;
  #settled = false;
  #lastStreamId = 0;
  /** Set while the connection drains: streams above it are refused. */
  #lastTakenId = MAX_WINDOW_BYTES;
  readonly #window = new ReceiveWindow();
  readonly #resets = new RecentResets();
  readonly #settings: Buffer;

  constructor(socket: Socket, limits: ConnectionLimits, owner: ConnectionOwner) {
    this.socket = socket;
    this.#owner = owner;
    this.#maxStreams = limits.maxStreams;
    this.#settings = settingsOf(limits);
    this.sender = new Sender(socket, this.#onResponseEnded);
    this.#blocks = new BlockReader(limits.maxHeaderListBytes, this.#onBlock);
    this.#frames = new FrameSequence(() => this.#blocks.openStreamId, this.#onFrame);
    this.#streams = new StreamTable(limits.maxStreams);
    socket.setNoDelay(true);
    socket.on('data', this.#onChunk);
    socket.on('drain', this.#onDrain);
    socket.on('error', () => {});
    socket.on('close', this.#onLost);
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Whether the client has shown that it speaks HTTP/2. */
  get settled(): boolean {
    return this.#settled;
  }

  /**
   * Tells the client to go: what it sent before it can know is still served, and the connection ends with the last stream.
   * The client's answer to a ping says that it knows (RFC 9113, 6.8).
   */
  drain(): void {
    if (!this.#settled) {
      this.destroy();
      return;
    }
    if (this.toldMs !== Number.POSITIVE_INFINITY) return;
    this.toldMs = performance.now();
    if (!this.#open || this.#lastTakenId !== MAX_WINDOW_BYTES) return;
    this.sender.outbox.add(goAwayFrame(MAX_WINDOW_BYTES, ErrorCode.noError));
    this.sender.outbox.add(encodeFrame(FrameType.ping, 0, 0, DRAIN_PING));
  }

  /** Ends the connection and what is under way on it. */
  destroy(): void {
    this.socket.destroy();
  }

  // Of StreamOwner.

  resetStream(stream: ServerStream, code: number): void {
    this.sender.reset(stream.id, code);
    this.#resets.add(stream.id);
    this.#close(stream);
  }

  topUp(stream: ServerStream): void {
    if (stream.paused || stream.remoteEnded || stream.receivedBytes < STREAM_WINDOW_BYTES / 2) return;
    this.sender.windowUpdate(stream.id, stream.receivedBytes);
    stream.receivedBytes = 0;
  }

  readonly #onResponseEnded = (stream: ServerStream): void => {
    this.#patience.answered();
    // The response is whole: what the client may still have to send is of no use.
    if (stream.remoteEnded) this.#close(stream);
    else this.resetStream(stream, ErrorCode.noError);
  };

  #close(stream: ServerStream): void {
    if (stream.closed) return;
    stream.closed = true;
    this.#streams.delete(stream);
    this.sender.forget(stream);
    if (this.#streams.size > 0) return;
    this.idleSinceMs = performance.now();
    if (this.#lastTakenId !== MAX_WINDOW_BYTES) this.#end();
  }

  /** What is written still goes out. */
  #end(hurry = false): void {
    if (!this.#open) return;
    this.#open = false;
    this.sender.outbox.flush();
    endSocket(this.socket, hurry);
  }

  /** The connection breaks the rules: it ends, and what is under way with it. */
  #fail(code: number, reason: string): void {
    if (!this.#open) return;
    this.sender.outbox.add(goAwayFrame(this.#lastStreamId, code, reason));
    this.#end(true);
    for (const stream of this.#streams.all()) this.#abort(stream);
  }

  #abort(stream: ServerStream): void {
    // Another listener may just have ended it.
    if (stream.closed) return;
    this.#close(stream);
    stream.listener?.onAbort();
  }

  readonly #onLost = (): void => {
    this.#open = false;
    for (const stream of this.#streams.all()) this.#abort(stream);
    this.#owner.onClosed(this);
  };

  readonly #onDrain = (): void => {
    if (this.sender.outbox.congested) return;
    this.socket.resume();
    this.sender.pumpWaiting();
  };

  readonly #onChunk = (chunk: Buffer): void => {
    if (!this.#open) return;
    try {
      if (this.#frames.read(chunk) === 'http1') {
        this.socket.write(HTTP1_ANSWER);
        this.#end(true);
      }
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#fail(error.code, error.message);
    }
    // Whoever doesn't take our answers is not asked for more questions.
    if (this.#open && this.sender.outbox.congested) this.socket.pause();
  };

  readonly #onFrame = (type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void => {
    if (!this.#open) return;
    switch (type) {
      case FrameType.data:
        this.#onData(flags, id, bytes, start, end);
        return;
      case FrameType.headers:
        if (id % 2 === 0) throw protocolError(`HEADERS on stream ${id}`);
        this.#blocks.headers(flags, id, bytes, start, end);
        return;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(id, bytes, start, end);
        return;
      case FrameType.rstStream:
        this.#onReset(id, end - start);
        return;
      case FrameType.continuation:
        this.#patience.take();
        this.#blocks.continuation(flags, bytes, start, end);
        return;
      case FrameType.settings:
        this.#onSettings(flags, id, bytes, start, end);
        return;
      case FrameType.ping:
        this.#onPing(flags, id, bytes, start, end);
        return;
      case FrameType.priority:
        this.#onPriority(id, bytes, start, end);
        return;
      case FrameType.goAway:
        if (id !== 0) throw protocolError('GOAWAY on a stream');
        if (this.#streams.size === 0) this.#end();
        else this.#lastTakenId = this.#lastStreamId;
        return;
      case FrameType.pushPromise:
        throw protocolError('PUSH_PROMISE from a client');
      default:
        this.#patience.take();
    }
  };

  #onData(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const frameBytes = to - from;
    const room = this.#window.take(frameBytes);
    if (room > 0) this.sender.windowUpdate(0, room);
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.remoteEnded) {
      this.#onUnexpected(id, stream);
      return;
    }
    let start = from;
    let end = to;
    if ((flags & FrameFlag.padded) !== 0) {
      end -= bytes[start++] ?? 0;
      if (frameBytes === 0 || end < start) throw protocolError('more padding than frame');
    }
    stream.receivedBytes += frameBytes;
    stream.bodyBytes += end - start;
    const last = (flags & FrameFlag.endStream) !== 0;
    if (stream.receivedBytes > STREAM_WINDOW_BYTES) {
      this.#break(stream, ErrorCode.flowControlError);
      return;
    }
    if (end > start) stream.listener?.onData(bytes, start, end, last);
    else if (!last) this.#patience.take();
    if (stream.closed) return;
    if (last) this.#onRemoteEnd(stream);
    else this.topUp(stream);
  }

  #onRemoteEnd(stream: ServerStream): void {
    const contentLength = stream.head?.contentLength ?? -1;
    if (contentLength >= 0 && contentLength !== stream.bodyBytes) {
      this.#break(stream, ErrorCode.protocolError);
      return;
    }
    stream.remoteEnded = true;
    stream.listener?.onEnd();
  }

  /**
   * A stream of the client's that breaks the rules. To have streams reset by us is as cheap for it as to reset them
   * (CVE-2025-8671), and costs the same.
   */
  #break(stream: ServerStream, code: number): void {
    this.#patience.take();
    this.resetStream(stream, code);
    stream.listener?.onAbort();
  }

  /** A frame on a stream that is closed, or closed for frames from the client. */
  #onUnexpected(id: number, stream: ServerStream | undefined): void {
    this.#checkBegun(id);
    if (stream !== undefined) {
      this.#break(stream, ErrorCode.streamClosed);
      return;
    }
    this.#patience.take();
    if (!this.#resets.has(id)) this.sender.reset(id, ErrorCode.streamClosed);
  }

  #checkBegun(id: number): void {
    if (id === 0 || id > this.#lastStreamId || id % 2 === 0) {
      throw protocolError(`a frame on stream ${id}, which has not begun`);
    }
  }

  readonly #onBlock = (id: number, fields: readonly Field[] | undefined, last: boolean, broken: boolean): void => {
    if (id <= this.#lastStreamId) {
      this.#onTrailers(id, fields, last && !broken);
      return;
    }
    this.#lastStreamId = id;
    const head = fields === undefined ? undefined : this.#blocks.headOf(fields);
    if (this.#streams.size >= this.#maxStreams || id > this.#lastTakenId) {
      this.#refuse(id, ErrorCode.refusedStream);
    } else if (fields !== undefined && (head === undefined || broken || (last && head.contentLength > 0))) {
      this.#refuse(id, ErrorCode.protocolError);
    } else {
      this.#begin(new ServerStream(id, head, this, this.sender.streamWindowBytes, last));
    }
  };

  #refuse(id: number, code: number): void {
    this.#patience.take();
    this.sender.reset(id, code);
    this.#resets.add(id);
  }

  #begin(stream: ServerStream): void {
    this.#streams.add(stream);
    if (stream.head === undefined) stream.headers(HEADERS_TOO_LARGE, true);
    else this.#owner.onRequest(stream);
    if (stream.remoteEnded && !stream.closed) stream.listener?.onEnd();
  }

  #onTrailers(id: number, fields: readonly Field[] | undefined, last: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined && !this.#resets.has(id)) {
      // Which of the older ones were ever open is not remembered.
      const code = id === this.#lastStreamId ? ErrorCode.streamClosed : ErrorCode.protocolError;
      throw new ConnectionError(code, `HEADERS on stream ${id}, which is closed`);
    }
    if (stream === undefined || stream.remoteEnded) this.#onUnexpected(id, stream);
    else if (!last || fields === undefined || !areTrailers(fields)) this.#break(stream, ErrorCode.protocolError);
    else this.#onRemoteEnd(stream);
  }

  #onReset(id: number, payloadBytes: number): void {
    expectBytes(payloadBytes, 4, 'RST_STREAM');
    this.#checkBegun(id);
    this.#patience.take();
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#abort(stream);
  }

  #onWindowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    expectBytes(end - start, 4, 'WINDOW_UPDATE');
    const more = readUint31(bytes, start);
    if (id === 0) {
      if (more === 0) throw protocolError('a WINDOW_UPDATE of 0');
      if (!this.sender.grow(more)) throw tooLarge();
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#checkBegun(id);
      return;
    }
    stream.sendWindowBytes += more;
    if (more === 0) this.#break(stream, ErrorCode.protocolError);
    else if (stream.sendWindowBytes > MAX_WINDOW_BYTES) this.#break(stream, ErrorCode.flowControlError);
    else this.sender.pumpOne(stream);
  }

  #onSettings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError('SETTINGS on a stream');
    if ((flags & FrameFlag.ack) !== 0) {
      expectBytes(end - start, 0, 'the acknowledgement of SETTINGS');
      return;
    }
    const { headerTableBytes, streamWindowBytes } = readPeerSettings(bytes, start, end);
    this.#patience.take();
    if (streamWindowBytes !== undefined) this.#setStreamWindow(streamWindowBytes);
    if (!this.#settled) this.#settle();
    if (headerTableBytes !== undefined) this.sender.setPeerTableBytes(headerTableBytes);
    this.sender.outbox.add(SETTINGS_ACK);
    if (streamWindowBytes !== undefined) for (const stream of this.#streams.all()) this.sender.pumpOne(stream);
  }

  /** Not before the client has spoken: to one of HTTP/1 our SETTINGS would be noise. */
  #settle(): void {
    this.#settled = true;
    this.sender.setPeerTableBytes();
    this.sender.outbox.add(this.#settings);
  }

  #setStreamWindow(bytes: number): void {
    const change = bytes - this.sender.streamWindowBytes;
    this.sender.streamWindowBytes = bytes;
    for (const stream of this.#streams.all()) {
      stream.sendWindowBytes += change;
      if (stream.sendWindowBytes > MAX_WINDOW_BYTES) throw tooLarge();
    }
  }

  #onPing(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError('PING on a stream');
    expectBytes(end - start, 8, 'PING');
    const payload = bytes.subarray(start, end);
    if ((flags & FrameFlag.ack) === 0) {
      this.#patience.take();
      this.sender.outbox.add(encodeFrame(FrameType.ping, FrameFlag.ack, 0, payload));
    } else if (this.#lastTakenId === MAX_WINDOW_BYTES && payload.equals(DRAIN_PING)) {
      this.#lastTakenId = this.#lastStreamId;
      this.sender.outbox.add(goAwayFrame(this.#lastStreamId, ErrorCode.noError));
      if (this.#streams.size === 0) this.#end();
    }
  }

  #onPriority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw protocolError('PRIORITY on the connection');
    this.#patience.take();
    const rightSize = end - start === 5;
    if (rightSize && readUint31(bytes, start) !== id) return;
    const code = rightSize ? ErrorCode.protocolError : ErrorCode.frameSizeError;
    const stream = this.#streams.get(id);
    if (stream === undefined) this.sender.reset(id, code);
    else this.#break(stream, code);
  }
}
