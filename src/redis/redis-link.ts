// One server of Redis as stores use it: every call has a limit, and while Redis is away calls fail at once.
import { createHash } from 'node:crypto';
import { Command, type Redis, ReplyError } from 'ioredis';
import { ScorewireError } from '../errors.ts';
import type { Logger } from '../telemetry/log.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { endConnection, openConnection, serverName } from './connect.ts';
import { type ChannelListener, Subscription } from './subscription.ts';

/** Time-outs in a row after which calls fail at once, and the milliseconds until one finds out how Redis is. */
const BREAKER_RULE = { failures: 5, openForMs: 100, openForAtMostMs: 2000 };

/** Milliseconds between looks whether an open breaker should be tried where nobody calls, and what such a call may take. */
const LOOK_MS = 250;
const PING_MS = 100;

/** The name, then the arguments. */
export type RedisCommand = readonly [name: string, ...args: (string | Buffer | number)[]];

/** As Redis gave it: texts and values are Buffers, and what it refused is an Error. */
export type Reply = Buffer | number | null | Error | readonly Reply[];

/** A Lua script, made once by `redisScript`. */
export type RedisScript = { readonly lua: string; readonly sha: string };

/**
 * `timeout`: no answer within the limit. `refused`: not asked, as the connection is down or the breaker open. `error`: Redis
 * answered with an error, or the connection broke. `garbage`: a value that isn't what its key holds.
 */
export type LinkFailure = 'timeout' | 'refused' | 'error' | 'garbage';

/** What metrics are made from. */
export type LinkObserver = {
  failed(failure: LinkFailure): void;
  breaker(state: BreakerState): void;
};

export type LinkOptions = {
  /** redis:// or rediss://, with user, password and number of the database where they are needed. */
  readonly url: string;
  /** What the names of all keys begin with. */
  readonly prefix: string;
  /** Of the errors that callers get: STORE_UNAVAILABLE, FEATURES_UNAVAILABLE. */
  readonly reason: string;
  readonly log?: Logger;
  readonly observer?: LinkObserver;
  /** Milliseconds without a byte, while an answer is due, after which the connection is given up for another. */
  readonly silentMs?: number;
  /** Monotonic milliseconds; of the breaker alone. */
  readonly now?: () => number;
};

export class RedisLink {
  readonly prefix: string;
  readonly #url: string;
  readonly #silentMs: number;
  readonly #server: string;
  readonly #reason: string;
  readonly #log: Logger | undefined;
  readonly #observer: LinkObserver | undefined;
  readonly #redis: Redis;
  readonly #breaker: Breaker;
  readonly #subscriptions = new Set<Subscription>();
  /** Set while the breaker is not closed. */
  #look: NodeJS.Timeout | undefined;
  #lastError = '';
  /** Whether the log was told that the connection is down. */
  #saidDown = false;
  #closed = false;

