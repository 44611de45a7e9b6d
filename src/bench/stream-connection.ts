// One HTTP/2 connection (cleartext) that scores over a few long-lived ScoreStream calls. A call, as far as anybody else is
// concerned, is one item; items are matched with their results by id, on whatever stream and in whatever order those come.

import { FRAME_HEADER_BYTES, windowUpdateFrame } from '../http2/frames.ts';
import { endDetail, endStatus } from './answer-end.ts';
import { nowUs } from './clock.ts';
import { MESSAGE_PREFIX_BYTES, MessageReader } from './grpc-messages.ts';
import { AnswerHeaders } from './hpack.ts';
import { Http2Link, type LinkUser, TOP_UP_BYTES } from './http2-link.ts';
import type { ConnectionOwner, LoadConnection } from './load-connection.ts';
import { OpenItems } from './open-items.ts';
import {
  MAX_ONE_FRAME_BYTES,
  type PreparedItems,
  writeId,
  writeMessageHead,
  writeMessagePrefix,
} from './prepared-items.ts';
import type { RequestHeaders } from './request-headers.ts';
import { SendingStream } from './sending-stream.ts';
import { INTERNAL, OK, statusOfReset, UNAVAILABLE, UNKNOWN } from './status.ts';
import { StreamResults } from './stream-results.ts';

export interface StreamConnectionOptions {
  host: string;
  port: number;
  headers: RequestHeaders;
  items: PreparedItems;
  owner: ConnectionOwner;
  /** Hand on the answer of every n-th item; 0: of none. */
  sampleEvery: number;
  /** ScoreStream calls at once. */
  streams: number;
  /** Items that go into one message. */
  itemsAtOnce: number;
}

/** One ScoreStream call. */
interface OpenStream {
  sending: SendingStream;
  reader: MessageReader;
  /** Of the answer's headers; -1 before them. */
  httpStatus: number;
  /** Of our window, not given back yet. */
  receivedBytes: number;
}

export class StreamConnection implements LoadConnection, LinkUser {
  readonly #options: StreamConnectionOptions;
  readonly #link: Http2Link;
  readonly #headers = new AnswerHeaders();
  readonly #results: StreamResults;
  readonly #open = new OpenItems();
  /** A stream is opened when an item needs it, and again after it has ended. */
  readonly #streams: (OpenStream | undefined)[];
  readonly #head = Buffer.alloc(FRAME_HEADER_BYTES + MESSAGE_PREFIX_BYTES);
  #nextStream = 0;
  #openStreams = 0;
  #sent = 0;
  #usesTable = false;
  /** When the message was read whose results are being handed out. */
  #readUs = 0;

  private constructor(options: StreamConnectionOptions) {
    this.#options = options;
    this.#streams = new Array(options.streams).fill(undefined);
    this.#results = new StreamResults(this.#onResult);
    this.#link = new Http2Link(options.host, options.port, this);
  }

  /** Connects, and resolves once the peer's SETTINGS are known. */
  static async open(options: StreamConnectionOptions): Promise<StreamConnection> {
    const connection = new StreamConnection(options);
    await connection.#link.ready;
    connection.#usesTable = options.headers.fitTable(connection.#link.tableBytes);
    return connection;
  }

  get inFlight(): number {
    return this.#open.count;
  }

