// What a connection sends: frames written in place into its outbox, and the windows that the peer opens for bodies.
import type { Socket } from 'node:net';
import {
  DEFAULT_WINDOW_BYTES,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  writeFrameHeader,
  writeUint32,
} from './frames.ts';
import { Outbox } from './outbox.ts';
import { DEFAULT_TABLE_BYTES } from './static-table.ts';
import type { PreparedResponse, ServerStream, StreamSender } from './stream.ts';

/** HPACK's change of the table size, to 0. */
const NO_TABLE = Uint8Array.of(0x20);

export class Sender implements StreamSender {
  readonly outbox: Outbox;
  /** Of the whole connection. */
  #windowBytes = DEFAULT_WINDOW_BYTES;
  /** Of a stream when it opens. */
  streamWindowBytes = DEFAULT_WINDOW_BYTES;
  /** What we may put into the peer's header table; 0 until its SETTINGS are here, since they may say so. */
  #peerTableBytes = 0;
  /** The size of that table. */
  #tableBytes = DEFAULT_TABLE_BYTES;
  /** The next block tells the peer that its table is not used. */
  #saysNoTable = false;
  /** The response whose fields are in the peer's table. */
  #inTable: PreparedResponse | undefined;
  /**
   * Streams that hold back some of their body for want of room on the connection or in the socket, in turn. Those that wait
   * for their own window are not among them: nobody is to search through them whenever there is room.
   */
  readonly #waiting = new Set<ServerStream>();
  readonly #onEnded: (stream: ServerStream) => void;

  /** @param onEnded told when END_STREAM has been written */
  constructor(socket: Socket, onEnded: (stream: ServerStream) => void) {
    this.outbox = new Outbox(socket);
    this.#onEnded = onEnded;
  }

