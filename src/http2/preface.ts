// How a connection begins: a client of HTTP/2 says so in 24 bytes. Others get an answer that they can read.
import { protocolError } from './error-codes.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** For clients of HTTP/1. */
export const HTTP1_ANSWER =
  'HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nThis port speaks gRPC over HTTP/2.\n';

export class Preface {
  #bytes = 0;

  get complete(): boolean {
    return this.#bytes === PREFACE.length;
  }

  /**
   * What comes behind the preface, or 'http1' where the client speaks that.
   * @throws ConnectionError where it speaks neither
   */
  read(chunk: Buffer): Buffer | 'http1' {
    const taken = Math.min(chunk.length, PREFACE.length - this.#bytes);
    if (chunk.compare(PREFACE, this.#bytes, this.#bytes + taken, 0, taken) === 0) {
      this.#bytes += taken;
      return chunk.subarray(taken);
    }
    if (this.#bytes === 0 && /^[A-Z]+ \S+ HTTP\/1/.test(chunk.toString('latin1', 0, 1000))) return 'http1';
    throw protocolError("expected HTTP/2's preface");
  }
}
