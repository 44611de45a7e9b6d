// Look-ups of callers that know nothing of each other, sent as one MGET at the end of the turn in which they came.
import type { RedisLink } from './redis-link.ts';

/** In the order of the keys; null where there is no value, or one of another type than a string. */
export type Values = readonly (Buffer | null)[];

class Caller {
  /** Of its keys in the batch. */
  readonly #places: readonly number[];
  readonly #resolve: (values: Values) => void;
  readonly #reject: (error: unknown) => void;
  readonly withinMs: number;
  #timer: NodeJS.Timeout | undefined;
  #answered = false;

  constructor(
    places: readonly number[],
    withinMs: number,
    resolve: (values: Values) => void,
    reject: (error: unknown) => void,
  ) {
    this.#places = places;
    this.withinMs = withinMs;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Rejects at this caller's own limit. */
  limit(error: () => unknown): void {
    const expire = () => {
      if (!this.#answered) this.fail(error());
    };
    // As in RedisLink: what lies in the socket is read first.
    this.#timer = setTimeout(() => setImmediate(expire), this.withinMs);
  }

  answer(all: Values): void {
    this.#end();
    this.#resolve(this.#places.map((place) => all[place] as Buffer | null));
  }

  fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#answered = true;
    clearTimeout(this.#timer);
  }
}

class Batch {
  readonly callers: Caller[] = [];
  /** Of every key, in the order of the command. */
  readonly places = new Map<string, number>();
  sent = false;

  placeOf(key: string): number {
    const known = this.places.get(key);
    if (known !== undefined) return known;
    const place = this.places.size;
    this.places.set(key, place);
    return place;
  }
}

export class GatheredGets {
  readonly #link: RedisLink;
  readonly #maxKeys: number;
  #open: Batch | undefined;

  /** @param maxKeys keys of one MGET, after which it is sent at once; a caller with more has them in one nevertheless */
  constructor(link: RedisLink, maxKeys = 512) {
    this.#link = link;
    this.#maxKeys = maxKeys;
  }

  /**
   * The values of some keys, all of one moment. Keys that several callers want are asked for once.
   * @param withinMs how long this caller waits at most
   * @throws ScorewireError (rejects with) UNAVAILABLE with the link's reason
   */
  get(keys: readonly string[], withinMs: number): Promise<Values> {
    const batch = this.#open ?? this.#begin();
    const places = keys.map((key) => batch.placeOf(key));
    return new Promise((resolve, reject) => {
      batch.callers.push(new Caller(places, Math.ceil(withinMs), resolve, reject));
      if (batch.places.size >= this.#maxKeys) this.#send(batch);
    });
  }

  #begin(): Batch {
    const batch = new Batch();
    this.#open = batch;
    setImmediate(() => this.#send(batch));
    return batch;
  }

  #send(batch: Batch): void {
    if (batch.sent) return;
    batch.sent = true;
    this.#open = undefined;
    const { callers, places } = batch;
    let longestMs = 0;
    for (const { withinMs } of callers) longestMs = Math.max(longestMs, withinMs);
    for (const caller of callers) {
      // Whoever waits the longest needs no timer: the call has one.
      if (caller.withinMs < longestMs) caller.limit(() => this.#link.expired(caller.withinMs));
    }
    (this.#link.call(['mget', ...places.keys()], longestMs) as Promise<Values>).then(
      (values) => {
        for (const caller of callers) caller.answer(values);
      },
      (error: unknown) => {
        for (const caller of callers) caller.fail(error);
      },
    );
  }
}
