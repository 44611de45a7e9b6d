// The frames of a client in the order that a connection must have them in: its preface, SETTINGS, and then no frame between the
// parts of a header block.
import { ConnectionError, ErrorCode, protocolError } from './error-codes.ts';
import { FrameError, FrameFlag, type FrameHandler, FrameReader, FrameType } from './frames.ts';
import { HeaderError } from './header-decoder.ts';
import { Preface } from './preface.ts';

export class FrameSequence {
  readonly #preface = new Preface();
  readonly #frames: FrameReader;
  readonly #openBlock: () => number;
  readonly #onFrame: FrameHandler;
  #settled = false;

  /** @param openBlock the stream whose header block goes on, or 0 */
  constructor(openBlock: () => number, onFrame: FrameHandler) {
    this.#openBlock = openBlock;
    this.#onFrame = onFrame;
    this.#frames = new FrameReader(this.#check);
  }

  /** Hands the frames in the chunk on. 'http1': the client speaks that. @throws ConnectionError */
  read(chunk: Buffer): 'http1' | undefined {
    try {
      const frames = this.#preface.complete ? chunk : this.#preface.read(chunk);
      if (frames === 'http1') return frames;
      if (frames.length > 0) this.#frames.read(frames, frames.length);
    } catch (error) {
      if (error instanceof HeaderError) throw new ConnectionError(ErrorCode.compressionError, error.message);
      if (error instanceof FrameError) throw new ConnectionError(ErrorCode.frameSizeError, error.message);
      throw error;
    }
  }

  readonly #check: FrameHandler = (type, flags, id, bytes, start, end) => {
    if (!this.#settled) {
      if (type !== FrameType.settings || (flags & FrameFlag.ack) !== 0) throw protocolError('expected SETTINGS first');
      this.#settled = true;
    }
    const open = this.#openBlock();
    if (open === 0 ? type === FrameType.continuation : type !== FrameType.continuation || id !== open) {
      throw protocolError('CONTINUATION is not where it belongs');
    }
    this.#onFrame(type, flags, id, bytes, start, end);
  };
}
