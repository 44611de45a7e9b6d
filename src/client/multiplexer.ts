// Single scores on a few open streams: what is asked for in one tick rides in one message, what finds no room waits its turn.
import type { ScoreResponse } from '../gen/scorewire/v1/scoring.ts';
import type { Done } from './attempts.ts';
import type { Calls } from './calls.ts';
import { type Item, ItemStream } from './item-stream.ts';
import { ScoreError } from './score-error.ts';
import type { Clock } from './types.ts';

/** Milliseconds that the server gets to end its streams when the client closes. */
const GRACE_MS = 1000;

export class Multiplexer {
  readonly #calls: Calls;
  readonly #maxStreams: number;
  readonly #maxQueued: number;
  readonly #clock: Clock;
  readonly #streams = new Set<ItemStream>();
  /** In the order in which they were asked for. */
  readonly #waiting = new Set<Item>();
  #flushing = false;
  #onLastEnded: (() => void) | undefined;

  constructor(calls: Calls, limits: { streams: number; maxQueued: number }, clock: Clock) {
    this.#calls = calls;
    this.#maxStreams = limits.streams;
    this.#maxQueued = limits.maxQueued;
    this.#clock = clock;
  }

  /**
   * Asks for one score, by a ScoreRequest's bytes; the server hears how much of `deadlineMs` is left when it is sent. Returns
   * what takes the question back as long as it is not sent.
   */
  score(request: Buffer, deadlineMs: number, done: Done<ScoreResponse>): () => void {
    const item: Item = { request, deadlineAtMs: this.#clock.nowMs() + deadlineMs, done };
    if (this.#waiting.size >= this.#maxQueued) {
      queueMicrotask(() => done(queueFull(this.#maxQueued)));
      return () => {};
    }
    this.#waiting.add(item);
    this.#flushSoon();
    return () => {
      this.#waiting.delete(item);
    };
  }

  /** For when nothing is open any more: ends the streams. */
  async close(): Promise<void> {
    if (this.#streams.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onLastEnded = resolve;
    for (const stream of this.#streams) stream.finish();
    const stopTimer = this.#clock.after(GRACE_MS, () => {
      for (const stream of this.#streams) stream.cancel();
    });
    await promise;
    stopTimer();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    // After the promises of this tick, which may ask for more.
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const nowMs = this.#clock.nowMs();
    while (this.#waiting.size > 0) {
      const stream = this.#pick();
      if (stream === undefined) return;
      stream.send(this.#waiting, nowMs);
    }
  }

  /** The stream with the fewest items, a new one rather than one that has some; undefined where there is no room. */
  #pick(): ItemStream | undefined {
    let best: ItemStream | undefined;
    for (const stream of this.#streams) {
      if (stream.room > 0 && (best === undefined || stream.open < best.open)) best = stream;
    }
    if (best?.open === 0 || this.#streams.size >= this.#maxStreams) return best;
    const stream = new ItemStream(this.#calls, {
      room: () => {
        if (this.#waiting.size > 0) this.#flushSoon();
      },
      ended: (ended) => this.#forget(ended),
    });
    this.#streams.add(stream);
    return stream;
  }

  #forget(stream: ItemStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size === 0) this.#onLastEnded?.();
    // Those who wait for room on it need another one.
    if (this.#waiting.size > 0) this.#flushSoon();
  }
}

function queueFull(limit: number): ScoreError {
  const message = `${limit} scores wait already; ask for fewer at once, or use scoreRows`;
  return new ScoreError('RESOURCE_EXHAUSTED', message, { reason: 'CLIENT_QUEUE_FULL' });
}
