// The calls of one flow, encoded once before the run: only the stream's id is missing in them.

import { FRAME_HEADER_BYTES, FrameFlag, FrameType, MAX_FRAME_BYTES, writeFrameHeader } from '../http2/frames.ts';
import { framed } from './grpc-messages.ts';
import type { RequestHeaders } from './request-headers.ts';

/** One call as it goes on the wire. */
export interface PreparedCall {
  bytes: Buffer;
  /** Where in `bytes` the stream's id belongs, once a frame. */
  streamIdOffsets: readonly number[];
  /** Bytes of DATA payload, which count against the peer's windows. */
  dataBytes: number;
}

/** Every call of a flow, in the forms that a connection may need. */
export class PreparedCalls {
  readonly count: number;
  readonly #headers: RequestHeaders;
  readonly #messages: readonly Uint8Array[];
  readonly #literal: PreparedCall[];
  readonly #indexed: PreparedCall[];

  /** @param messages encoded requests, without gRPC's five-byte prefix */
  constructor(headers: RequestHeaders, messages: readonly Uint8Array[]) {
    if (messages.length === 0) throw new RangeError('a flow needs at least one message');
    this.#headers = headers;
    this.#messages = messages;
    this.count = messages.length;
    this.#literal = messages.map((message) => prepareCall(headers.following(false), message));
    this.#indexed = messages.map((message) => prepareCall(headers.following(true), message));
  }

  /** The most bytes of DATA payload that any of the calls has. */
  get maxDataBytes(): number {
    return this.#literal.reduce((most, { dataBytes }) => Math.max(most, dataBytes), 0);
  }

  /** The first call of a connection: tells the peer what its dynamic table is for. */
  opening(index: number, usesTable: boolean): PreparedCall {
    return prepareCall(this.#headers.opening(usesTable), this.#messages[index] as Uint8Array);
  }

  /** A call after `opening`, on the same connection. */
  following(index: number, usesTable: boolean): PreparedCall {
    return (usesTable ? this.#indexed : this.#literal)[index] as PreparedCall;
  }

  /** The peer's dynamic table has its default size or a larger one, and holds our headers. */
  fitsTable(tableBytes: number): boolean {
    return this.#headers.fitTable(tableBytes);
  }
}

function prepareCall(headerBlock: Uint8Array, message: Uint8Array): PreparedCall {
  const data = framed(message);
  const dataFrames = Math.ceil(data.length / MAX_FRAME_BYTES);
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES * (1 + dataFrames) + headerBlock.length + data.length);
  const streamIdOffsets: number[] = [];
  let at = 0;
  const frame = (type: number, flags: number, payload: Uint8Array): void => {
    writeFrameHeader(bytes, at, payload.length, type, flags, 0);
    streamIdOffsets.push(at + 5);
    bytes.set(payload, at + FRAME_HEADER_BYTES);
    at += FRAME_HEADER_BYTES + payload.length;
  };
  frame(FrameType.headers, FrameFlag.endHeaders, headerBlock);
  for (let start = 0; start < data.length; start += MAX_FRAME_BYTES) {
    const end = Math.min(start + MAX_FRAME_BYTES, data.length);
    frame(FrameType.data, end === data.length ? FrameFlag.endStream : 0, data.subarray(start, end));
  }
  return { bytes, streamIdOffsets, dataBytes: data.length };
}
