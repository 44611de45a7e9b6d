// One call with streams of messages, either way, on its HTTP/2 stream.
import { writeUint32 } from '../http2/frames.ts';
import type { Peer } from '../http2/peer.ts';
import type { RequestHead } from '../http2/request-head.ts';
import type { ServerStream, StreamListener } from '../http2/stream.ts';
import {
  CUT_SHORT,
  EXPIRED,
  MAX_TIMER_MS,
  MORE_MESSAGES,
  NO_MESSAGE,
  NO_ROOM,
  OK_RESPONSE,
  PREFIX_BYTES,
  type RefusedStatus,
  statusOnly,
  statusTrailers,
  timeoutMsOf,
  tooLarge,
  unpack,
  wrongTimeout,
} from './call-head.ts';
import { LARGE_BYTES, type MessageBudget } from './message-budget.ts';
import { MessageBuffer } from './message-buffer.ts';

/** What a method does in a call; nothing is called any more once the call has ended. */
export interface StreamHandler {
  /** A whole message, valid during the call only. Not called while the call is paused. */
  onMessage(message: Buffer): void;
  /** The caller has sent all. */
  onEnd(): void;
  /** There is room again, after a `send` that returned false. */
  onDrain(): void;
  /** The call ended by the caller, by its deadline, or by what it sent. */
  onAbort(): void;
}

export type StreamMethod = {
  /** As in `/grpc.health.v1.Health/Watch`. */
  path: string;
  /** Larger messages than other methods take. */
  maxMessageBytes?: number;
  /** What a caller can do whose message of so many bytes is larger than it may be. */
  tooLargeHint?: (bytes: number, maxBytes: number) => string;
  /** Messages of more bytes stay valid until `release` or the call's end; absent: none. */
  keepsMessagesAbove?: number;
  open: (call: StreamCall) => StreamHandler;
};

export class StreamCall implements StreamListener {
  /** When the call began, `performance.now()` milliseconds. */
  readonly startedMs = performance.now();
  /** When the caller gives up, on the same clock; Infinity where it doesn't say. */
  readonly deadlineMs: number;
  readonly #head: RequestHead;
  readonly #stream: ServerStream;
  readonly #method: StreamMethod;
  readonly #maxMessageBytes: number;
  readonly #budget: MessageBudget;
  /** What the call has of the budget. */
  #heldBytes = 0;
  /** And for messages that wait for the caller to read. */
  #unsentBytes = 0;
  #lent: Buffer | undefined;
  #handler: StreamHandler | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #rest = new MessageBuffer();
  #paused = false;
  #unpacking = false;
  /** A message that was compressed, and is to be handed on next. */
  #unpacked: Buffer | undefined;
  /** Messages are being handed on: whoever resumes in between finds it under way. */
  #reading = false;
  /** The caller has sent all, which the handler has yet to hear. */
  #endDue = false;
  #answered = false;
  #ended = false;

  private constructor(
    stream: ServerStream,
    head: RequestHead,
    method: StreamMethod,
    maxMessageBytes: number,
    budget: MessageBudget,
    timeoutMs: number,
  ) {
    this.#head = head;
    this.#stream = stream;
    this.#method = method;
    this.#maxMessageBytes = method.maxMessageBytes ?? maxMessageBytes;
    this.#budget = budget;
    this.deadlineMs = this.startedMs + (timeoutMs >= 0 ? timeoutMs : Number.POSITIVE_INFINITY);
    if (timeoutMs <= MAX_TIMER_MS) this.#timer = setTimeout(expire, Math.ceil(timeoutMs), this);
  }

  /** Serves the call that `stream` is. A message above `maxMessageBytes`, unpacked or not, ends it. */
  static serve(
    stream: ServerStream,
    head: RequestHead,
    method: StreamMethod,
    maxMessageBytes: number,
    budget: MessageBudget,
  ): void {
    const timeoutMs = timeoutMsOf(head);
    const call = new StreamCall(stream, head, method, maxMessageBytes, budget, timeoutMs);
    stream.listener = call;
    if (Number.isNaN(timeoutMs)) call.refuse(wrongTimeout(head));
    else call.#handler = method.open(call);
  }

  get peer(): Peer {
    return this.#stream.peer;
  }