  /** Sends as many items as go into a message, from `call` on, in one. */
  send(call: number, intendedUs: number): boolean {
    const link = this.#link;
    const { items, itemsAtOnce } = this.#options;
    if (!link.open || link.sendWindowBytes <= 0 || !this.#open.takes(itemsAtOnce)) return false;
    const index = this.#freeStream();
    if (index < 0) return false;
    const { sending } = this.#streams[index] ?? this.#openStream(index);
    const dataBytes = items.messageBytes(call, itemsAtOnce);
    if (dataBytes <= Math.min(sending.windowBytes, link.sendWindowBytes, MAX_ONE_FRAME_BYTES)) {
      this.#sendFrame(index, sending, call, intendedUs, dataBytes);
    } else {
      sending.send(this.#gather(index, call, intendedUs, dataBytes), false);
    }
    return true;
  }

  flush(): void {
    this.#link.flush();
  }

  intendedOfOpenCalls(): number[] {
    const intended: number[] = [];
    this.#open.each((slot) => intended.push(this.#open.intendedUs[slot] as number));
    return intended;
  }

  destroy(): void {
    this.#open.each((slot) => this.#open.close(slot));
    this.#link.destroy();
  }

  onSettings(grownBytes: number): undefined {
    for (const stream of this.#streams) {
      if (stream === undefined) continue;
      stream.sending.windowBytes += grownBytes;
      stream.sending.resume();
    }
  }

  onWindow(streamId: number, bytes: number): void {
    for (const stream of this.#streams) {
      if (stream === undefined) continue;
      if (stream.sending.id === streamId) stream.sending.windowBytes += bytes;
      stream.sending.resume();
    }
  }

  onData(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number, windowBytes: number): void {
    const index = this.#indexOf(streamId);
    if (index < 0) return;
    const stream = this.#streams[index] as OpenStream;
    stream.receivedBytes += windowBytes;
    if (stream.receivedBytes >= TOP_UP_BYTES) {
      this.#link.outbox.add(windowUpdateFrame(streamId, stream.receivedBytes));
      stream.receivedBytes = 0;
    }
    // What comes with an error of HTTP is a page for people.
    if (stream.httpStatus === 200) stream.reader.read(bytes, start, end);
    if (ended) this.#endStream(index, UNKNOWN, 'answer without trailers');
  }

  onBlock(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number): void {
    const index = this.#indexOf(streamId);
    if (index < 0) return;
    const stream = this.#streams[index] as OpenStream;
    const headers = this.#headers;
    headers.read(bytes, start, end);
    // An informational answer comes before the real one.
    const isAnswer = headers.httpStatus >= 200;
    if (stream.httpStatus < 0 && isAnswer) stream.httpStatus = headers.httpStatus;
    if (!ended) return;
    const status = endStatus(headers, stream.httpStatus);
    if (status === OK) this.#endStream(index, INTERNAL, 'the stream ended with OK, and this item had no result');
    else this.#endStream(index, status, endDetail(headers, stream.httpStatus));
  }

  onReset(streamId: number, errorCode: number): void {
    const index = this.#indexOf(streamId);
    if (index < 0) return;
    this.#streams[index]?.sending.forget();
    this.#endStream(index, statusOfReset(errorCode), `RST_STREAM, HTTP/2 error ${errorCode}`);
  }

  /** Streams that the peer has seen are ended from our side, so that it can end them; their items may still end well. */
  onGoAway(lastStreamId: number, reason: string): void {
    this.#streams.forEach((stream, index) => {
      if (stream === undefined) return;
      if (stream.sending.id > lastStreamId) this.#endStream(index, UNAVAILABLE, reason);
      else stream.sending.close();
    });
    if (this.#open.count === 0) this.#link.endSocket();
  }

  onRetired(): void {
    this.#options.owner.closed(this);
  }

  onLost(reason: string): void {
    this.#streams.fill(undefined);
    this.#open.each((slot) => this.#finish(slot, nowUs(), UNAVAILABLE, reason));
  }

  onChunkRead(): void {
    this.#options.owner.chunkRead();
  }

  /** The stream whose turn it is among those that take a message now; -1 where none does. */
  #freeStream(): number {
    const streams = this.#streams;
    for (let tried = 0; tried < streams.length; tried++) {
      const index = this.#nextStream;
      this.#nextStream = index + 1 === streams.length ? 0 : index + 1;
      const stream = streams[index];
      if (stream === undefined) {
        if (this.#openStreams < this.#link.peerMaxStreams && this.#link.peerInitialWindowBytes > 0) return index;
      } else if (!stream.sending.isWaiting && stream.sending.windowBytes > 0) {
        return index;
      }
    }
    return -1;
  }

  #openStream(index: number): OpenStream {
    const { headers } = this.#options;
    const first = this.#link.nextStreamId === 1;
    const stream: OpenStream = {
      sending: new SendingStream(
        this.#link,
        first ? headers.opening(this.#usesTable) : headers.following(this.#usesTable),
      ),
      reader: new MessageReader(this.#onMessage),
      httpStatus: -1,
      receivedBytes: 0,
    };
    this.#streams[index] = stream;
    this.#openStreams++;
    return stream;
  }

  /** Sends a message that the windows allow as one frame. */
  #sendFrame(index: number, sending: SendingStream, call: number, intendedUs: number, dataBytes: number): void {
    const { items, itemsAtOnce } = this.#options;
    const { outbox } = this.#link;
    sending.windowBytes -= dataBytes;
    this.#link.sendWindowBytes -= dataBytes;
    writeMessageHead(this.#head, dataBytes, sending.id);
    outbox.add(this.#head);
    for (let item = 0, at = call; item < itemsAtOnce; item++, at++) {
      if (at === items.count) at = 0;
      const id = this.#newItem(index, at, intendedUs);
      const from = outbox.add(items.bytes[at] as Buffer);
      writeId(outbox.buffer, from + (items.idOffsets[at] as number), id);
    }
  }

  /** A message in a buffer of its own: it may have to wait, or takes several frames. */
  #gather(index: number, call: number, intendedUs: number, dataBytes: number): Buffer {
    const { items, itemsAtOnce } = this.#options;
    const message = Buffer.allocUnsafe(dataBytes);
    writeMessagePrefix(message, 0, dataBytes);
    let from = MESSAGE_PREFIX_BYTES;
    for (let item = 0, at = call; item < itemsAtOnce; item++, at++) {
      if (at === items.count) at = 0;
      const id = this.#newItem(index, at, intendedUs);
      const bytes = items.bytes[at] as Buffer;
      bytes.copy(message, from);
      writeId(message, from + (items.idOffsets[at] as number), id);
      from += bytes.length;
    }
    return message;
  }

  #newItem(stream: number, call: number, intendedUs: number): number {
    const open = this.#open;
    const slot = open.open();
    const { sampleEvery } = this.#options;
    open.stream[slot] = stream;
    open.call[slot] = call;
    open.intendedUs[slot] = intendedUs;
    open.sampled[slot] = sampleEvery > 0 && this.#sent % sampleEvery === 0 ? 1 : 0;
    this.#sent++;
    return open.idOf(slot);
  }

  #onMessage = (bytes: Buffer, start: number, end: number): void => {
    this.#readUs = nowUs();
    this.#results.read(bytes, start, end);
  };

