// The names of a score store's keys in Redis. Names of models and entities may have any characters and never run together.
import { createHash } from 'node:crypto';
import type { ScoreScope } from './score-store.ts';

/** Characters of a scope's hash: 96 bits. */
const HASH_LENGTH = 16;

export class RedisKeys {
  /** A sorted set of all scopes: as `scopeMember` writes them, by when the last of their entries goes. */
  readonly scopes: string;
  readonly #prefix: string;
  /** By scopes as objects: one a served version. */
  readonly #hashes = new WeakMap<ScoreScope, string>();

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.scopes = `${prefix}:scopes`;
  }

  /** An entry: a packed score. */
  entry(scope: ScoreScope, entity: string): string {
    return `${this.entries(scope)}${entity}`;
  }

  /** What the names of a scope's entries begin with; of all scopes' without one. */
  entries(scope?: ScoreScope): string {
    return scope === undefined ? `${this.#prefix}:s:` : `${this.#prefix}:s:${this.hash(scope)}:`;
  }

  /** Until when features have to be newer than what was read then, for one entity: a double. */
  tombstone(model: string, entity: string): string {
    return `${this.#prefix}:t:${encodeURIComponent(model)}:${entity}`;
  }

  /** What holds for all of a model's entries: two doubles, `Floors`. */
  floors(model: string): string {
    return `${this.#prefix}:f:${encodeURIComponent(model)}`;
  }

  /** The channel on which replicas tell each other of invalidations. */
  get invalidations(): string {
    return `${this.#prefix}:invalidations`;
  }

  hash(scope: ScoreScope): string {
    const known = this.#hashes.get(scope);
    if (known !== undefined) return known;
    const { model, digest, view } = scope;
    const hash = createHash('sha256')
      .update(JSON.stringify([model, digest, view]))
      .digest('base64url');
    this.#hashes.set(scope, hash.slice(0, HASH_LENGTH));
    return hash.slice(0, HASH_LENGTH);
  }

  /** The hash of the scope that an entry is of, from the entry's key. */
  hashIn(key: string): string {
    const from = this.entries().length;
    return key.slice(from, from + HASH_LENGTH);
  }

  /** The entity of an entry, from the entry's key. */
  entityIn(key: string): string {
    return key.slice(this.entries().length + HASH_LENGTH + 1);
  }
}

export function scopeMember({ model, version, digest, view }: ScoreScope): string {
  return JSON.stringify([model, version, digest, view]);
}

/** The scope that was written so; undefined where it was not. */
export function scopeOf(member: string): ScoreScope | undefined {
  try {
    const [model, version, digest, view] = JSON.parse(member) as unknown[];
    if (typeof model !== 'string' || typeof version !== 'number') return undefined;
    if (typeof digest !== 'string' || typeof view !== 'string') return undefined;
    return { model, version, digest, view };
  } catch {
    return undefined;
  }
}
