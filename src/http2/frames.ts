// HTTP/2 frames (RFC 9113), written one by one, and a reader that hands every frame on without an object for it.

export const FRAME_HEADER_BYTES = 9;
/** The largest frame payload that every peer must take, and the largest that we let a peer send. */
export const MAX_FRAME_BYTES = 16_384;
/** The largest that SETTINGS_MAX_FRAME_SIZE can be. */
export const LARGEST_MAX_FRAME_BYTES = 2 ** 24 - 1;
export const DEFAULT_WINDOW_BYTES = 65_535;
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** ACK shares its bit with END_STREAM. */
export const FrameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const SettingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** One whole frame. */
export function encodeFrame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(frame, 0, payload.length, type, flags, streamId);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

export function writeFrameHeader(
  out: Buffer,
  at: number,
  payloadBytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  out[at] = payloadBytes >>> 16;
  out[at + 1] = payloadBytes >>> 8;
  out[at + 2] = payloadBytes;
  out[at + 3] = type;
  out[at + 4] = flags;
  writeUint32(out, at + 5, streamId);
}

/** As Buffer's own, which checks more and takes four times as long. */
export function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * settings.length);
  settings.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  });
  return encodeFrame(FrameType.settings, 0, 0, payload);
}

export function windowUpdateFrame(streamId: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return encodeFrame(FrameType.windowUpdate, 0, streamId, payload);
}

/** @param debug for whoever reads the client's log; ASCII */
export function goAwayFrame(lastStreamId: number, code: number, debug = ''): Buffer {
  const payload = Buffer.alloc(8 + debug.length);
  payload.writeUInt32BE(lastStreamId);
  payload.writeUInt32BE(code, 4);
  payload.write(debug, 8, 'latin1');
  return encodeFrame(FrameType.goAway, 0, 0, payload);
}

export const SETTINGS_ACK: Buffer = encodeFrame(FrameType.settings, FrameFlag.ack, 0, new Uint8Array(0));

/** What a client sends first on a connection: no dynamic table and no pushes for the peer, windows as large as they get. */
export function clientPreface(): Buffer {
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
    settingsFrame([
      [SettingId.headerTableSize, 0],
      [SettingId.enablePush, 0],
      [SettingId.initialWindowSize, MAX_WINDOW_BYTES],
    ]),
    windowUpdateFrame(0, MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES),
  ]);
}

/** Takes one frame; its payload is bytes[start, end), valid during the call only. */
export type FrameHandler = (
  type: number,
  flags: number,
  streamId: number,
  bytes: Buffer,
  start: number,
  end: number,
) => void;

export class FrameError extends Error {
  override name = 'FrameError';
}

/** Cuts chunks of any size into frames. Frames that lie whole in a chunk are handed on in place. */
export class FrameReader {
  readonly #onFrame: FrameHandler;
  /** The frame that the last chunk broke off in. */
  readonly #broken = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + MAX_FRAME_BYTES);
  #brokenBytes = 0;

  constructor(onFrame: FrameHandler) {
    this.#onFrame = onFrame;
  }

  /** Reads chunk[0, length). */
  read(chunk: Buffer, length: number): void {
    let at = this.#brokenBytes > 0 ? this.#mend(chunk, length) : 0;
    while (length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + payloadBytesAt(chunk, at);
      if (end > length) break;
      this.#hand(chunk, at, end);
      at = end;
    }
    if (at < length) {
      chunk.copy(this.#broken, this.#brokenBytes, at, length);
      this.#brokenBytes += length - at;
    }
  }

  /** Completes the broken frame as far as the chunk reaches; returns how many of the chunk's bytes that took. */
  #mend(chunk: Buffer, length: number): number {
    let taken = 0;
    if (this.#brokenBytes < FRAME_HEADER_BYTES) {
      taken = Math.min(FRAME_HEADER_BYTES - this.#brokenBytes, length);
      chunk.copy(this.#broken, this.#brokenBytes, 0, taken);
      this.#brokenBytes += taken;
      if (this.#brokenBytes < FRAME_HEADER_BYTES) return taken;
    }
    const frameBytes = FRAME_HEADER_BYTES + payloadBytesAt(this.#broken, 0);
    const more = Math.min(frameBytes - this.#brokenBytes, length - taken);
    chunk.copy(this.#broken, this.#brokenBytes, taken, taken + more);
    this.#brokenBytes += more;
    if (this.#brokenBytes === frameBytes) {
      this.#brokenBytes = 0;
      this.#hand(this.#broken, 0, frameBytes);
    }
    return taken + more;
  }

  #hand(bytes: Buffer, at: number, end: number): void {
    this.#onFrame(
      bytes[at + 3] as number,
      bytes[at + 4] as number,
      readUint31(bytes, at + 5),
      bytes,
      at + FRAME_HEADER_BYTES,
      end,
    );
  }
}

function payloadBytesAt(bytes: Buffer, at: number): number {
  const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
  if (length > MAX_FRAME_BYTES)
    throw new FrameError(`frame of ${length} bytes, though our limit is ${MAX_FRAME_BYTES}`);
  return length;
}

/** A big-endian number whose highest bit is reserved. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) & 0x7f) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
