// One HTTP/2 connection (cleartext) that makes prepared unary calls, on a bare socket. Nothing is allocated a call: what is
// known of a call lies in typed arrays, at the place that its stream's id gives.

import { endDetail, endStatus } from './answer-end.ts';
import { nowUs } from './clock.ts';
import { AnswerHeaders } from './hpack.ts';
import { Http2Link, type LinkUser } from './http2-link.ts';
import type { ConnectionOwner, LoadConnection } from './load-connection.ts';
import type { PreparedCalls } from './prepared-calls.ts';
import { INTERNAL, OK, statusOfReset, UNAVAILABLE, UNKNOWN } from './status.ts';

export interface ConnectionOptions {
  host: string;
  port: number;
  calls: PreparedCalls;
  owner: ConnectionOwner;
  /** Hand on the answer of every n-th call; 0: of none. */
  sampleEvery: number;
}

/** How many streams may lie between the oldest open one and the newest. */
const SLOTS = 65_536;

const FREE = 0;
const SENT = 1;
/** The answer's headers have been read. */
const ANSWERED = 2;
/** The answer's headers had an HTTP status that isn't 200. */
const BAD_HTTP = 3;

const SIZE_UPDATE_TO_ZERO = 0x20;
const STATUS_200 = 0x88;

export class Connection implements LoadConnection, LinkUser {
  readonly #options: ConnectionOptions;
  readonly #link: Http2Link;
  readonly #headers = new AnswerHeaders();

  readonly #state = new Uint8Array(SLOTS);
  readonly #intendedUs = new Float64Array(SLOTS);
  readonly #call = new Int32Array(SLOTS);
  readonly #answerBytes = new Float64Array(SLOTS);
  readonly #httpStatus = new Int16Array(SLOTS);
  /** Pieces of answers, of sampled calls only. */
  readonly #samples = new Map<number, Buffer[]>();