  #onResult = (id: number, status: number, bytes: Buffer, start: number, end: number): void => {
    const slot = this.#open.slotOf(id);
    if (slot < 0) throw new Error(`a result for id ${id}, which no item in flight has`);
    if (status === OK && this.#open.sampled[slot] === 1) {
      const framed = Buffer.concat([Buffer.alloc(MESSAGE_PREFIX_BYTES), bytes.subarray(start, end)]);
      this.#options.owner.sampled(this.#open.call[slot] as number, framed);
    }
    this.#finish(slot, this.#readUs, status, status === OK ? '' : bytes.toString('utf8', start, end));
  };

  /** A stream is over; so are the items on it that have no result. */
  #endStream(index: number, status: number, detail: string): void {
    this.#streams[index]?.sending.abandon();
    this.#streams[index] = undefined;
    this.#openStreams--;
    const open = this.#open;
    const endedUs = nowUs();
    open.each((slot) => {
      if (open.stream[slot] === index) this.#finish(slot, endedUs, status, detail);
    });
  }

  #finish(slot: number, doneUs: number, status: number, detail: string): void {
    this.#open.close(slot);
    this.#options.owner.finished(this.#open.intendedUs[slot] as number, doneUs, status, detail);
    if (!this.#link.open && this.#open.count === 0) this.#link.endSocket();
  }

  #indexOf(streamId: number): number {
    const streams = this.#streams;
    for (let index = 0; index < streams.length; index++) {
      if (streams[index]?.sending.id === streamId) return index;
    }
    return -1;
  }
}
