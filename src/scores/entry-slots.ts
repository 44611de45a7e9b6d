// What entries say, by slot: flat records off the heap, that the garbage collector never looks at.
import type { StoredScore } from './score-store.ts';

/** What a look-up says where there is no entry. */
export const NO_SLOT = -1;

/** Slots come in blocks, so that none is ever copied and blocks that are empty can go. */
const BLOCK_BITS = 13;
const BLOCK_SLOTS = 1 << BLOCK_BITS;

/** A record in 8-byte words: three or four times, then four numbers in two words. One record, one or two cache lines. */
const SCORED = 0;
const FEATURES = 1;
const KEPT = 2;
const TRUSTED = 3;

type Outputs = StoredScore['outputs'];

/** The same bytes by type. */
type Block = {
  number: number;
  times: Float64Array;
  /** Score. */
  floats: Float32Array;
  /** Label; of a free slot, the next free one. */
  integers: Int32Array;
  /** Size, and the job's number; of a free slot the size is 0. */
  counts: Uint32Array;
  used: number;
  /** The first of the chain of slots that were freed. */
  freed: number;
  /** From here on slots have never been used. */
  unused: number;
};

export class EntrySlots {
  readonly #trusted: boolean;
  /** Words of a record; the last two are its numbers. */
  readonly #words: number;
  readonly #blocks: (Block | undefined)[] = [];
  /** Blocks that have a free slot, each once. */
  readonly #withRoom: Block[] = [];
  readonly #outputs = new Map<number, NonNullable<Outputs>>();

  /** @param trusted whether an entry has a time until which it is trusted */
  constructor(trusted: boolean) {
    this.#trusted = trusted;
    this.#words = trusted ? 6 : 5;
  }

  scoredAtMs(slot: number): number {
    return this.#block(slot).times[this.#at(slot) + SCORED] as number;
  }

  featuresAsOfMs(slot: number): number {
    return this.#block(slot).times[this.#at(slot) + FEATURES] as number;
  }

  /** When the entry is gone: it is not kept any more, or not trusted. */
  endsMs(slot: number): number {
    const { times } = this.#block(slot);
    const at = this.#at(slot);
    const keptUntilMs = times[at + KEPT] as number;
    return this.#trusted ? Math.min(keptUntilMs, times[at + TRUSTED] as number) : keptUntilMs;
  }

  /** Bytes that the entry takes. */
  size(slot: number): number {
    return this.#block(slot).counts[this.#numbers(slot) + 2] as number;
  }

  read(slot: number, jobName: (number: number) => string): StoredScore {
    const { times, floats, integers, counts } = this.#block(slot);
    const at = this.#at(slot);
    const numbers = this.#numbers(slot);
    return {
      score: floats[numbers] as number,
      label: integers[numbers + 1] as number,
      // Most models keep none.
      outputs: this.#outputs.size === 0 ? undefined : this.#outputs.get(slot),
      scoredAtMs: times[at + SCORED] as number,
      featuresAsOfMs: times[at + FEATURES] as number,
      keptUntilMs: times[at + KEPT] as number,
      job: jobName(counts[numbers + 3] as number),
    };
  }

  write(slot: number, stored: StoredScore, job: number, size: number, trustedUntilMs: number): void {
    const { times, floats, integers, counts } = this.#block(slot);
    const at = this.#at(slot);
    const numbers = this.#numbers(slot);
    times[at + SCORED] = stored.scoredAtMs;
    times[at + FEATURES] = stored.featuresAsOfMs;
    times[at + KEPT] = stored.keptUntilMs;
    if (this.#trusted) times[at + TRUSTED] = trustedUntilMs;
    floats[numbers] = stored.score;
    integers[numbers + 1] = stored.label;
    counts[numbers + 2] = size;
    counts[numbers + 3] = job;
    if (stored.outputs !== undefined) this.#outputs.set(slot, stored.outputs);
    else if (this.#outputs.size > 0) this.#outputs.delete(slot);
  }

  take(): number {
    const block = this.#withRoom.at(-1) ?? this.#newBlock();
    let index = block.freed;
    if (index === NO_SLOT) index = block.unused++;
    else block.freed = block.integers[this.#numbers(index) + 1] as number;
    block.used++;
    if (block.used === BLOCK_SLOTS) this.#withRoom.pop();
    return block.number * BLOCK_SLOTS + index;
  }

  free(slot: number): void {
    const block = this.#block(slot);
    const numbers = this.#numbers(slot);
    if (this.#outputs.size > 0) this.#outputs.delete(slot);
    if (block.used === BLOCK_SLOTS) this.#withRoom.unshift(block);
    block.integers[numbers + 1] = block.freed;
    block.freed = slot & (BLOCK_SLOTS - 1);
    block.used--;
    // One is always kept: entries come and go.
    if (block.used > 0 || this.#withRoom.length < 2) return;
    this.#withRoom.splice(this.#withRoom.indexOf(block), 1);
    this.#blocks[block.number] = undefined;
  }

  #newBlock(): Block {
    const vacant = this.#blocks.indexOf(undefined);
    const number = vacant === -1 ? this.#blocks.length : vacant;
    const buffer = new ArrayBuffer(BLOCK_SLOTS * this.#words * 8);
    const block = {
      number,
      times: new Float64Array(buffer),
      floats: new Float32Array(buffer),
      integers: new Int32Array(buffer),
      counts: new Uint32Array(buffer),
      used: 0,
      freed: NO_SLOT,
      unused: 0,
    };
    this.#blocks[number] = block;
    this.#withRoom.push(block);
    return block;
  }

  #block(slot: number): Block {
    return this.#blocks[slot >>> BLOCK_BITS] as Block;
  }

  /** Where a record's times begin, in 8-byte words. */
  #at(slot: number): number {
    return (slot & (BLOCK_SLOTS - 1)) * this.#words;
  }

  /** Where its numbers begin, in 4-byte words. */
  #numbers(slot: number): number {
    return ((slot & (BLOCK_SLOTS - 1)) * this.#words + this.#words - 2) * 2;
  }
}
