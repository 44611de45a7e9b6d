// The items of a ScoreStream, encoded once before the run: only their ids are missing in them.

import { FRAME_HEADER_BYTES, FrameType, MAX_FRAME_BYTES, writeFrameHeader } from '../http2/frames.ts';
import { MESSAGE_PREFIX_BYTES } from './grpc-messages.ts';

/** Tags of ScoreStreamRequest.items, StreamItem.id and StreamItem.request. */
const ITEMS_TAG = 0x0a;
const ID_TAG = 0x08;
const REQUEST_TAG = 0x12;
/** What a varint from 2^28 to 2^35 takes: ids of such a size all have one length. */
export const ID_BYTES = 5;
/** Ids lie from here on, below 2^32. */
export const FIRST_ID = 2 ** 31;

/** The most bytes of a message that go out as one frame, without a detour. */
export const MAX_ONE_FRAME_BYTES = MAX_FRAME_BYTES;

export class PreparedItems {
  readonly count: number;
  /** One item of a ScoreStreamRequest each, with its tag and length. */
  readonly bytes: readonly Buffer[];
  /** Where in `bytes` the id belongs. */
  readonly idOffsets: Int32Array;

  /** @param requests encoded ScoreRequests */
  constructor(requests: readonly Uint8Array[]) {
    if (requests.length === 0) throw new RangeError('a flow needs at least one message');
    this.count = requests.length;
    const lengths = requests.map((request) =>
      varint(1 + ID_BYTES + 1 + varint(request.length).length + request.length),
    );
    this.idOffsets = Int32Array.from(lengths, ({ length }) => 1 + length + 1);
    this.bytes = requests.map((request, index) =>
      Buffer.concat([
        Buffer.from([ITEMS_TAG, ...(lengths[index] as number[]), ID_TAG]),
        Buffer.alloc(ID_BYTES),
        Buffer.from([REQUEST_TAG, ...varint(request.length)]),
        request,
      ]),
    );
  }

  /** Bytes of DATA that a message of `items` items from the one at `first` on has. */
  messageBytes(first: number, items: number): number {
    let bytes = MESSAGE_PREFIX_BYTES;
    for (let index = 0, call = first; index < items; index++, call++) {
      if (call === this.count) call = 0;
      bytes += (this.bytes[call] as Buffer).length;
    }
    return bytes;
  }
}

/** Writes the header of a DATA frame and of the one message in it, 14 bytes. */
export function writeMessageHead(out: Buffer, dataBytes: number, streamId: number): void {
  writeFrameHeader(out, 0, dataBytes, FrameType.data, 0, streamId);
  writeMessagePrefix(out, FRAME_HEADER_BYTES, dataBytes);
}

export function writeMessagePrefix(out: Buffer, at: number, dataBytes: number): void {
  out[at] = 0;
  out.writeUInt32BE(dataBytes - MESSAGE_PREFIX_BYTES, at + 1);
}

/** Writes an id from FIRST_ID on. */
export function writeId(out: Buffer, at: number, id: number): void {
  out[at] = (id & 0x7f) | 0x80;
  out[at + 1] = ((id >>> 7) & 0x7f) | 0x80;
  out[at + 2] = ((id >>> 14) & 0x7f) | 0x80;
  out[at + 3] = ((id >>> 21) & 0x7f) | 0x80;
  out[at + 4] = id >>> 28;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}
