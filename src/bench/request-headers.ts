// The headers of one flow's calls, encoded once before the run.

import { MAX_FRAME_BYTES } from '../http2/frames.ts';
import { encodeHeaderBlocks } from '../http2/header-encoder.ts';
import { DEFAULT_TABLE_BYTES } from '../http2/static-table.ts';

/** HPACK: the encoder, we, won't use the dynamic table. Due where the peer has made it smaller than the default. */
const SIZE_UPDATE_TO_ZERO = 0x20;

export class RequestHeaders {
  readonly #literal: Buffer;
  readonly #opening: Buffer;
  readonly #indexed: Buffer;
  readonly #tableBytes: number;

  /**
   * @param path such as /scorewire.v1.ScoringService/Score
   * @param metadata further request headers, names in lower case
   */
  constructor(authority: string, path: string, metadata: readonly (readonly [string, string])[] = []) {
    const { literal, opening, indexed, tableBytes } = encodeHeaderBlocks([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', authority],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ['user-agent', 'scorewire-bench'],
      ...metadata,
    ]);
    // With the byte that `opening` may put before it.
    if (literal.length >= MAX_FRAME_BYTES) throw new RangeError('request headers larger than one frame');
    this.#literal = Buffer.from(literal);
    this.#opening = Buffer.from(opening);
    this.#indexed = Buffer.from(indexed);
    this.#tableBytes = tableBytes;
  }

  /** Of the first call of a connection: tells the peer what its dynamic table is for. */
  opening(usesTable: boolean): Buffer {
    return usesTable ? this.#opening : Buffer.from([SIZE_UPDATE_TO_ZERO, ...this.#literal]);
  }

  /** Of a call after `opening`, on the same connection. */
  following(usesTable: boolean): Buffer {
    return usesTable ? this.#indexed : this.#literal;
  }

  /** The peer's dynamic table has its default size or a larger one, and holds our headers. */
  fitTable(tableBytes: number): boolean {
    return tableBytes >= DEFAULT_TABLE_BYTES && this.#tableBytes <= DEFAULT_TABLE_BYTES;
  }
}
