import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EntityIndex } from '../../../src/features/entity-index.ts';

const entities = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
  fc.integer({ min: 0, max: 5000 }).map(String),
  fc.string({ minLength: 300, maxLength: 400, unit: fc.constantFrom('a', 'ü') }),
);

test('a row an entity, the same one however often and after however many others, here and in another index', () => {
  fc.assert(
    fc.property(fc.array(entities, { maxLength: 300 }), fc.array(entities, { maxLength: 20 }), (added, others) => {
      const index = new EntityIndex();
      const rows = new Map<string, number>();
      for (const entity of added) {
        const row = index.rowFor(entity);
        expect(row).toBe(rows.get(entity) ?? rows.size);
        rows.set(entity, row);
      }
      expect(index.rows).toBe(rows.size);
      const handed = new EntityIndex(structuredClone(index.parts()));
      for (const entity of [...added, ...others]) expect(handed.rowOf(entity)).toBe(rows.get(entity) ?? -1);
    }),
  );
});

test('many more than it began with', () => {
  const index = new EntityIndex();
  for (let i = 0; i < 50_000; i++) index.rowFor(`customer-${i}`);
  const handed = new EntityIndex(index.parts());
  const wrong = Array.from({ length: 50_000 }, (_, i) => i).filter((i) => handed.rowOf(`customer-${i}`) !== i);
  expect(wrong).toEqual([]);
  expect(handed.rowOf('customer-50000')).toBe(-1);
});
