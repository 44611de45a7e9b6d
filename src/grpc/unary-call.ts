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
  timeoutMsOf,
  tooLarge,
  unpack,
  wrongTimeout,
} from './call-head.ts';
import { LARGE_BYTES, type MessageBudget } from './message-budget.ts';
import { MessageBuffer } from './message-buffer.ts';

/** What a method does with a request. */
export type UnaryMethod = {
  /** As in `/scorewire.v1.ScoringService/Score`. */
  path: string;
  /** Larger messages than other methods take. */
  maxMessageBytes?: number;
  /** What a caller can do whose message of so many bytes is larger than it may be. */
  tooLargeHint?: (bytes: number, maxBytes: number) => string;
  /** Messages of more bytes stay valid until `release`, which must follow whatever becomes of the call; absent: none. */
  keepsMessagesAbove?: number;
  /**
   * Called once a call, with a whole message, unless the call ended before; answers or refuses it, then or later. A message that
   * isn't kept is valid during the call only.
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
  /** What the call has of the budget: for its message, and for what was made of that. */
  #messageBytes = 0;
  #heldBytes = 0;
  #lent: Buffer | undefined;
  #kept = false;
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
    this.#maxMessageBytes = method.maxMessageBytes ?? maxMessageBytes;
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

  /** Whether the call is answered, or needs no answer any more. */
  get ended(): boolean {
    return this.#settled || this.#stream.closed;
  }

  /** Nobody reads the message any more. */
  release(): void {
    this.#kept = false;
    this.#giveMessageBack();
  }

  /**
   * Makes sure that there is room for so many bytes that are held until the call ends. False: there is none now.
   * @throws ScorewireError INVALID_ARGUMENT where there never is
   */
  hold(bytes: number): boolean {
    this.#budget.check(bytes);
    return this.#take(bytes);
  }

  #take(bytes: number): boolean {
    if (this.#settled) return true;
    if (!this.#budget.take(bytes)) return false;
    this.#heldBytes += bytes;
    return true;
  }

  /** Answers with `message`, if the call hasn't ended. */
  answer(message: Uint8Array): void {
    if (!this.#settle()) return;
    writeUint32(prefix, 1, message.length);
    this.#stream.respond(OK_RESPONSE, prefix, message);
  }

  /**
   * Answers with a message that has room for its prefix in front, and is not copied: for large ones. It must not change any more. What
   * the call holds is held until it is sent: whoever doesn't read must not fill the memory with answers.
   */
  answerFramed(framed: Buffer): void {
    const spare = this.#heldBytes - framed.length;
    if (spare < 0 && framed.length > LARGE_BYTES && !this.#take(-spare)) {
      this.refuse(NO_ROOM);
      return;
    }
    const held = Math.min(this.#heldBytes, framed.length);
    this.#heldBytes -= held;
    if (!this.#settle()) {
      this.#budget.giveBack(held);
      return;
    }
    if (held > 0) this.#stream.whenClosed = () => this.#budget.giveBack(held);
    framed[0] = 0;
    writeUint32(framed, 1, framed.length - PREFIX_BYTES);
    this.#stream.headers(OK_RESPONSE.headers.literal, false);
    this.#stream.write(framed);
    this.#stream.end(OK_RESPONSE.trailers.literal);
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
    if (!this.#kept) this.#giveMessageBack();
    if (this.#heldBytes > 0) this.#budget.giveBack(this.#heldBytes);
    this.#heldBytes = 0;
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
    if (length > this.#maxMessageBytes) this.#refuseSize(length);
    else if (size >= 2 * PREFIX_BYTES + length) this.refuse(MORE_MESSAGES);
    else if (length > LARGE_BYTES && this.#messageBytes === 0) this.#holdMessage(length);
  }

  #refuseSize(bytes: number): void {
    const hint = this.#method.tooLargeHint?.(bytes, this.#maxMessageBytes);
    this.refuse(tooLarge(bytes, this.#maxMessageBytes, hint));
  }

  #holdMessage(bytes: number): void {
    if (!this.#budget.take(bytes)) {
      this.refuse(NO_ROOM);
      return;
    }
    this.#messageBytes = bytes;
    // Of those that aren't kept nobody says when they are read.
    if (this.#method.keepsMessagesAbove === undefined) return;
    this.#lent = this.#budget.lend(PREFIX_BYTES + bytes);
    this.#pieces?.use(this.#lent);
  }

  #giveMessageBack(): void {
    if (this.#messageBytes === 0) return;
    this.#budget.giveBack(this.#messageBytes);
    this.#messageBytes = 0;
    if (this.#lent !== undefined) this.#budget.return(this.#lent);
    this.#lent = undefined;
  }

  onEnd(): void {
    if (this.#settled) return;
    const request = this.#whole ?? this.#pieces?.bytes;
    if (request === undefined || request.length === 0) {
      this.refuse(NO_MESSAGE);
      return;
    }
    const length = request.length < PREFIX_BYTES ? -1 : request.readUInt32BE(1);
    if (length > this.#maxMessageBytes) this.#refuseSize(length);
    else if (length >= 0 && request.length >= 2 * PREFIX_BYTES + length) this.refuse(MORE_MESSAGES);
    else if (request.length !== PREFIX_BYTES + length) this.refuse(CUT_SHORT);
    else if (request[0] === 0) this.#deliver(request.subarray(PREFIX_BYTES), this.#whole === undefined);
    else this.#unpack(Buffer.from(request.subarray(PREFIX_BYTES)));
  }

  onDrain(): void {}

  onAbort(): void {
    this.#settle();
  }

  /** `lasting`: the bytes don't change any more, unless they lie in what is lent. */
  #deliver(message: Buffer, lasting: boolean): void {
    this.#kept = message.length > (this.#method.keepsMessagesAbove ?? Number.POSITIVE_INFINITY);
    this.#method.onMessage(this, this.#kept && !lasting ? Buffer.from(message) : message);
  }

  #unpack(message: Buffer): void {
    const hasRoom = (bytes: number): boolean => !this.#settled && this.#holdUnpacked(bytes);
    unpack(this.#head, message, this.#maxMessageBytes, hasRoom, (unpacked, refused) => {
      if (this.#settled) return;
      if (unpacked === undefined) this.refuse(refused);
      else this.#deliver(unpacked, true);
    });
  }

  #holdUnpacked(bytes: number): boolean {
    const more = bytes - this.#messageBytes;
    if (bytes <= LARGE_BYTES || more <= 0) return true;
    if (!this.#budget.take(more)) return false;
    this.#messageBytes = bytes;
    return true;
  }
}

function expire(call: UnaryCall): void {
  call.refuse(EXPIRED);
}
