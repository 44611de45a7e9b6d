// A client of HTTP/2 that sends whatever frames a test wants, and keeps what comes back.
import net from 'node:net';
import tls from 'node:tls';
import {
  encodeFrame,
  FrameFlag,
  FrameReader,
  FrameType,
  settingsFrame,
  windowUpdateFrame,
  writeUint32,
} from '../../src/http2/frames.ts';
import { HeaderDecoder } from '../../src/http2/header-decoder.ts';
import { encodeHeaders, type HeaderField } from '../../src/http2/header-encoder.ts';
import { eventually } from './concurrently.ts';

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export type SeenFrame = { type: number; flags: number; id: number; payload: Buffer };

/** What came back on one stream. */
export type SeenStream = {
  headers: Record<string, string>;
  trailers: Record<string, string> | undefined;
  body: Buffer;
  ended: boolean;
  /** The code of RST_STREAM. */
  reset: number | undefined;
};

export class RawPeer {
  readonly socket: net.Socket;
  readonly frames: SeenFrame[] = [];
  /** Whether the server has ended or cut the connection. */
  closed = false;
  readonly #decoder = new HeaderDecoder(1 << 20);
  #block = Buffer.alloc(0);
  readonly #streams = new Map<number, SeenStream>();

  private constructor(socket: net.Socket) {
    this.socket = socket;
    const reader = new FrameReader((type, flags, id, bytes, start, end) => {
      this.#take({ type, flags, id, payload: Buffer.from(bytes.subarray(start, end)) });
    });
    socket.on('data', (chunk: Buffer) => reader.read(chunk, chunk.length));
    for (const ending of ['end', 'error', 'close']) {
      socket.on(ending, () => {
        this.closed = true;
      });
    }
  }

  /** Connected, and nothing sent yet. */
  static async connect(port: number, options?: tls.ConnectionOptions): Promise<RawPeer> {
    const host = '127.0.0.1';
    const socket =
      options === undefined
        ? net.connect({ port, host })
        : tls.connect({ port, host, rejectUnauthorized: false, ...options });
    const peer = new RawPeer(socket);
    await new Promise((resolve, reject) => {
      socket.once(options === undefined ? 'connect' : 'secureConnect', resolve);
      socket.once('error', reject);
    });
    return peer;
  }

  /** Connected, and its SETTINGS acknowledged. */
  static async open(port: number, settings: readonly (readonly [number, number])[] = []): Promise<RawPeer> {
    const peer = await RawPeer.connect(port);
    peer.send(PREFACE, settingsFrame(settings));
    await peer.find(FrameType.settings, ({ flags }) => flags === FrameFlag.ack);
    return peer;
  }

  send(...pieces: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  /** The first frame of that type, once it is there. */
  async find(type: number, fits: (frame: SeenFrame) => boolean = () => true): Promise<SeenFrame> {
    const search = () => this.frames.find((frame) => frame.type === type && fits(frame));
    await eventually(() => search() !== undefined || this.closed);
    const found = search();
    if (found === undefined) throw new Error(`the connection ended, and no frame of type ${type} came`);
    return found;
  }

  stream(id: number): SeenStream {
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      stream = { headers: {}, trailers: undefined, body: Buffer.alloc(0), ended: false, reset: undefined };
      this.#streams.set(id, stream);
    }
    return stream;
  }

  /** The stream once it is over. */
  async over(id: number): Promise<SeenStream> {
    const stream = this.stream(id);
    await eventually(() => stream.ended || stream.reset !== undefined || this.closed);
    return stream;
  }

  /** The error code of the GOAWAY that the server sent, once it has ended the connection. */
  async goneAway(): Promise<number> {
    await eventually(() => this.closed);
    return (await this.find(FrameType.goAway)).payload.readUInt32BE(4);
  }

  /** Resolves when the server has read all that was sent so far. */
  async heard(): Promise<void> {
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(++this.#pings, 4);
    this.send(encodeFrame(FrameType.ping, 0, 0, payload));
    await this.find(FrameType.ping, (frame) => frame.flags === FrameFlag.ack && frame.payload.equals(payload));
  }
  #pings = 0;

  destroy(): void {
    this.socket.destroy();
  }

  #take(frame: SeenFrame): void {
    this.frames.push(frame);
    const { type, flags, id, payload } = frame;
    if (type === FrameType.rstStream) this.stream(id).reset = payload.readUInt32BE(0);
    if (type === FrameType.data) {
      const stream = this.stream(id);
      stream.body = Buffer.concat([stream.body, payload]);
    }
    if (type === FrameType.headers || type === FrameType.continuation) {
      this.#block = Buffer.concat([this.#block, payload]);
      if ((flags & FrameFlag.endHeaders) !== 0) this.#takeBlock(id);
    }
    if ((type === FrameType.data || type === FrameType.headers) && (flags & FrameFlag.endStream) !== 0) {
      this.stream(id).ended = true;
    }
  }

  #takeBlock(id: number): void {
    const fields = this.#decoder.decode(this.#block, 0, this.#block.length) ?? [];
    this.#block = Buffer.alloc(0);
    const found = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
    if (found[':status'] === undefined) this.stream(id).trailers = found;
    else this.stream(id).headers = found;
  }
}

const REQUEST: readonly HeaderField[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/'],
];

/** HEADERS of a request, whole in one frame. */
export function headersFrame(id: number, more: readonly HeaderField[] = [], end = false): Buffer {
  return blockFrame(id, encodeHeaders([...REQUEST, ...more]), end);
}

/** HEADERS with that block. */
export function blockFrame(id: number, block: Uint8Array, end = false): Buffer {
  return encodeFrame(FrameType.headers, FrameFlag.endHeaders | (end ? FrameFlag.endStream : 0), id, block);
}

export function dataFrame(id: number, body: Uint8Array | string, end = false): Buffer {
  return encodeFrame(FrameType.data, end ? FrameFlag.endStream : 0, id, Buffer.from(body));
}

export function resetFrame(id: number, code = 8): Buffer {
  return encodeFrame(FrameType.rstStream, 0, id, uint32(code));
}

/** A WINDOW_UPDATE; 0 is one that may not be. */
export const moreRoom = windowUpdateFrame;

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, value);
  return bytes;
}
