// A channel listened to over a connection of its own; whoever listens is told when messages may have been missed.
import type { Redis } from 'ioredis';
import { endConnection, openConnection } from './connect.ts';

/** Milliseconds between signs of life: only where an answer is due is silence noticed. */
const HEARTBEAT_MS = 1000;

export type ChannelListener = {
  message(text: string): void;
  /** From now on every message arrives. */
  began(): void;
  /** From some time before now on messages may have been missed. */
  interrupted(): void;
};

export class Subscription {
  readonly #redis: Redis;
  readonly #heartbeat: NodeJS.Timeout;
  #active = false;
  #closed = false;

  constructor(url: string, silentMs: number, channel: string, listener: ChannelListener) {
    this.#redis = openConnection(url, silentMs, () => {});
    this.#redis.on('message', (_, text: string) => listener.message(text));
    this.#redis.on('ready', () => {
      this.#redis.subscribe(channel).then(
        () => {
          if (this.#closed || this.#redis.status !== 'ready') return;
          this.#active = true;
          listener.began();
        },
        // An account that may not subscribe, or a connection that broke; the next one tries again.
        () => this.#redis.disconnect(true),
      );
    });
    this.#redis.on('close', () => {
      if (!this.#active) return;
      this.#active = false;
      listener.interrupted();
    });
    this.#heartbeat = setInterval(() => {
      // Only to have an answer due; the connection is given up where none comes.
      if (this.#active) this.#redis.ping().catch(() => {});
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  get active(): boolean {
    return this.#active;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    endConnection(this.#redis);
  }
}
