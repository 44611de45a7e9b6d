// One HTTP/2 connection (cleartext) that makes prepared unary calls, on a bare socket. Nothing is allocated a call: what is
// known of a call lies in typed arrays, at the place that its stream's id gives.

import { connect, type Socket } from 'node:net';
import {
  clientPreface,
  DEFAULT_WINDOW_BYTES,
  encodeFrame,
  FrameError,
  FrameFlag,
  FrameReader,
  FrameType,
  MAX_WINDOW_BYTES,
  readUint31,
  SETTINGS_ACK,
  SettingId,
  windowUpdateFrame,
} from '../http2/frames.ts';
import { nowUs } from './clock.ts';
import { AnswerHeaders } from './hpack.ts';
import { Outbox } from './outbox.ts';
import type { PreparedCall, PreparedCalls } from './prepared-calls.ts';
import { INTERNAL, OK, statusOfHttp, statusOfReset, UNAVAILABLE, UNKNOWN } from './status.ts';

/** What a connection tells its owner. */
export interface ConnectionOwner {
  /**
   * A call has ended.
   * @param intendedUs as given to `send`
   * @param doneUs when its last frame was read
   * @param detail grpc-message or what else explains an error; empty where the call went well
   */
  finished(intendedUs: number, doneUs: number, status: number, detail: string): void;
  /** A chunk has been read, and every call that ended in it reported: the time to send. */
  chunkRead(): void;
  /** The answer of a sampled call that went well: the message with gRPC's five-byte prefix. */
  sampled(call: number, framed: Uint8Array): void;
  /** The connection takes no more calls. */
  closed(connection: Connection): void;
}

export interface ConnectionOptions {
  host: string;
  port: number;
  calls: PreparedCalls;
  owner: ConnectionOwner;
  /** Hand on the answer of every n-th call; 0: of none. */
  sampleEvery: number;
}

const CONNECT_TIMEOUT_MS = 5_000;
const READ_BUFFER_BYTES = 256 * 1024;
/** How many streams may lie between the oldest open one and the newest. */
const SLOTS = 65_536;
const LAST_STREAM_ID = MAX_WINDOW_BYTES;
/** We give the peer its window back once it has used so much of it. */
const TOP_UP_BYTES = 2 ** 28;
const NO_LIMIT = 2 ** 32;

const FREE = 0;
const SENT = 1;
/** The answer's headers have been read. */
const ANSWERED = 2;
/** The answer's headers had an HTTP status that isn't 200. */
const BAD_HTTP = 3;

