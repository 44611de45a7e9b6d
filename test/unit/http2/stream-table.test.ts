import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StreamTable } from '../../../src/http2/stream-table.ts';

test.each([1, 2, 3, 100, 1_000_000])(
  'for %i streams at once: long-lived ones stay found beside thousands of short ones',
  (most) => {
    const table = new StreamTable<{ id: number }>(most);
    const stayed = Array.from({ length: Math.min(most, 10) }, (_, index) => ({ id: 2 * index + 1 }));
    for (const stream of stayed) table.add(stream);
    for (let id = 101; id < 20_000; id += 2) {
      const stream = { id };
      table.add(stream);
      expect(table.get(id)).toBe(stream);
      expect(table.size).toBe(stayed.length + 1);
      table.delete(stream);
      expect(table.get(id)).toBeUndefined();
    }
    for (const stream of stayed) expect(table.get(stream.id)).toBe(stream);
    expect(new Set(table.all())).toEqual(new Set(stayed));
    for (const stream of stayed) table.delete(stream);
    expect({ size: table.size, all: table.all() }).toEqual({ size: 0, all: [] });
  },
);

test('the ids that there may be at the end', () => {
  const table = new StreamTable<{ id: number }>(100);
  const stream = { id: 2 ** 31 - 1 };
  table.add(stream);
  expect(table.get(stream.id)).toBe(stream);
  expect(table.get(1)).toBeUndefined();
});

test('whoever is not there is not deleted', () => {
  const table = new StreamTable<{ id: number }>(1);
  const [one, same] = [{ id: 1 }, { id: 1 }];
  table.add(one);
  table.delete(same);
  table.delete({ id: 5 });
  expect({ size: table.size, one: table.get(1) }).toEqual({ size: 1, one });
  table.delete(one);
  table.delete(one);
  expect(table.size).toBe(0);
});

test('whatever comes and goes: as a Map has it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.nat(), { maxLength: 200 }), (most, choices) => {
      const table = new StreamTable<{ id: number }>(most);
      const open = new Map<number, { id: number }>();
      let id = 1;
      for (const choice of choices) {
        const leaving = [...open.values()][choice % (most + 1)];
        if (leaving === undefined && open.size < most) {
          const stream = { id };
          id += 2 * (1 + (choice % 3));
          table.add(stream);
          open.set(stream.id, stream);
        } else if (leaving !== undefined) {
          table.delete(leaving);
          open.delete(leaving.id);
        }
        expect(new Set(table.all())).toEqual(new Set(open.values()));
        expect(table.size).toBe(open.size);
        for (let known = 1; known < id; known += 2) expect(table.get(known)).toBe(open.get(known));
      }
    }),
  );
});