  /** A request header. */
  header(name: string): string | undefined {
    return this.#head.get(name);
  }

  /** Whether the call has ended, by whomever. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Sends a message. False: enough for now, `onDrain` says when to go on. */
  send(message: Uint8Array): boolean {
    const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
    framed.set(message, PREFIX_BYTES);
    return this.sendFramed(framed);
  }

  /**
   * Sends a message that has room for its prefix in front. False: enough for now, `onDrain` says when to go on.
   * @param held bytes that the caller holds for it: they are given back once it is sent, or can't be
   */
  sendFramed(framed: Buffer, held = 0): boolean {
    if (this.#ended) {
      this.#budget.giveBack(held);
      return true;
    }
    if (!this.#answered) {
      this.#answered = true;
      this.#stream.headers(OK_RESPONSE.headers.literal, false);
    }
    framed[0] = 0;
    writeUint32(framed, 1, framed.length - PREFIX_BYTES);
    const sent = this.#stream.write(framed);
    if (sent) {
      this.#budget.giveBack(held);
    } else if (held > 0) {
      this.#unsentBytes += held;
      this.#stream.whenClosed = this.#onSent;
    }
    return sent;
  }

  readonly #onSent = (): void => {
    this.#budget.giveBack(this.#unsentBytes);
    this.#unsentBytes = 0;
  };

  /** Ends the call well. */
  end(): void {
    if (!this.#settle()) return;
    if (!this.#answered) this.#stream.headers(OK_RESPONSE.headers.literal, false);
    this.#stream.end(OK_RESPONSE.trailers.literal);
  }

  /** Ends the call with an error, after what was sent. */
  refuse(status: RefusedStatus): void {
    if (!this.#settle()) return;
    if (this.#answered) this.#stream.end(statusTrailers(status));
    else this.#stream.headers(statusOnly(status), true);
  }

  /** Nobody reads messages any more that have come so far; to be called while the call is paused. */
  release(): void {
    this.#budget.giveBack(this.#heldBytes);
    this.#heldBytes = 0;
    // What came behind the messages may lie in it: then it goes when that is read.
    if (this.#lent !== undefined && this.#rest.size === 0) this.#budget.return(this.#lent);
    this.#lent = undefined;
  }

  /**
   * Makes sure that there is room for so many bytes of what was made of messages. False: there is none now.
   * @throws ScorewireError INVALID_ARGUMENT where there never is
   */
  hold(bytes: number): boolean {
    this.#budget.check(bytes);
    return this.#budget.take(bytes);
  }

  /** Whoever held so many bytes gives them back, be the call over or not. */
  giveBack(bytes: number): void {
    this.#budget.giveBack(bytes);
  }

  /** Takes no more messages until `resume`; the caller soon finds that there is no more room. */
  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#readOn();
  }

  #settle(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#rest.clear();
    this.#budget.giveBack(this.#heldBytes);
    this.#heldBytes = 0;
    if (this.#lent !== undefined) this.#budget.return(this.#lent);
    this.#lent = undefined;
    this.#unpacked = undefined;
    return true;
  }

  /** Ends the call for a reason that its handler doesn't know yet. */
  abort(status: RefusedStatus): void {
    if (this.#ended) return;
    this.refuse(status);
    this.#handler?.onAbort();
  }

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.#ended) return;
    let at = start;
    if (this.#rest.size === 0) {
      at = this.#readMessages(bytes, start, end, false);
      if (this.#ended) return;
      if (at < end) this.#rest.add(bytes, at, end);
      if (!this.#paused && !this.#unpacking) this.#stream.resume();
    } else {
      this.#rest.add(bytes, start, end);
      this.#readOn();
    }
  }

  onEnd(): void {
    this.#endDue = true;
    this.#readOn();
  }

  onDrain(): void {
    this.#onSent();
    if (!this.#ended) this.#handler?.onDrain();
  }

  onAbort(): void {
    if (this.#settle()) this.#handler?.onAbort();
  }

  /** Goes on with what is there: after more came, or after a stop. */
  #readOn(): void {
    if (this.#ended || this.#paused || this.#unpacking || this.#reading) return;
    if (this.#unpacked !== undefined) {
      const message = this.#unpacked;
      this.#unpacked = undefined;
      this.#reading = true;
      this.#handler?.onMessage(message);
      this.#reading = false;
      if (this.#ended || this.#paused) return;
    }
    if (this.#rest.size > 0) {
      const { bytes } = this.#rest;
      const read = this.#readMessages(bytes, 0, bytes.length, true);
      if (this.#ended) return;
      if (read > 0) this.#rest.drop(read);
      if (this.#paused || this.#unpacking) return;
    }
    // Not before what is there is taken: the caller would fill the room again, and again, behind messages that wait.
    this.#stream.resume();
    if (!this.#endDue) return;
    this.#endDue = false;
    if (this.#rest.size > 0) this.abort(CUT_SHORT);
    else this.#handler?.onEnd();
  }

  /**
   * Hands on the whole messages in bytes[start, end), as long as they are wanted; returns the place behind them. `lasting`: the
   * bytes don't change any more.
   */
  #readMessages(bytes: Buffer, start: number, end: number, lasting: boolean): number {
    let at = start;
    this.#reading = true;
    while (end - at >= PREFIX_BYTES && !this.#paused && !this.#unpacking && !this.#ended) {
      const length = bytes.readUInt32BE(at + 1);
      if (length > this.#maxMessageBytes) {
        this.abort(tooLarge(length, this.#maxMessageBytes, this.#method.tooLargeHint?.(length, this.#maxMessageBytes)));
        break;
      }
      const from = at + PREFIX_BYTES;
      if (length > LARGE_BYTES && !this.#hold(length)) break;
      if (end - from < length) break;
      const part = bytes.subarray(from, from + length);
      const message = lasting || !this.#keeps(length) ? part : Buffer.from(part);
      if (bytes[at] === 0) this.#handler?.onMessage(message);
      else this.#unpack(lasting ? message : Buffer.from(message));
      at = from + length;
    }
    this.#reading = false;
    return at;
  }

  /** Makes sure that there is room for a large message; ends the call where there is none. */
  #hold(bytes: number): boolean {
    if (bytes <= this.#heldBytes) return true;
    if (this.#budget.take(bytes - this.#heldBytes)) {
      this.#heldBytes = bytes;
      // Whoever keeps messages says when they are read, be it by the end of the call, and so the buffer can go round.
      if (this.#keeps(bytes) && this.#lent === undefined) {
        this.#lent = this.#budget.lend(PREFIX_BYTES + bytes);
        this.#rest.use(this.#lent);
      }
      return true;
    }
    this.abort(NO_ROOM);
    return false;
  }

  #keeps(bytes: number): boolean {
    return bytes > (this.#method.keepsMessagesAbove ?? Number.POSITIVE_INFINITY);
  }

  /** The messages behind it wait, and the caller is not to send ever more of them. */
  #unpack(message: Buffer): void {
    this.#unpacking = true;
    this.#stream.pause();
    const hasRoom = (bytes: number): boolean => !this.#ended && this.#holdUnpacked(bytes);
    unpack(this.#head, message, this.#maxMessageBytes, hasRoom, (unpacked, refused) => {
      this.#unpacking = false;
      if (this.#ended) return;
      if (unpacked === undefined) {
        this.abort(refused);
        return;
      }
      this.#unpacked = unpacked;
      this.#readOn();
    });
  }

  #holdUnpacked(bytes: number): boolean {
    if (bytes <= LARGE_BYTES || bytes <= this.#heldBytes) return true;
    if (!this.#budget.take(bytes - this.#heldBytes)) return false;
    this.#heldBytes = bytes;
    return true;
  }
}

function expire(call: StreamCall): void {
  call.abort(EXPIRED);
}

/** For methods that take one message: `start` is called with it once it is sure that no other comes. */
export function oneMessage<Request>(
  call: StreamCall,
  decode: (message: Buffer) => Request,
  start: (request: Request) => void,
  rest: { onDrain(): void; onAbort(): void },
): StreamHandler {
  let request: Request | undefined;
  return {
    onMessage(message) {
      if (request !== undefined) call.abort(MORE_MESSAGES);
      else request = decode(message);
    },
    onEnd() {
      if (request === undefined) call.abort(NO_MESSAGE);
      else start(request);
    },
    ...rest,
  };
}