  /** Headers of a response, or with `end` all of it, or trailers. */
  headers(stream: ServerStream, fields: Uint8Array, end: boolean): void {
    const block = this.#saysNoTable ? Buffer.concat([NO_TABLE, fields]) : fields;
    this.#saysNoTable = false;
    const flags = end ? FrameFlag.endStream : 0;
    const first = Math.min(block.length, MAX_FRAME_BYTES);
    const whole = first === block.length;
    this.#frame(FrameType.headers, whole ? flags | FrameFlag.endHeaders : flags, stream.id, block, 0, first);
    for (let at = first; at < block.length; at += MAX_FRAME_BYTES) {
      const to = Math.min(block.length, at + MAX_FRAME_BYTES);
      this.#frame(
        FrameType.continuation,
        to === block.length ? FrameFlag.endHeaders : 0,
        stream.id,
        block,
        at,
        to - at,
      );
    }
    if (end) this.#onEnded(stream);
  }

  /** A whole response; its body are the two parts, which are copied where they can't go at once. */
  respond(stream: ServerStream, response: PreparedResponse, head: Uint8Array, body: Uint8Array): void {
    const form = this.#formFor(response);
    const headers = response.headers[form];
    const bodyBytes = head.length + body.length;
    const fits =
      !this.#saysNoTable &&
      bodyBytes <= MAX_FRAME_BYTES &&
      bodyBytes <= this.#windowBytes &&
      bodyBytes <= stream.sendWindowBytes &&
      !this.outbox.congested;
    if (!fits) {
      // What comes between must not shift the table, so these stay out of it.
      this.headers(stream, response.headers.literal, false);
      stream.write(Buffer.concat([head, body]));
      stream.end(response.trailers.literal);
      return;
    }
    this.#windowBytes -= bodyBytes;
    const trailers = response.trailers[form];
    if (form === 'opening') this.#inTable = response;
    let at = this.outbox.reserve(3 * FRAME_HEADER_BYTES + headers.length + bodyBytes + trailers.length);
    const out = this.outbox.buffer;
    const { id } = stream;
    writeFrameHeader(out, at, headers.length, FrameType.headers, FrameFlag.endHeaders, id);
    at = copy(headers, out, at + FRAME_HEADER_BYTES);
    writeFrameHeader(out, at, bodyBytes, FrameType.data, 0, id);
    at = copy(head, out, at + FRAME_HEADER_BYTES);
    at = copy(body, out, at);
    writeFrameHeader(out, at, trailers.length, FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream, id);
    copy(trailers, out, at + FRAME_HEADER_BYTES);
    this.#onEnded(stream);
  }

  #formFor(response: PreparedResponse): 'literal' | 'opening' | 'indexed' {
    if (this.#inTable === response) return 'indexed';
    const needed = response.headers.tableBytes + response.trailers.tableBytes;
    return this.#inTable === undefined && needed <= this.#peerTableBytes ? 'opening' : 'literal';
  }

  /** As much of what the stream holds back as there is room for. Returns whether nothing is left. */
  pump(stream: ServerStream): boolean {
    const { pending } = stream;
    while (stream.pendingBytes > 0) {
      const room = Math.min(this.#windowBytes, stream.sendWindowBytes, MAX_FRAME_BYTES, stream.pendingBytes);
      if (room <= 0 || this.outbox.congested) {
        if (stream.sendWindowBytes > 0) this.#waiting.add(stream);
        return false;
      }
      this.#data(stream, pending, room);
    }
    this.#waiting.delete(stream);
    if (stream.pendingTrailers !== undefined) this.headers(stream, stream.pendingTrailers, true);
    return true;
  }

  /** One DATA frame of `bytes` bytes from the front of what is pending. */
  #data(stream: ServerStream, pending: Uint8Array[], bytes: number): void {
    this.#windowBytes -= bytes;
    stream.sendWindowBytes -= bytes;
    stream.pendingBytes -= bytes;
    let at = this.outbox.reserve(FRAME_HEADER_BYTES + bytes);
    const out = this.outbox.buffer;
    writeFrameHeader(out, at, bytes, FrameType.data, 0, stream.id);
    at += FRAME_HEADER_BYTES;
    let left = bytes;
    let taken = 0;
    while (left > 0) {
      const piece = pending[taken] as Uint8Array;
      if (piece.length > left) {
        at = copy(piece.subarray(0, left), out, at);
        pending[taken] = piece.subarray(left);
        break;
      }
      at = copy(piece, out, at);
      left -= piece.length;
      taken++;
    }
    if (taken > 0) pending.splice(0, taken);
  }

  /** The peer takes more on the connection. False: beyond what a window may be. */
  grow(bytes: number): boolean {
    this.#windowBytes += bytes;
    if (this.#windowBytes > MAX_WINDOW_BYTES) return false;
    this.pumpWaiting();
    return true;
  }

  /** After the stream's own window has grown. */
  pumpOne(stream: ServerStream): void {
    if (stream.pendingBytes > 0 && this.pump(stream) && !stream.closed) stream.listener?.onDrain();
  }

  /** After there is room again. */
  pumpWaiting(): void {
    // Whoever is served goes to the end, if it still waits, and that is where there is no more room.
    for (const stream of this.#waiting) {
      if (this.#windowBytes <= 0 || this.outbox.congested) return;
      this.#waiting.delete(stream);
      if (!stream.closed && this.pump(stream) && !stream.closed) stream.listener?.onDrain();
    }
  }

  /** The stream is closed, and holds nothing back any more. */
  forget(stream: ServerStream): void {
    if (stream.pendingBytes > 0) {
      stream.pending.length = 0;
      stream.pendingBytes = 0;
    }
    this.#waiting.delete(stream);
    stream.whenClosed?.();
  }

  reset(streamId: number, code: number): void {
    this.#number(FrameType.rstStream, streamId, code);
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.#number(FrameType.windowUpdate, streamId, bytes);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, or what it is without one. */
  setPeerTableBytes(bytes = DEFAULT_TABLE_BYTES): void {
    this.#peerTableBytes = Math.min(bytes, DEFAULT_TABLE_BYTES);
    if (this.#peerTableBytes === this.#tableBytes) return;
    // The next block has to say so (RFC 7541, 4.2). To go on with fields in a table that changes is not worth the while.
    this.#tableBytes = 0;
    this.#peerTableBytes = 0;
    this.#inTable = undefined;
    this.#saysNoTable = true;
  }

  #number(type: number, streamId: number, value: number): void {
    const at = this.outbox.reserve(FRAME_HEADER_BYTES + 4);
    const out = this.outbox.buffer;
    writeFrameHeader(out, at, 4, type, 0, streamId);
    writeUint32(out, at + FRAME_HEADER_BYTES, value);
  }

  #frame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, length: number): void {
    const at = this.outbox.reserve(FRAME_HEADER_BYTES + length);
    const out = this.outbox.buffer;
    writeFrameHeader(out, at, length, type, flags, streamId);
    copy(
      from === 0 && length === bytes.length ? bytes : bytes.subarray(from, from + length),
      out,
      at + FRAME_HEADER_BYTES,
    );
  }
}

/** Returns the place behind the copy. A loop is quicker than a call for the few bytes that there mostly are. */
function copy(bytes: Uint8Array, out: Buffer, at: number): number {
  const { length } = bytes;
  if (length > 48) out.set(bytes, at);
  else for (let index = 0; index < length; index++) out[at + index] = bytes[index] as number;
  return at + length;
}
