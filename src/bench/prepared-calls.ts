// The calls of one flow, encoded once before the run: only the stream's id is missing in them.

import { FRAME_HEADER_BYTES, FrameFlag, FrameType, MAX_FRAME_BYTES, writeFrameHeader } from '../http2/frames.ts';
import { encodeHeaderBlocks, type HeaderBlocks } from '../http2/header-encoder.ts';

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
  readonly #blocks: HeaderBlocks;
  readonly #messages: readonly Uint8Array[];
  readonly #literal: PreparedCall[];
  readonly #indexed: PreparedCall[];

  /**
   * @param path such as /scorewire.v1.ScoringService/Score
   * @param messages encoded requests, without gRPC's five-byte prefix
   * @param metadata further request headers, names in lower case
   */
  constructor(
    authority: string,
    path: string,
    messages: readonly Uint8Array[],
    metadata: readonly (readonly [string, string])[] = [],
  ) {
    if (messages.length === 0) throw new RangeError('a flow needs at least one message');
    this.#blocks = encodeHeaderBlocks([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', authority],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ['user-agent', 'scorewire-bench'],
      ...metadata,
    ]);
    this.#messages = messages;
    this.count = messages.length;
    this.#literal = messages.map((message) => prepareCall(this.#blocks.literal, message));
    this.#indexed = messages.map((message) => prepareCall(this.#blocks.indexed, message));
  }

  /** The most bytes of DATA payload that any of the calls has. */
  get maxDataBytes(): number {
    return this.#literal.reduce((most, { dataBytes }) => Math.max(most, dataBytes), 0);
  }

  /** The first call of a connection: tells the peer what its dynamic table is for. */
  opening(index: number, usesTable: boolean): PreparedCall {
    const { opening, literal } = this.#blocks;
    const block = usesTable ? opening : Uint8Array.from([SIZE_UPDATE_TO_ZERO, ...literal]);
    return prepareCall(block, this.#messages[index] as Uint8Array);
  }

  /** A call after `opening`, on the same connection. */
  following(index: number, usesTable: boolean): PreparedCall {
    return (usesTable ? this.#indexed : this.#literal)[index] as PreparedCall;
  }

  /** The peer's dynamic table has its default size or a larger one, and holds our headers. */
  fitsTable(tableBytes: number): boolean {
    return tableBytes >= DEFAULT_TABLE_BYTES && this.#blocks.tableBytes <= DEFAULT_TABLE_BYTES;
  }
}

const MESSAGE_PREFIX_BYTES = 5;
const DEFAULT_TABLE_BYTES = 4_096;
/** HPACK: the encoder, we, won't use the dynamic table. Due where the peer has made it smaller than the default. */
const SIZE_UPDATE_TO_ZERO = 0x20;

function prepareCall(headerBlock: Uint8Array, message: Uint8Array): PreparedCall {
  const data = Buffer.alloc(MESSAGE_PREFIX_BYTES + message.length);
  data.writeUInt32BE(message.length, 1);
  data.set(message, MESSAGE_PREFIX_BYTES);
  const dataFrames = Math.ceil(data.length / MAX_FRAME_BYTES);
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES * (1 + dataFrames) + headerBlock.length + data.length);
  const streamIdOffsets: number[] = [];
  let at = 0;
  const frame = (type: number, flags: number, payload: Uint8Array): void => {
    writeFrameHeader(bytes, at, payload.length, type, flags, 0);
    streamIdOffsets.push(at + 5);
    bytes.set(payload, at + FRAME_HEADER_BYTES);
    at += FRAME_HEADER_BYTES + payload.length;
  };
  if (headerBlock.length > MAX_FRAME_BYTES) throw new RangeError('request headers larger than one frame');
  frame(FrameType.headers, FrameFlag.endHeaders, headerBlock);
  for (let start = 0; start < data.length; start += MAX_FRAME_BYTES) {
    const end = Math.min(start + MAX_FRAME_BYTES, data.length);
    frame(FrameType.data, end === data.length ? FrameFlag.endStream : 0, data.subarray(start, end));
  }
  return { bytes, streamIdOffsets, dataBytes: data.length };
}
