import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntityTable } from '../../../src/scores/entity-table.ts';
import { hashText } from '../../../src/scores/entity-text.ts';
import { EntrySlots, NO_SLOT } from '../../../src/scores/entry-slots.ts';
import { aScore } from '../../support/stored-scores.ts';

const BYTES = 10;
const even = (entity: string) => hashText(entity, 7);

class Subject {
  readonly totals = { entries: 0, bytes: 0 };
  readonly slots = new EntrySlots(false);
  readonly table: EntityTable;
  readonly #hash: (entity: string) => number;

  constructor(hash = even) {
    this.#hash = hash;
    this.table = new EntityTable({ totals: this.totals, slots: this.slots, hash });
  }

  put(entity: string, score: number, keptUntilMs = 100): void {
    const hash = this.#hash(entity);
    const slot = this.table.find(entity, hash);
    this.table.write(entity, hash, slot, aScore({ score, keptUntilMs }), 0, BYTES, 0);
  }

  get(entity: string): number | undefined {
    const slot = this.table.look(entity, this.#hash(entity));
    return slot === NO_SLOT ? undefined : this.slots.read(slot, () => '').score;
  }

  remove(entity: string): void {
    const hash = this.#hash(entity);
    const slot = this.table.look(entity, hash);
    if (slot !== NO_SLOT) this.table.remove(entity, hash, slot);
  }

  evict(entity: string): void {
    this.table.evict(this.#hash(entity), () => {});
  }

  /** All of them, each as often as it is found. */
  visited(): string[] {
    const entities: string[] = [];
    for (let place = 0; place < this.table.places; place++) {
      this.table.visit(place, (entity) => entities.push(entity));
    }
    return entities;
  }

  clear(nowMs: number, most = 1000): void {
    for (let place = 0; place < this.table.places; place++) {
      if (this.table.endsMs(place) > nowMs) continue;
      while (this.table.clear(place, (slot) => this.slots.endsMs(slot) <= nowMs, most));
    }
  }
}

const names = (count: number) => Array.from({ length: count }, (_, number) => `customer-${number}`);

describe('shards', () => {
  it('grow and split, and lose and repeat nothing', () => {
    const subject = new Subject();
    const entities = names(50_000);
    for (const [number, entity] of entities.entries()) subject.put(entity, number);
    expect(subject.table.places).toBeGreaterThan(8);
    expect(entities.every((entity, number) => subject.get(entity) === number)).toBe(true);
    expect(subject.visited().sort()).toEqual([...entities].sort());
    expect(subject.totals).toEqual({ entries: 50_000, bytes: 50_000 * BYTES });
  });

  it('keep the order of use when they split', () => {
    // Entities of two shards, by their last bit.
    const subject = new Subject((entity) => Number(entity) & 1);
    for (let number = 0; number < 4096; number++) subject.put(`${number}`, number);
    subject.table.find('0', 0);
    subject.put('4096', 4096);
    expect(subject.table.places).toBe(2);
    subject.evict('0');
    expect(subject.get('0')).toBe(0);
    expect(subject.get('2')).toBeUndefined();
    subject.evict('1');
    expect(subject.get('1')).toBeUndefined();
  });

  it('that can’t be told apart let their oldest go', () => {
    const subject = new Subject(() => 5);
    for (const [number, entity] of names(4100).entries()) subject.put(entity, number);
    expect(subject.totals.entries).toBe(4096);
    expect(subject.table.evictions).toBe(4);
    expect([3, 4, 4099].map((number) => subject.get(`customer-${number}`))).toEqual([undefined, 4, 4099]);
  });

  it('come down to one when all is gone', () => {
    const subject = new Subject();
    for (const entity of names(20_000)) subject.put(entity, 1);
    subject.clear(100);
    expect(subject.totals).toEqual({ entries: 0, bytes: 0 });
    expect(subject.table.places).toBe(1);
    subject.put('a', 2);
    expect(subject.get('a')).toBe(2);
  });

  it('that split know what is due as before', () => {
    const subject = new Subject();
    for (const entity of names(4096)) subject.put(entity, 1, 10);
    subject.put('new', 1, 100);
    expect(subject.table.places).toBe(2);
    subject.clear(10);
    expect(subject.visited()).toEqual(['new']);
  });

  it('are looked at only where something is due', () => {
    const subject = new Subject();
    subject.put('a', 1, 50);
    subject.put('b', 1, 80);
    expect(subject.table.endsMs(0)).toBe(50);
    subject.clear(60);
    expect(subject.table.endsMs(0)).toBe(80);
    expect(subject.visited()).toEqual(['b']);
  });
});

it('an entry that was just put is not the one to give way', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 3, maxLength: 40 }), (kept) => {
      // Thousands come and go, so that shards with few entries remain.
      const subject = new Subject();
      for (const entity of names(9000)) subject.put(entity, 0);
      const keep = new Set(kept.map((number) => `customer-${number}`));
      for (const entity of names(9000)) if (!keep.has(entity)) subject.remove(entity);
      subject.put('new', 1);
      while (subject.totals.entries > 1) subject.evict('new');
      expect(subject.get('new')).toBe(1);
    }),
    { numRuns: 15 },
  );
});

it('holds what a map would, over any history', () => {
  const entity = fc.integer({ min: 0, max: 60 }).map((number) => `e${number}`);
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('put' as const), entity, fc.integer({ min: 1, max: 9 })) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('remove' as const), entity, fc.constant(0)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const), entity, fc.integer({ min: 0, max: 9 })) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (history, most) => {
      const subject = new Subject();
      const expected = new Map<string, { score: number; untilMs: number }>();
      for (const [number, [kind, of, ms]] of history.entries()) {
        if (kind === 'put') {
          subject.put(of, number, ms);
          expected.set(of, { score: number, untilMs: ms });
        } else if (kind === 'remove') {
          subject.remove(of);
          expected.delete(of);
        } else {
          subject.clear(ms, most);
          for (const [key, { untilMs }] of expected) if (untilMs <= ms) expected.delete(key);
        }
      }
      expect(subject.visited().sort()).toEqual([...expected.keys()].sort());
      for (const [of, { score }] of expected) expect(subject.get(of)).toBe(score);
      expect(subject.totals).toEqual({ entries: expected.size, bytes: expected.size * BYTES });
    }),
  );
});
