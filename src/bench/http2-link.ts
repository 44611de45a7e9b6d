// What every connection over HTTP/2 (cleartext) has to do, whatever it calls: the socket, settings, pings, the windows of the
// whole connection, header blocks put together. What the frames of a stream mean is its user's.

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
import { Outbox } from './outbox.ts';

/** What a link hands on. Streams may be unknown to the user: of calls that have ended. */
export interface LinkUser {
  /** SETTINGS have been read; streams that are open get `grownBytes` more of a window. A text ends the link, and is why. */
  onSettings(grownBytes: number): string | undefined;
  /** A payload without its padding; `windowBytes` is what it took of our window. */
  onData(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number, windowBytes: number): void;
  /** A whole header block. */
  onBlock(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number): void;
  onReset(streamId: number, errorCode: number): void;
  /** The peer takes more bytes: on one stream, or on the connection, where `streamId` is 0. */
  onWindow(streamId: number, bytes: number): void;
  /** The peer takes no more streams, and won't answer those after the last one. `onRetired` has been called. */
  onGoAway(lastStreamId: number, reason: string): void;
  /** Called once: the link takes no more streams. */
  onRetired(): void;
  /** The socket is gone; `onRetired` has been called. */
  onLost(reason: string): void;
  /** A chunk has been read, and all that came in it handed on; the outbox is flushed next. */
  onChunkRead(): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
const READ_BUFFER_BYTES = 256 * 1024;
const LAST_STREAM_ID = MAX_WINDOW_BYTES;
/** We give the peer its window back once it has used so much of it. */
export const TOP_UP_BYTES = 2 ** 24;
const NO_LIMIT = 2 ** 32;

export class Http2Link {
  readonly outbox: Outbox;
  /** Resolves once the peer's SETTINGS are known. */
  readonly ready: Promise<void>;
  nextStreamId = 1;
  /** False: no new streams. */
  open = true;
  tableBytes = 4096;
  peerMaxStreams = NO_LIMIT;
  peerInitialWindowBytes = DEFAULT_WINDOW_BYTES;
  /** What the peer takes on the whole connection. */
  sendWindowBytes = DEFAULT_WINDOW_BYTES;

  readonly #user: LinkUser;
  readonly #where: string;
  readonly #socket: Socket;
  #isReady = false;
  #receivedBytes = 0;
  /** A header block that goes on in CONTINUATION frames. */
  #block: Buffer[] = [];
  #blockEnds = false;
  #resolveReady: () => void = () => {};
  #rejectReady: (error: Error) => void = () => {};

  constructor(host: string, port: number, user: LinkUser) {
    this.#user = user;
    this.#where = `${host}:${port}`;
    const reader = new FrameReader(this.#onFrame);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        callback: (bytes, chunk) => {
          this.#readChunk(reader, chunk as Buffer, bytes);
          return true;
        },
      },
    });
    this.outbox = new Outbox(this.#socket);
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the peer closed the connection'));
    this.outbox.add(clientPreface());
    this.outbox.flush();
    const timer = setTimeout(() => this.#end('no HTTP/2 SETTINGS within 5 s'), CONNECT_TIMEOUT_MS);
    this.ready = new Promise<void>((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    }).finally(() => clearTimeout(timer));
  }

  /** The id of a new stream. Only where the link is open. */
  takeStreamId(): number {
    const streamId = this.nextStreamId;
    this.nextStreamId += 2;
    if (this.nextStreamId > LAST_STREAM_ID) this.#retire();
    return streamId;
  }

  /** Sends what the outbox holds, in one write. */
  flush(): void {
    if (this.#socket.writable) this.outbox.flush();
  }

  /** Nothing is left to be read. */
  endSocket(): void {
    this.flush();
    this.#socket.end();
  }

  /** Ends the link without telling its user. */
  destroy(): void {
    this.open = false;
    this.#socket.destroy();
  }

  #readChunk(reader: FrameReader, chunk: Buffer, bytes: number): void {
    try {
      reader.read(chunk, bytes);
    } catch (error) {
      this.#end((error as Error).message);
    }
    if (this.#receivedBytes >= TOP_UP_BYTES) {
      this.outbox.add(windowUpdateFrame(0, this.#receivedBytes));
      this.#receivedBytes = 0;
    }
    this.#user.onChunkRead();
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
        this.#user.onReset(streamId, bytes.readUInt32BE(start));
        return;
      case FrameType.settings:
        this.#onSettings(flags, bytes, start, end);
        return;
      case FrameType.ping:
        if ((flags & FrameFlag.ack) === 0) {
          this.outbox.add(encodeFrame(FrameType.ping, FrameFlag.ack, 0, bytes.subarray(start, end)));
        }
        return;
      case FrameType.goAway:
        this.#retire();
        this.#user.onGoAway(readUint31(bytes, start), `GOAWAY, HTTP/2 error ${bytes.readUInt32BE(start + 4)}`);
        return;
      case FrameType.windowUpdate: {
        const grownBytes = readUint31(bytes, start);
        if (streamId === 0) this.sendWindowBytes += grownBytes;
        this.#user.onWindow(streamId, grownBytes);
        return;
      }
      case FrameType.pushPromise:
        throw new FrameError('PUSH_PROMISE, though our SETTINGS forbid it');
      default:
        return;
    }
  };

  #onData(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const windowBytes = end - start;
    this.#receivedBytes += windowBytes;
    if ((flags & FrameFlag.padded) !== 0) {
      end -= bytes[start] as number;
      start += 1;
    }
    this.#user.onData((flags & FrameFlag.endStream) !== 0, streamId, bytes, start, end, windowBytes);
  }

  #onHeaders(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & FrameFlag.padded) !== 0) {
      end -= bytes[start] as number;
      start += 1;
    }
    if ((flags & FrameFlag.priority) !== 0) start += 5;
    const ended = (flags & FrameFlag.endStream) !== 0;
    if ((flags & FrameFlag.endHeaders) !== 0) {
      this.#user.onBlock(ended, streamId, bytes, start, end);
      return;
    }
    this.#block = [Buffer.from(bytes.subarray(start, end))];
    this.#blockEnds = ended;
  }

  #onWholeBlock(streamId: number): void {
    const block = Buffer.concat(this.#block);
    this.#block = [];
    this.#user.onBlock(this.#blockEnds, streamId, block, 0, block.length);
  }

  #onSettings(flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & FrameFlag.ack) !== 0) return;
    const windowBefore = this.peerInitialWindowBytes;
    for (let at = start; at + 6 <= end; at += 6) {
      const value = bytes.readUInt32BE(at + 2);
      switch (bytes.readUInt16BE(at)) {
        case SettingId.headerTableSize:
          this.tableBytes = value;
          break;
        case SettingId.maxConcurrentStreams:
          this.peerMaxStreams = value;
          break;
        case SettingId.initialWindowSize:
          this.peerInitialWindowBytes = value;
          break;
      }
    }
    this.outbox.add(SETTINGS_ACK);
    const refusal = this.#user.onSettings(this.peerInitialWindowBytes - windowBefore);
    if (refusal !== undefined) {
      this.#end(refusal);
      return;
    }
    this.#isReady = true;
    this.#resolveReady();
  }

  #retire(): void {
    if (!this.open) return;
    this.open = false;
    this.#user.onRetired();
  }

  /** The connection is lost, and with it what is in flight. */
  #end(reason: string): void {
    this.#socket.destroy();
    if (!this.#isReady) {
      this.open = false;
      this.#rejectReady(new Error(`${this.#where}: ${reason}`));
      return;
    }
    this.#retire();
    this.#user.onLost(reason);
  }
}
