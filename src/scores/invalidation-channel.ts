// How replicas tell each other what no longer holds.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { RedisLink } from '../redis/redis-link.ts';
import type { Subscription } from '../redis/subscription.ts';
import type { Invalidation } from './score-store.ts';

/** Entities of one message, which takes about as many microseconds to read. */
const ENTITIES_A_MESSAGE = 1000;

/** Milliseconds that one message may take to be sent. */
const TELL_WITHIN_MS = 2000;

const invalidationSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('entities'), model: z.string(), entities: z.array(z.string()), atMs: z.number() }),
  z.object({ kind: z.literal('model'), model: z.string(), atMs: z.number() }),
  z.object({ kind: z.literal('age'), model: z.string(), scoredBeforeMs: z.number() }),
]);

const messageSchema = z.object({ from: z.string(), invalidation: invalidationSchema });

export type ChannelHearer = {
  /** By another replica. */
  invalidated(invalidation: Invalidation): void;
  /** Invalidations may have been missed until now; from now on all are heard. */
  missed(): void;
};

export class InvalidationChannel {
  readonly #link: RedisLink;
  readonly #name: string;
  readonly #hearer: ChannelHearer;
  readonly #subscription: Subscription;
  /** Who tells, to pass over what we told ourselves. */
  readonly #self = randomUUID();

  constructor(link: RedisLink, name: string, hearer: ChannelHearer) {
    this.#link = link;
    this.#name = name;
    this.#hearer = hearer;
    this.#subscription = link.subscribe(name, {
      message: (text) => this.#hear(text),
      began: () => hearer.missed(),
      interrupted: () => {},
    });
  }

  /** Whether all that others tell is heard. */
  get active(): boolean {
    return this.#subscription.active;
  }

  /**
   * Tells all other replicas that hear at the moment; the others find out that they missed something.
   * @throws ScorewireError (rejects with) UNAVAILABLE with the link's reason
   */
  async tell(invalidation: Invalidation): Promise<void> {
    for (const part of partsOf(invalidation)) {
      const text = JSON.stringify({ from: this.#self, invalidation: part });
      await this.#link.call(['publish', this.#name, text], TELL_WITHIN_MS);
    }
  }

  close(): void {
    this.#subscription.close();
  }

  #hear(text: string): void {
    const message = readMessage(text);
    if (message === undefined) {
      // Whatever it was to say: it was missed.
      this.#link.countGarbage();
      this.#hearer.missed();
    } else if (message.from !== this.#self) {
      this.#hearer.invalidated(message.invalidation);
    }
  }
}

function readMessage(text: string): z.infer<typeof messageSchema> | undefined {
  try {
    return messageSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function partsOf(invalidation: Invalidation): Invalidation[] {
  if (invalidation.kind !== 'entities') return [invalidation];
  const { entities } = invalidation;
  const parts: Invalidation[] = [];
  for (let from = 0; from < entities.length; from += ENTITIES_A_MESSAGE) {
    parts.push({ ...invalidation, entities: entities.slice(from, from + ENTITIES_A_MESSAGE) });
  }
  return parts;
}