  #inFlight = 0;
  #usesTable = false;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#link = new Http2Link(options.host, options.port, this);
  }

  /** Connects, and resolves once the peer's SETTINGS are known. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(options);
    await connection.#link.ready;
    connection.#usesTable = options.calls.fitsTable(connection.#link.tableBytes);
    return connection;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  send(call: number, intendedUs: number): boolean {
    const link = this.#link;
    if (!link.open || this.#inFlight >= link.peerMaxStreams) return false;
    const slot = (link.nextStreamId >>> 1) & (SLOTS - 1);
    if (this.#state[slot] !== FREE) return false;
    const { calls, sampleEvery } = this.#options;
    const prepared =
      link.nextStreamId === 1 ? calls.opening(call, this.#usesTable) : calls.following(call, this.#usesTable);
    if (prepared.dataBytes > link.sendWindowBytes) return false;

    link.sendWindowBytes -= prepared.dataBytes;
    this.#inFlight++;
    const streamId = link.takeStreamId();
    this.#state[slot] = SENT;
    this.#intendedUs[slot] = intendedUs;
    this.#call[slot] = call;
    this.#answerBytes[slot] = 0;
    const at = link.outbox.add(prepared.bytes);
    const { buffer } = link.outbox;
    const offsets = prepared.streamIdOffsets;
    for (let index = 0; index < offsets.length; index++) {
      const idAt = at + (offsets[index] as number);
      buffer[idAt] = streamId >>> 24;
      buffer[idAt + 1] = streamId >>> 16;
      buffer[idAt + 2] = streamId >>> 8;
      buffer[idAt + 3] = streamId;
    }
    if (sampleEvery > 0 && (streamId >>> 1) % sampleEvery === 0) this.#samples.set(streamId, []);
    return true;
  }

  flush(): void {
    this.#link.flush();
  }

  intendedOfOpenCalls(): number[] {
    const intended: number[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#state[slot] !== FREE) intended.push(this.#intendedUs[slot] as number);
    }
    return intended;
  }

  destroy(): void {
    this.#state.fill(FREE);
    this.#inFlight = 0;
    this.#link.destroy();
  }

  onSettings(): string | undefined {
    const { maxDataBytes } = this.#options.calls;
    const { peerInitialWindowBytes } = this.#link;
    if (maxDataBytes <= peerInitialWindowBytes) return undefined;
    return `a message of ${maxDataBytes} bytes exceeds a stream's window of ${peerInitialWindowBytes}`;
  }

  /** Streams of ours never fill their window: `onSettings` sees to that. */
  onWindow(): void {}

  onData(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number): void {
    const slot = this.#slotOf(streamId);
    if (slot < 0) return;
    this.#answerBytes[slot] = (this.#answerBytes[slot] as number) + end - start;
    if (this.#samples.size > 0) this.#samples.get(streamId)?.push(Buffer.from(bytes.subarray(start, end)));
    if (ended) this.#finish(slot, streamId, UNKNOWN, 'answer without trailers');
  }

  onBlock(ended: boolean, streamId: number, bytes: Buffer, start: number, end: number): void {
    const slot = this.#slotOf(streamId);
    if (slot < 0) return;
    const headers = this.#headers;
    if (!ended) {
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
    const status = endStatus(headers, httpStatus);
    if (status !== OK) this.#finish(slot, streamId, status, endDetail(headers, httpStatus));
    else if ((this.#answerBytes[slot] as number) >= 5) this.#finish(slot, streamId, OK, '');
    else this.#finish(slot, streamId, INTERNAL, 'status OK without a message');
  }

  onReset(streamId: number, errorCode: number): void {
    const slot = this.#slotOf(streamId);
    if (slot >= 0) this.#finish(slot, streamId, statusOfReset(errorCode), `RST_STREAM, HTTP/2 error ${errorCode}`);
  }

  onGoAway(lastStreamId: number, reason: string): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#state[slot] === FREE) continue;
      const streamId = this.#streamIdOf(slot);
      if (streamId > lastStreamId) this.#finish(slot, streamId, UNAVAILABLE, reason);
    }
    if (this.#inFlight === 0) this.#link.endSocket();
  }

  /** Calls in flight may still end well. */
  onRetired(): void {
    this.#options.owner.closed(this);
  }

  onLost(reason: string): void {
    for (let slot = 0; slot < SLOTS && this.#inFlight > 0; slot++) {
      if (this.#state[slot] !== FREE) this.#finish(slot, this.#streamIdOf(slot), UNAVAILABLE, reason);
    }
  }

  onChunkRead(): void {
    this.#options.owner.chunkRead();
  }

  #finish(slot: number, streamId: number, status: number, detail: string): void {
    this.#state[slot] = FREE;
    this.#inFlight--;
    if (this.#samples.size > 0) this.#handSample(slot, streamId, status);
    this.#options.owner.finished(this.#intendedUs[slot] as number, nowUs(), status, detail);
    if (!this.#link.open && this.#inFlight === 0) this.#link.endSocket();
  }

  #handSample(slot: number, streamId: number, status: number): void {
    const pieces = this.#samples.get(streamId);
    if (pieces === undefined) return;
    this.#samples.delete(streamId);
    if (status === OK) this.#options.owner.sampled(this.#call[slot] as number, Buffer.concat(pieces));
  }

  /** The slot of an open stream, or -1. */
  #slotOf(streamId: number): number {
    if (streamId >= this.#link.nextStreamId) return -1;
    const slot = (streamId >>> 1) & (SLOTS - 1);
    return this.#state[slot] === FREE || this.#streamIdOf(slot) !== streamId ? -1 : slot;
  }

  /** The newest stream that has had this slot. */
  #streamIdOf(slot: number): number {
    const newest = (this.#link.nextStreamId - 2) >>> 1;
    return 2 * (newest - ((newest - slot) & (SLOTS - 1))) + 1;
  }
}