  /** Connects, and goes on trying where that fails: a server starts without its Redis. */
  constructor({ url, prefix, reason, log, observer, silentMs = 1000, now = () => performance.now() }: LinkOptions) {
    this.prefix = prefix;
    this.#url = url;
    this.#silentMs = silentMs;
    this.#server = serverName(url);
    this.#reason = reason;
    this.#log = log;
    this.#observer = observer;
    this.#breaker = new Breaker(BREAKER_RULE, now, (state) => {
      observer?.breaker(state);
      this.#lookAfter(state);
    });
    this.#redis = openConnection(url, silentMs, (error) => {
      this.#lastError = error.message || String(error);
    });
    this.#redis.on('ready', () => this.#up());
    this.#redis.on('close', () => this.#down());
  }

  /** Whether calls are sent; false while there is no connection. */
  get connected(): boolean {
    return !this.#closed && this.#redis.status === 'ready';
  }

  /** Resolves with whether there is a connection, as soon as there is, after `withinMs` milliseconds at the latest. */
  whenConnected(withinMs: number): Promise<boolean> {
    if (this.connected || this.#closed) return Promise.resolve(this.connected);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#redis.off('ready', done);
        resolve(this.connected);
      };
      const timer = setTimeout(done, withinMs);
      this.#redis.once('ready', done);
    });
  }

  /**
   * One command's reply.
   * @param withinMs how long the caller waits at most; then the promise rejects, whatever Redis does
   * @throws ScorewireError (rejects with) UNAVAILABLE with the link's reason where there is no answer in time, or a refusal
   */
  async call(command: RedisCommand, withinMs: number): Promise<Exclude<Reply, Error>> {
    const [reply] = await this.pipeline([command], withinMs);
    return this.#unlessRefused(reply as Reply);
  }

  /**
   * The replies to commands that are sent together, in their order. A command that Redis refuses has an Error as its reply.
   * @throws ScorewireError (rejects with) UNAVAILABLE with the link's reason where not all have answers in time
   */
  pipeline(commands: readonly RedisCommand[], withinMs: number): Promise<readonly Reply[]> {
    if (commands.length === 0) return Promise.resolve([]);
    if (!this.connected || !this.#breaker.allows()) {
      this.#observer?.failed('refused');
      return Promise.reject(this.#error(this.problem() ?? 'does not answer'));
    }
    return this.#send(commands, withinMs);
  }

  /**
   * Runs a script, which Redis is sent only where it doesn't have it (any more).
   * @throws as `call` does
   */
  async script(
    { lua, sha }: RedisScript,
    keys: readonly string[],
    args: readonly (string | Buffer | number)[],
    withinMs: number,
  ): Promise<Exclude<Reply, Error>> {
    const beganMs = performance.now();
    const [reply] = await this.pipeline([['evalsha', sha, keys.length, ...keys, ...args]], withinMs);
    if (!(reply instanceof Error && reply.message.startsWith('NOSCRIPT'))) return this.#unlessRefused(reply as Reply);
    const leftMs = withinMs - (performance.now() - beganMs);
    return this.call(['eval', lua, keys.length, ...keys, ...args], leftMs);
  }

  /** Listens to a channel over a connection of its own, until the subscription or the link is closed. */
  subscribe(channel: string, listener: ChannelListener): Subscription {
    const subscription = new Subscription(this.#url, this.#silentMs, channel, listener);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** The error of a caller who doesn't wait for a call as long as others do. */
  expired(withinMs: number): ScorewireError {
    this.#observer?.failed('timeout');
    return this.#error(`no answer within ${tenths(withinMs)} ms`);
  }

  /** For whoever reads values: one was not what its key holds. */
  countGarbage(): void {
    this.#observer?.failed('garbage');
  }

  /** Why calls fail now; undefined where they are sent. */
  problem(): string | undefined {
    if (this.#closed) return 'the connection is closed';
    if (!this.connected) return `not connected${this.#lastError === '' ? '' : `: ${this.#lastError}`}`;
    if (this.#breaker.state !== 'closed') return 'it does not answer in time';
    return undefined;
  }

  /** Ends all connections at once; calls under way fail. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#look);
    for (const subscription of this.#subscriptions) subscription.close();
    endConnection(this.#redis);
  }

  #send(commands: readonly RedisCommand[], withinMs: number): Promise<readonly Reply[]> {
    return new Promise((resolve, reject) => {
      const replies = new Array<Reply>(commands.length);
      let due = commands.length;
      let settled = false;
      const settle = (failure?: { error: ScorewireError; kind: LinkFailure }) => {
        settled = true;
        clearTimeout(timer);
        if (failure === undefined) {
          this.#breaker.succeeded();
          resolve(replies);
        } else {
          this.#breaker.failed();
          this.#observer?.failed(failure.kind);
          reject(failure.error);
        }
      };
      const expire = () => {
        if (!settled) settle({ error: this.#error(`no answer within ${tenths(withinMs)} ms`), kind: 'timeout' });
      };
      // A thread that was busy finds its timers due before it has read what lies in its sockets: that is read first.
      const timer = setTimeout(() => setImmediate(expire), withinMs);
      const answer = (index: number, error: Error | null | undefined, reply: Reply) => {
        if (settled) return;
        // An answer as well: Redis is there, and the other commands may have gone well.
        if (error instanceof ReplyError) this.#observer?.failed('error');
        else if (error) return settle({ error: this.#error(error.message), kind: 'error' });
        replies[index] = error ?? reply;
        due--;
        if (due === 0) settle();
      };
      const { stream } = this.#redis;
      if (commands.length > 1) stream.cork();
      for (const [index, [name, ...args]] of commands.entries()) {
        const command = new Command(name, args, { replyEncoding: null }, (error, reply) =>
          answer(index, error, reply as Reply),
        );
        this.#redis.sendCommand(command);
      }
      if (commands.length > 1) stream.uncork();
    });
  }

  /** Where nobody calls, a Redis that is well again would be called away for ever. */
  #lookAfter(state: BreakerState): void {
    if (state === 'closed') {
      clearInterval(this.#look);
      this.#look = undefined;
    } else if (!this.#closed) {
      this.#look ??= setInterval(() => {
        if (this.connected && this.#breaker.due) this.call(['ping'], PING_MS).catch(() => {});
      }, LOOK_MS).unref();
    }
  }

  #unlessRefused(reply: Reply): Exclude<Reply, Error> {
    if (reply instanceof Error) throw this.#error(reply.message);
    return reply as Exclude<Reply, Error>;
  }

  #error(what: string): ScorewireError {
    return new ScorewireError('unavailable', this.#reason, `Redis at ${this.#server}: ${what}`, { retryAfterMs: 1000 });
  }

  #up(): void {
    this.#breaker.succeeded();
    this.#lastError = '';
    this.#saidDown = false;
    this.#log?.info({ server: this.#server }, 'connected to Redis');
  }

  #down(): void {
    if (this.#closed || this.#saidDown) return;
    this.#saidDown = true;
    this.#log?.warn({ server: this.#server, problem: this.#lastError }, 'no connection to Redis; trying on');
  }
}

export function redisScript(lua: string): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