const SIZE_UPDATE_TO_ZERO = 0x20;
const STATUS_200 = 0x88;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #headers = new AnswerHeaders();

  readonly #state = new Uint8Array(SLOTS);
  readonly #intendedUs = new Float64Array(SLOTS);
  readonly #call = new Int32Array(SLOTS);
  readonly #answerBytes = new Float64Array(SLOTS);
  readonly #httpStatus = new Int16Array(SLOTS);
  /** Pieces of answers, of sampled calls only. */
  readonly #samples = new Map<number, Buffer[]>();

  #nextStreamId = 1;
  #inFlight = 0;
  #open = true;
  #ready = false;
  #usesTable = false;
  #tableBytes = 4096;
  #peerMaxStreams = NO_LIMIT;
  #peerInitialWindowBytes = DEFAULT_WINDOW_BYTES;
  #sendWindowBytes = DEFAULT_WINDOW_BYTES;
  #receivedBytes = 0;
  /** A header block that goes on in CONTINUATION frames. */
  #block: Buffer[] = [];
  #blockFlags = 0;
  #resolveReady: (connection: Connection) => void = () => {};
  #rejectReady: (error: Error) => void = () => {};

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    const reader = new FrameReader(this.#onFrame);
    this.#socket = connect({
      host: options.host,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        callback: (bytes, chunk) => {
          this.#readChunk(reader, chunk as Buffer, bytes);
          return true;
        },
      },
    });
    this.#outbox = new Outbox(this.#socket);
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the peer closed the connection'));
    this.#outbox.add(clientPreface());
    this.#outbox.flush();
  }

  /** Connects, and resolves once the peer's SETTINGS are known. */
  static open(options: ConnectionOptions): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Connection(options);
      const timer = setTimeout(() => connection.#end('no HTTP/2 SETTINGS within 5 s'), CONNECT_TIMEOUT_MS);
      connection.#resolveReady = (ready) => {
        clearTimeout(timer);
        resolve(ready);
      };
      connection.#rejectReady = (error) => {
        clearTimeout(timer);
        reject(error);
      };
    });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Puts a call into the outbox; `flush` sends it. False where the peer's limits or our own hold it back: nothing was done.
   * @param call index into the prepared calls
   * @param intendedUs handed back with the result
   */
  send(call: number, intendedUs: number): boolean {
    if (!this.#open || this.#inFlight >= this.#peerMaxStreams) return false;
    const streamId = this.#nextStreamId;
    const slot = (streamId >>> 1) & (SLOTS - 1);
    if (this.#state[slot] !== FREE) return false;
    const prepared = this.#preparedCall(call, streamId === 1);
    if (prepared.dataBytes > this.#sendWindowBytes) return false;

    this.#sendWindowBytes -= prepared.dataBytes;
    this.#nextStreamId += 2;
    this.#inFlight++;
    this.#state[slot] = SENT;
    this.#intendedUs[slot] = intendedUs;
    this.#call[slot] = call;
    this.#answerBytes[slot] = 0;
    const at = this.#outbox.add(prepared.bytes);
    const buffer = this.#outbox.buffer;
    const offsets = prepared.streamIdOffsets;
    for (let index = 0; index < offsets.length; index++) {
      const idAt = at + (offsets[index] as number);
      buffer[idAt] = streamId >>> 24;
      buffer[idAt + 1] = streamId >>> 16;
      buffer[idAt + 2] = streamId >>> 8;
      buffer[idAt + 3] = streamId;
    }
    const { sampleEvery } = this.#options;
    if (sampleEvery > 0 && (streamId >>> 1) % sampleEvery === 0) this.#samples.set(streamId, []);
    if (this.#nextStreamId > LAST_STREAM_ID) this.#retire();
    return true;
  }

  /** Sends what the outbox holds, in one write. */
  flush(): void {
    if (!this.#socket.destroyed) this.#outbox.flush();
  }

  /** The intended start times of what is in flight. */
  intendedOfOpenCalls(): number[] {
    const intended: number[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#state[slot] !== FREE) intended.push(this.#intendedUs[slot] as number);
    }
    return intended;
  }

  /** Gives up on what is in flight, without reporting it. */
  destroy(): void {
    this.#open = false;
    this.#state.fill(FREE);
    this.#inFlight = 0;
    this.#socket.destroy();
  }

  #preparedCall(call: number, first: boolean): PreparedCall {
    const { calls } = this.#options;
    return first ? calls.opening(call, this.#usesTable) : calls.following(call, this.#usesTable);
  }

  #readChunk(reader: FrameReader, chunk: Buffer, bytes: number): void {
    try {
      reader.read(chunk, bytes);
    } catch (error) {
      this.#end((error as Error).message);
    }
    if (this.#receivedBytes >= TOP_UP_BYTES) {
      this.#outbox.add(windowUpdateFrame(0, this.#receivedBytes));
      this.#receivedBytes = 0;
    }
    this.#options.owner.chunkRead();
    this.flush();
  }

  #onFrame = (type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void => {
    switch (type) {
      case FrameType.data:
        this.#onData(flags, streamId, bytes, start, end);
        return;
      case FrameType.headers:
        this.#onHeaders(flags, streamId, bytes, start, end);
        return;
      case FrameType.continuation:
        this.#block.push(Buffer.from(bytes.subarray(start, end)));
        if ((flags & FrameFlag.endHeaders) !== 0) this.#onWholeBlock(streamId);
        return;
      case FrameType.rstStream:
        this.#onReset(streamId, bytes.readUInt32BE(start));
        return;
      case FrameType.settings:
        this.#onSettings(flags, bytes, start, end);
        return;
      case FrameType.ping:
        if ((flags & FrameFlag.ack) === 0) {
          this.#outbox.add(encodeFrame(FrameType.ping, FrameFlag.ack, 0, bytes.subarray(start, end)));
        }
        return;
      case FrameType.goAway:
        this.#onGoAway(readUint31(bytes, start), bytes.readUInt32BE(start + 4));
        return;
      case FrameType.windowUpdate:
        // Streams of ours never fill their window: `#onSettings` sees to that.
        if (streamId === 0) this.#sendWindowBytes += readUint31(bytes, start);
        return;
      case FrameType.pushPromise:
        throw new FrameError('PUSH_PROMISE, though our SETTINGS forbid it');
      default:
        return;
    }
  };

  #onData(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    this.#receivedBytes += end - start;
    const slot = this.#slotOf(streamId);
    if (slot < 0) return;
    if ((flags & FrameFlag.padded) !== 0) {
      end -= bytes[start] as number;
      start += 1;
    }
    this.#answerBytes[slot] = (this.#answerBytes[slot] as number) + end - start;
    if (this.#samples.size > 0) this.#samples.get(streamId)?.push(Buffer.from(bytes.subarray(start, end)));
    if ((flags & FrameFlag.endStream) !== 0) this.#finish(slot, streamId, UNKNOWN, 'answer without trailers');
  }

  #onHeaders(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & FrameFlag.padded) !== 0) {
      end -= bytes[start] as number;
      start += 1;
    }
    if ((flags & FrameFlag.priority) !== 0) start += 5;
    if ((flags & FrameFlag.endHeaders) === 0) {
      this.#block = [Buffer.from(bytes.subarray(start, end))];
      this.#blockFlags = flags;
      return;
    }
    this.#onBlock(flags, streamId, bytes, start, end);
  }

  #onWholeBlock(streamId: number): void {
    const block = Buffer.concat(this.#block);
    this.#block = [];
    this.#onBlock(this.#blockFlags, streamId, block, 0, block.length);
  }

  #onBlock(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const slot = this.#slotOf(streamId);
    if (slot < 0) return;
    const headers = this.#headers;
    if ((flags & FrameFlag.endStream) === 0) {
      if (this.#state[slot] !== SENT) return;
      while (bytes[start] === SIZE_UPDATE_TO_ZERO) start++;
      if (bytes[start] === STATUS_200) {
        this.#state[slot] = ANSWERED;
        return;
      }
      headers.read(bytes, start, end);
      // An informational answer comes before the real one.
      if (headers.httpStatus >= 100 && headers.httpStatus < 200) return;
      this.#state[slot] = headers.httpStatus === 200 ? ANSWERED : BAD_HTTP;
      this.#httpStatus[slot] = headers.httpStatus;
      return;
    }
    headers.read(bytes, start, end);
    const httpStatus = this.#state[slot] === BAD_HTTP ? (this.#httpStatus[slot] as number) : headers.httpStatus;
    if (headers.grpcStatus === OK) {
      if ((this.#answerBytes[slot] as number) >= 5) this.#finish(slot, streamId, OK, '');
      else this.#finish(slot, streamId, INTERNAL, 'status OK without a message');
    } else if (headers.grpcStatus > OK) {
      this.#finish(slot, streamId, headers.grpcStatus, headers.message());
    } else if (httpStatus >= 0 && httpStatus !== 200) {
      this.#finish(slot, streamId, statusOfHttp(httpStatus), `HTTP status ${httpStatus}`);
    } else {
      this.#finish(slot, streamId, UNKNOWN, 'answer without grpc-status');
    }
  }

  #onReset(streamId: number, errorCode: number): void {
    const slot = this.#slotOf(streamId);
    if (slot >= 0) this.#finish(slot, streamId, statusOfReset(errorCode), `RST_STREAM, HTTP/2 error ${errorCode}`);
  }

  #onSettings(flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & FrameFlag.ack) !== 0) return;
    for (let at = start; at + 6 <= end; at += 6) {
      const value = bytes.readUInt32BE(at + 2);
      switch (bytes.readUInt16BE(at)) {
        case SettingId.headerTableSize:
          this.#tableBytes = value;
          break;
        case SettingId.maxConcurrentStreams:
          this.#peerMaxStreams = value;
          break;
        case SettingId.initialWindowSize:
          this.#peerInitialWindowBytes = value;
          break;
      }
    }
    this.#outbox.add(SETTINGS_ACK);
    const { calls } = this.#options;
    if (calls.maxDataBytes > this.#peerInitialWindowBytes) {
      this.#end(
        `a message of ${calls.maxDataBytes} bytes exceeds a stream's window of ${this.#peerInitialWindowBytes}`,
      );
      return;
    }
    if (this.#ready) return;
    this.#ready = true;
    this.#usesTable = calls.fitsTable(this.#tableBytes);
    this.#resolveReady(this);
  }

  #onGoAway(lastStreamId: number, errorCode: number): void {
    const reason = `GOAWAY, HTTP/2 error ${errorCode}`;
    this.#retire();
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#state[slot] === FREE) continue;
      const streamId = this.#streamIdOf(slot);
      if (streamId > lastStreamId) this.#finish(slot, streamId, UNAVAILABLE, reason);
    }
    if (this.#inFlight === 0) this.#socket.end();
  }

  /** Takes no more calls; those in flight may still end well. */
  #retire(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.owner.closed(this);
  }

  /** The connection is lost, and with it what is in flight. */
  #end(reason: string): void {
    this.#socket.destroy();
    if (!this.#ready) {
      this.#open = false;
      this.#rejectReady(new Error(`${this.#options.host}:${this.#options.port}: ${reason}`));
      return;
    }
    this.#retire();
    for (let slot = 0; slot < SLOTS && this.#inFlight > 0; slot++) {
      if (this.#state[slot] !== FREE) this.#finish(slot, this.#streamIdOf(slot), UNAVAILABLE, reason);
    }
  }

  #finish(slot: number, streamId: number, status: number, detail: string): void {
    this.#state[slot] = FREE;
    this.#inFlight--;
    if (this.#samples.size > 0) this.#handSample(slot, streamId, status);
    this.#options.owner.finished(this.#intendedUs[slot] as number, nowUs(), status, detail);
    if (!this.#open && this.#inFlight === 0) this.#socket.end();
  }

  #handSample(slot: number, streamId: number, status: number): void {
    const pieces = this.#samples.get(streamId);
    if (pieces === undefined) return;
    this.#samples.delete(streamId);
    if (status === OK) this.#options.owner.sampled(this.#call[slot] as number, Buffer.concat(pieces));
  }

  /** The slot of an open stream, or -1. */
  #slotOf(streamId: number): number {
    if (streamId >= this.#nextStreamId) return -1;
    const slot = (streamId >>> 1) & (SLOTS - 1);
    return this.#state[slot] === FREE || this.#streamIdOf(slot) !== streamId ? -1 : slot;
  }

  /** The newest stream that has had this slot. */
  #streamIdOf(slot: number): number {
    const newest = (this.#nextStreamId - 2) >>> 1;
    return 2 * (newest - ((newest - slot) & (SLOTS - 1))) + 1;
  }
}
