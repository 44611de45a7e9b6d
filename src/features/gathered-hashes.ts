// Look-ups of callers that know nothing of each other, sent to Redis together at the end of the turn in which they came.
import type { RedisLink, Reply } from '../redis/redis-link.ts';

/** Commands that are sent together at most. */
const MAX_COMMANDS = 512;

type Caller = {
  withinMs: number;
  resolve: (reply: Reply) => void;
  reject: (error: unknown) => void;
  timer?: NodeJS.Timeout;
  answered: boolean;
};

export class GatheredHashes {
  readonly #link: RedisLink;
  readonly #fields: readonly string[];
  /** By their keys. */
  #waiting = new Map<string, Caller[]>();

  /** @param fields of every hash */
  constructor(link: RedisLink, fields: readonly string[]) {
    this.#link = link;
    this.#fields = fields;
  }

  /**
   * The fields of a hash; an Error where Redis refuses to tell them.
   * @throws ScorewireError (rejects with) UNAVAILABLE with the link's reason
   */
  get(key: string, withinMs: number): Promise<Reply> {
    if (this.#waiting.size === 0) setImmediate(() => this.#send());
    return new Promise((resolve, reject) => {
      const caller = { withinMs: Math.ceil(withinMs), resolve, reject, answered: false };
      const callers = this.#waiting.get(key);
      if (callers === undefined) this.#waiting.set(key, [caller]);
      else callers.push(caller);
    });
  }

  /** The fields of many hashes, at once. @throws as `get` */
  async getMany(keys: readonly string[], withinMs: number): Promise<readonly Reply[]> {
    const parts: Promise<readonly Reply[]>[] = [];
    for (let from = 0; from < keys.length; from += MAX_COMMANDS) {
      const commands = keys.slice(from, from + MAX_COMMANDS).map((key) => ['hmget', key, ...this.#fields] as const);
      parts.push(this.#link.pipeline(commands, withinMs));
    }
    return (await Promise.all(parts)).flat();
  }

  #send(): void {
    const waiting = [...this.#waiting];
    this.#waiting = new Map();
    for (let from = 0; from < waiting.length; from += MAX_COMMANDS) {
      this.#sendSome(waiting.slice(from, from + MAX_COMMANDS));
    }
  }

  #sendSome(waiting: readonly (readonly [string, Caller[]])[]): void {
    const callers = waiting.flatMap(([, some]) => some);
    const longestMs = Math.max(...callers.map(({ withinMs }) => withinMs));
    for (const caller of callers) {
      // Whoever waits the longest needs no timer: the call has one. What lies in the socket is read first.
      if (caller.withinMs === longestMs) continue;
      const expire = (): void => {
        if (!caller.answered) caller.reject(this.#link.expired(caller.withinMs));
      };
      caller.timer = setTimeout(() => setImmediate(expire), caller.withinMs);
    }
    const settle = (each: (caller: Caller, place: number) => void): void => {
      for (const [place, [, some]] of waiting.entries()) {
        for (const caller of some) {
          clearTimeout(caller.timer);
          caller.answered = true;
          each(caller, place);
        }
      }
    };
    const commands = waiting.map(([key]) => ['hmget', key, ...this.#fields] as const);
    this.#link.pipeline(commands, longestMs).then(
      (replies) => settle((caller, place) => caller.resolve(replies[place] as Reply)),
      (error: unknown) => settle((caller) => caller.reject(error)),
    );
  }
}
