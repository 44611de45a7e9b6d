// One open call of ScoreStream, and what was sent on it and is not answered yet.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type ClientDuplexStream, status as Status, type StatusObject } from '@grpc/grpc-js';
import {
  type ScoreResponse,
  type ScoreStreamResponse,
  ScoringServiceService,
  type StreamResult,
} from '../gen/scorewire/v1/scoring.ts';
import type { Done } from './attempts.ts';
import type { Calls } from './calls.ts';
import { writeItem } from './item-message.ts';
import { ScoreError } from './score-error.ts';

/** As many as the server takes of one stream at once. */
const MAX_OPEN_ITEMS = 512;
/** Far below what the server takes in one message, which would cost all that is on the stream. */
const MAX_MESSAGE_BYTES = 256 * 1024;
/** An item's id, its timeout and the lengths around it. */
const ITEM_OVERHEAD_BYTES = 32;

/** What is larger rides alone, so that a server with other limits refuses it alone. */
export const MAX_ITEM_BYTES = MAX_MESSAGE_BYTES / 4;

const METHOD = {
  ...ScoringServiceService.scoreStream,
  requestSerialize: (message: Buffer): Buffer => message,
};

/** A score that is asked for: a ScoreRequest's bytes, until when it is wanted (Infinity: always), and who wants it. */
export type Item = { request: Buffer; deadlineAtMs: number; done: Done<ScoreResponse> };

export type StreamEvents = {
  /** There is room for more items. */
  room(): void;
  /** The stream has ended; its items have been told. */
  ended(stream: ItemStream): void;
};

export class ItemStream {
  readonly #call: ClientDuplexStream<Buffer, ScoreStreamResponse>;
  readonly #events: StreamEvents;
  /** By id. One that nobody waits for any more still takes its place with the server. */
  readonly #items = new Map<number, Item>();
  #nextId = 1;
  /** Enough is waiting to be sent. */
  #full = false;

  /** Opens the call. */
  constructor(calls: Calls, events: StreamEvents) {
    this.#events = events;
    this.#call = calls.bidiStream(METHOD);
    this.#call.on('data', ({ results }: ScoreStreamResponse) => this.#take(results));
    this.#call.on('drain', () => {
      this.#full = false;
      events.room();
    });
    this.#call.on('status', (status: StatusObject) => this.#end(status));
  }

  /** Items that wait for an answer. */
  get open(): number {
    return this.#items.size;
  }

  /** How many items may be sent now. */
  get room(): number {
    return this.#full ? 0 : MAX_OPEN_ITEMS - this.#items.size;
  }

  /** Sends as many of the items as there is room for, in one message, and removes them from the set. */
  send(waiting: Set<Item>, nowMs: number): void {
    const { room } = this;
    const writer = new BinaryWriter();
    let bytes = 0;
    let sent = 0;
    for (const item of waiting) {
      bytes += item.request.length + ITEM_OVERHEAD_BYTES;
      if (sent === room || (sent > 0 && bytes > MAX_MESSAGE_BYTES)) break;
      sent++;
      waiting.delete(item);
      const id = this.#nextId++;
      this.#items.set(id, item);
      writeItem(writer, id, item.request, item.deadlineAtMs - nowMs);
    }
    const message = writer.finish();
    if (!this.#call.write(Buffer.from(message.buffer, message.byteOffset, message.byteLength))) this.#full = true;
  }

  /** Says that no more items come: the server ends the call when it has answered. */
  finish(): void {
    this.#call.end();
  }

  /** Ends the call at once; its items fail with CANCELLED. */
  cancel(): void {
    this.#call.cancel();
  }

  #take(results: readonly StreamResult[]): void {
    for (const { id, outcome } of results) {
      const item = this.#items.get(Number(id));
      if (item === undefined) continue;
      this.#items.delete(Number(id));
      if (outcome === undefined) item.done(new ScoreError('INTERNAL', 'the server sent a result with nothing in it'));
      else if (outcome.$case === 'response') item.done(undefined, outcome.value);
      else item.done(ScoreError.ofItem(outcome.value));
    }
    this.#events.room();
  }

  #end(status: StatusObject): void {
    this.#full = true;
    const items = [...this.#items.values()];
    this.#items.clear();
    this.#events.ended(this);
    if (items.length === 0) return;
    const error = status.code === Status.OK ? endedEarly() : ScoreError.ofStatus(status);
    for (const { done } of items) done(error);
  }
}

/** What stands between client and server may end a stream whenever it likes. */
function endedEarly(): ScoreError {
  const message = 'the server ended the stream before it answered';
  return new ScoreError('UNAVAILABLE', message, { reason: 'STREAM_ENDED' });
}
