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
  OK_RESPONSE,
  PREFIX_BYTES,
  type RefusedStatus,
  statusOnly,
  timeoutMsOf,
  tooLarge,
  unpack,
  wrongTimeout,
} from './call-head.ts';
import { LARGE_BYTES, type MessageBudget, NO_ROOM } from './message-budget.ts';
import { MessageBuffer } from './message-buffer.ts';

/** What a method does with a request. */
export type UnaryMethod = {
  /** As in `/scorewire.v1.ScoringService/Score`. */
  path: string;
  /**
   * Called once a call, with a whole message, unless the call ended before; answers or refuses it, then or later. The message
   * is valid during the call only.
   */
  onMessage: (call: UnaryCall, message: Buffer) => void;
};

/** Written anew for each answer, which copies it. */
const prefix = new Uint8Array(PREFIX_BYTES);

export class UnaryCall implements StreamListener {
  /** When the call began, `performance.now()` milliseconds. */
  readonly startedMs = performance.now();
  /** When the caller gives up, on the same clock; Infinity where it doesn't say. */
  readonly deadlineMs: number;
  readonly #head: RequestHead;
  readonly #stream: ServerStream;
  readonly #method: UnaryMethod;
  readonly #maxMessageBytes: number;
  readonly #budget: MessageBudget;
  /** What the call has of the budget. */
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** A request that comes in one piece, as most do: it lies where it was read. */
  #whole: Buffer | undefined;
  #pieces: MessageBuffer | undefined;
  #settled = false;

  private constructor(
    stream: ServerStream,
    head: RequestHead,
    method: UnaryMethod,
    maxMessageBytes: number,
    budget: MessageBudget,
  ) {
    this.#head = head;
    this.#stream = stream;
    this.#method = method;
    this.#maxMessageBytes = maxMessageBytes;
    this.#budget = budget;
    const timeoutMs = timeoutMsOf(head);
    this.deadlineMs = this.startedMs + (timeoutMs >= 0 ? timeoutMs : Number.POSITIVE_INFINITY);
    if (timeoutMs <= MAX_TIMER_MS) this.#timer = setTimeout(expire, Math.ceil(timeoutMs), this);
    else if (Number.isNaN(timeoutMs)) this.refuse(wrongTimeout(head));
  }

  /** Serves the call that `stream` is. A message above `maxMessageBytes`, unpacked or not, is refused. */
  static serve(
    stream: ServerStream,
    head: RequestHead,
    method: UnaryMethod,
    maxMessageBytes: number,
    budget: MessageBudget,
  ): void {
    stream.listener = new UnaryCall(stream, head, method, maxMessageBytes, budget);
  }

  get peer(): Peer {
    return this.#stream.peer;
  }

  /** A request header. */
  header(name: string): string | undefined {
    return this.#head.get(name);
  }

  /** Whether nobody waits for the answer any more. */
  get abandoned(): boolean {
    return this.#stream.closed;
  }

  /** Answers with `message`, if the call hasn't ended. */
  answer(message: Uint8Array): void {
    if (!this.#settle()) return;
    writeUint32(prefix, 1, message.length);
    this.#stream.respond(OK_RESPONSE, prefix, message);
  }

  /** Answers with a status other than OK, if the call hasn't ended. */
  refuse(status: RefusedStatus): void {
    if (this.#settle()) this.#stream.headers(statusOnly(status), true);
  }

  /** False if the call ended before. */
  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#whole = undefined;
    this.#pieces = undefined;
    if (this.#heldBytes > 0) this.#giveBack();
    return !this.#stream.closed;
  }

  onData(bytes: Buffer, start: number, end: number, last: boolean): void {
    if (this.#settled) return;
    if (last && this.#pieces === undefined) {
      this.#whole = bytes.subarray(start, end);
      return;
    }
    this.#pieces ??= new MessageBuffer();
    this.#pieces.add(bytes, start, end);
    const { length, size } = this.#pieces;
    if (length === undefined) return;
    if (length > this.#maxMessageBytes) this.refuse(tooLarge(length, this.#maxMessageBytes));
    else if (size >= 2 * PREFIX_BYTES + length) this.refuse(MORE_MESSAGES);
    else if (length > LARGE_BYTES && this.#heldBytes === 0) this.#hold(length);
  }

  #hold(bytes: number): void {
    if (this.#budget.take(bytes)) this.#heldBytes = bytes;
    else this.refuse(NO_ROOM);
  }

  #giveBack(): void {
    this.#budget.giveBack(this.#heldBytes);
    this.#heldBytes = 0;
  }

  onEnd(): void {
    if (this.#settled) return;
    const request = this.#whole ?? this.#pieces?.bytes;
    if (request === undefined || request.length === 0) {
      this.refuse(NO_MESSAGE);
      return;
    }
    const length = request.length < PREFIX_BYTES ? -1 : request.readUInt32BE(1);
    if (length > this.#maxMessageBytes) this.refuse(tooLarge(length, this.#maxMessageBytes));
    else if (length >= 0 && request.length >= 2 * PREFIX_BYTES + length) this.refuse(MORE_MESSAGES);
    else if (request.length !== PREFIX_BYTES + length) this.refuse(CUT_SHORT);
    else if (request[0] === 0) this.#method.onMessage(this, request.subarray(PREFIX_BYTES));
    else this.#unpack(Buffer.from(request.subarray(PREFIX_BYTES)));
  }

  onDrain(): void {}

  onAbort(): void {
    this.#settle();
  }

  #unpack(message: Buffer): void {
    unpack(this.#head, message, this.#maxMessageBytes, (unpacked, refused) => {
      if (unpacked === undefined) this.refuse(refused);
      else if (!this.#settled) this.#method.onMessage(this, unpacked);
    });
  }
}

function expire(call: UnaryCall): void {
  call.refuse(EXPIRED);
}
