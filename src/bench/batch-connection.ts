// One HTTP/2 connection (cleartext) that makes prepared ScoreBatch calls: requests that may be larger than the peer's windows,
// answers of many messages. A call of thousands of rows may cost an object.

import { endDetail, endStatus } from './answer-end.ts';
import { BatchAnswer } from './batch-answer.ts';
import { nowUs } from './clock.ts';
import { AnswerHeaders } from './hpack.ts';
import { Http2Link, type LinkUser } from './http2-link.ts';
import type { ConnectionOwner, LoadConnection } from './load-connection.ts';
import type { RequestHeaders } from './request-headers.ts';
import { SendingStream } from './sending-stream.ts';
import { OK, statusOfReset, UNAVAILABLE, UNKNOWN } from './status.ts';

export interface BatchConnectionOptions {
  host: string;
  port: number;
  headers: RequestHeaders;
  /** Requests with gRPC's prefix. */
  messages: readonly Buffer[];
  /** Of each request. */
  rows: number;
  owner: ConnectionOwner;
}

interface OpenBatch {
  sending: SendingStream;
  answer: BatchAnswer;
  intendedUs: number;
  /** Of the answer's headers; -1 before them. */
  httpStatus: number;
}

export class BatchConnection implements LoadConnection, LinkUser {
  readonly #options: BatchConnectionOptions;
  readonly #link: Http2Link;
  readonly #headers = new AnswerHeaders();
  /** By stream, the oldest first. */
  readonly #open = new Map<number, OpenBatch>();
  #usesTable = false;

  private constructor(options: BatchConnectionOptions) {
    this.#options = options;
    this.#link = new Http2Link(options.host, options.port, this);
  }

  /** Connects, and resolves once the peer's SETTINGS are known. */
  static async open(options: BatchConnectionOptions): Promise<BatchConnection> {
    const connection = new BatchConnection(options);
    await connection.#link.ready;
    connection.#usesTable = options.headers.fitTable(connection.#link.tableBytes);
    return connection;
  }

  get inFlight(): number {
    return this.#open.size;
  }

  send(call: number, intendedUs: number): boolean {
    const link = this.#link;
    if (!link.open || link.sendWindowBytes <= 0 || this.#open.size >= link.peerMaxStreams) return false;
    const { headers, messages } = this.#options;
    const first = link.nextStreamId === 1;
    const block = first ? headers.opening(this.#usesTable) : headers.following(this.#usesTable);
    const sending = new SendingStream(link, block);
    this.#open.set(sending.id, { sending, answer: new BatchAnswer(), intendedUs, httpStatus: -1 });
    sending.send(messages[call] as Buffer, true);
    return true;
  }

  flush(): void {
    this.#link.flush();
  }

  intendedOfOpenCalls(): number[] {
    return Array.from(this.#open.values(), ({ intendedUs }) => intendedUs);
  }

  destroy(): void {
    this.#open.clear();
    this.#link.destroy();
  }

  onSettings(grownBytes: number): undefined {
    for (const { sending } of this.#open.values()) {
      sending.windowBytes += grownBytes;
      sending.resume();
    }
  }

  onWindow(streamId: number, bytes: number): void {
    if (streamId === 0) {
      for (const { sending } of this.#open.values()) sending.resume();
      return;
    }
    const sending = this.#open.get(streamId)?.sending;
    if (sending === undefined) return;
    sending.windowBytes += bytes;
    sending.resume();
  }

  onData(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number): void {
    const batch = this.#open.get(streamId);
    if (batch === undefined) return;
    // What comes with an error of HTTP is a page for people. No answer fills a stream's window: it is as large as it gets.
    if (batch.httpStatus === 200) batch.answer.read(bytes, start, end);
    if (ended) this.#finish(batch, UNKNOWN, 'answer without trailers');
  }

  onBlock(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number): void {
    const batch = this.#open.get(streamId);
    if (batch === undefined) return;
    const headers = this.#headers;
    headers.read(bytes, start, end);
    // An informational answer comes before the real one.
    if (batch.httpStatus < 0 && headers.httpStatus >= 200) batch.httpStatus = headers.httpStatus;
    if (!ended) return;
    const status = endStatus(headers, batch.httpStatus);
    if (status !== OK) {
      this.#finish(batch, status, endDetail(headers, batch.httpStatus));
      return;
    }
    batch.answer.end(this.#options.rows);
    this.#finish(batch, batch.answer.status, batch.answer.detail);
  }

  onReset(streamId: number, errorCode: number): void {
    const batch = this.#open.get(streamId);
    if (batch === undefined) return;
    batch.sending.forget();
    this.#finish(batch, statusOfReset(errorCode), `RST_STREAM, HTTP/2 error ${errorCode}`);
  }

  /** Calls that the peer has seen may still end well. */
  onGoAway(lastStreamId: number, reason: string): void {
    for (const batch of this.#open.values()) {
      if (batch.sending.id > lastStreamId) this.#finish(batch, UNAVAILABLE, reason);
    }
    if (this.#open.size === 0) this.#link.endSocket();
  }

  onRetired(): void {
    this.#options.owner.closed(this);
  }

  onLost(reason: string): void {
    for (const batch of this.#open.values()) this.#finish(batch, UNAVAILABLE, reason);
  }

  onChunkRead(): void {
    this.#options.owner.chunkRead();
  }

  #finish(batch: OpenBatch, status: number, detail: string): void {
    batch.sending.abandon();
    this.#open.delete(batch.sending.id);
    this.#options.owner.finished(batch.intendedUs, nowUs(), status, detail);
    if (!this.#link.open && this.#open.size === 0) this.#link.endSocket();
  }
}
