// Features in Redis: a hash an entity, of which the fields are read that models take.
import { ENTITY_IN_KEY, type RedisStoreDefinition } from '../config/feature-stores-file.ts';
import { ScorewireError } from '../errors.ts';
import type { RedisLink, Reply } from '../redis/redis-link.ts';
import type { Logger } from '../telemetry/log.ts';
import { BadRecordLog } from './bad-records.ts';
import {
  type FeatureObserver,
  type FeatureRecord,
  type FeatureRecords,
  type FeatureStore,
  nobody,
} from './feature-store.ts';
import { GatheredHashes } from './gathered-hashes.ts';
import { readText, readTime } from './read-text.ts';
import type { RowValue } from './row.ts';
import type { Column } from './row-source.ts';
import { type WantedFeature, whyUnfit } from './wanted-features.ts';

/** A timer takes no more; who waits for ever waits so long. */
const LONGEST_MS = 2 ** 31 - 1;

export type RedisFeatureStoreOptions = {
  name: string;
  definition: RedisStoreDefinition;
  wanted: readonly WantedFeature[];
  /** Whoever made it closes it. */
  link: RedisLink;
  log?: Logger;
  observer?: FeatureObserver;
  /** Monotonic milliseconds. */
  nowMs?: () => number;
};

export class RedisFeatureStore implements FeatureStore {
  readonly name: string;
  readonly #options: RedisFeatureStoreOptions;
  readonly #observer: FeatureObserver;
  readonly #hashes: GatheredHashes;
  readonly #badRecords: BadRecordLog;

  constructor(options: RedisFeatureStoreOptions) {
    const { name, definition, wanted, link, log, nowMs, observer = nobody } = options;
    this.name = name;
    this.#options = options;
    this.#observer = observer;
    const fields = wanted.map((feature) => definition.fields.get(feature.name) ?? feature.name);
    this.#hashes = new GatheredHashes(link, definition.asOf === undefined ? fields : [...fields, definition.asOf]);
    this.#badRecords = new BadRecordLog(name, log, nowMs);
  }

  async get(entity: string, withinMs: number): Promise<FeatureRecord | undefined> {
    let reply: Reply;
    try {
      reply = await this.#hashes.get(this.#key(entity), Math.min(withinMs, LONGEST_MS));
    } catch (error) {
      this.#observer.looked(this.name, 'unavailable', 1);
      throw error;
    }
    return this.#record(entity, reply, Date.now());
  }

  async getMany(entities: readonly string[], names: readonly string[], withinMs: number): Promise<FeatureRecords> {
    const asked = [...new Set(entities)].filter((entity) => entity !== '');
    let replies: readonly Reply[];
    try {
      replies = await this.#hashes.getMany(
        asked.map((entity) => this.#key(entity)),
        Math.min(withinMs, LONGEST_MS),
      );
    } catch (error) {
      this.#observer.looked(this.name, 'unavailable', asked.length);
      throw error;
    }
    const now = Date.now();
    const records = new Map(
      asked.map((entity, place) => [entity, this.#record(entity, replies[place] as Reply, now)] as const),
    );
    return this.#columns(
      entities.map((entity) => records.get(entity)),
      names,
    );
  }

  problem(): string | undefined {
    return this.#options.link.problem();
  }

  async close(): Promise<void> {}

  #key(entity: string): string {
    return this.#options.definition.key.replaceAll(ENTITY_IN_KEY, () => entity);
  }

  /** What a reply says of an entity; undefined, and counted, where it says nothing or can't be read. */
  #record(entity: string, reply: Reply, nowMs: number): FeatureRecord | undefined {
    if (reply instanceof Error) {
      // A key of another type is a record gone wrong; all else (no permission, still loading) is no answer.
      if (reply.message.startsWith('WRONGTYPE')) return this.#bad(entity, reply.message);
      this.#observer.looked(this.name, 'unavailable', 1);
      throw new ScorewireError('unavailable', 'FEATURES_UNAVAILABLE', `feature store ${this.name}: ${reply.message}`);
    }
    const { wanted, definition } = this.#options;
    const texts = reply as readonly (Buffer | null)[];
    if (texts.every((text) => text === null)) {
      this.#observer.looked(this.name, 'miss', 1);
      return undefined;
    }
    const values = new Map<string, RowValue>();
    for (const [place, feature] of wanted.entries()) {
      const text = texts[place]?.toString();
      if (text === undefined) continue;
      const value = readText(feature.type, text);
      const problem =
        value === undefined
          ? `expected ${feature.type === 'integer' ? 'an' : 'a'} ${feature.type}, found text ${JSON.stringify(text.slice(0, 40))}`
          : whyUnfit(feature, value);
      if (problem !== undefined) return this.#bad(entity, `${feature.name}: ${problem}`);
      values.set(feature.name, value as RowValue);
    }
    const time = definition.asOf === undefined ? undefined : texts.at(-1)?.toString();
    const asOfMs = time === undefined ? nowMs : readTime(time);
    if (asOfMs === undefined) return this.#bad(entity, `${definition.asOf}: expected a time`);
    this.#observer.looked(this.name, 'hit', 1);
    return { values, asOfMs };
  }

  #bad(entity: string, problem: string): undefined {
    this.#observer.looked(this.name, 'corrupt', 1);
    this.#badRecords.met(entity, problem);
  }

  #columns(records: readonly (FeatureRecord | undefined)[], names: readonly string[]): FeatureRecords {
    return {
      found: Uint8Array.from(records, (record) => (record === undefined ? 0 : 1)),
      asOfMs: Float64Array.from(records, (record) => record?.asOfMs ?? 0),
      columns: new Map(names.map((name) => [name, this.#column(name, records)])),
    };
  }

  #column(name: string, records: readonly (FeatureRecord | undefined)[]): Column {
    const found = records.map((record) => record?.values.get(name));
    const nulls = Uint8Array.from(found, (value) => (value === undefined ? 1 : 0));
    const { type } = this.#options.wanted.find((feature) => feature.name === name) as WantedFeature;
    const values = columnOf(type, found);
    return nulls.includes(1) ? { values, nulls } : { values };
  }
}

function columnOf(type: WantedFeature['type'], found: readonly (RowValue | undefined)[]): Column['values'] {
  switch (type) {
    case 'number':
      return Float64Array.from(found, (value) => Number(value ?? 0));
    case 'integer':
      return BigInt64Array.from(found, (value) => (value ?? 0n) as bigint);
    case 'text':
      return found.map((value) => (value ?? '') as string);
    case 'flag':
      return Uint8Array.from(found, (value) => (value === true ? 1 : 0));
  }
}
