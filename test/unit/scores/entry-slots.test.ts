import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EntrySlots } from '../../../src/scores/entry-slots.ts';
import type { StoredScore } from '../../../src/scores/score-store.ts';
import { aScore } from '../../support/stored-scores.ts';

const job = (number: number) => `job ${number}`;

it.each([false, true])('every slot keeps its own, whatever comes and goes (trusted: %s)', (trusted) => {
  // Steps of thousands, so that blocks fill, empty and go.
  const steps = fc.array(fc.integer({ min: -20_000, max: 20_000 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 1000 }), (counts, stride) => {
      const slots = new EntrySlots(trusted);
      const held = new Map<number, { stored: StoredScore; size: number }>();
      let serial = 0;
      for (const count of counts) {
        for (let i = 0; i < count; i++) {
          const slot = slots.take();
          if (held.has(slot)) throw new Error('A slot was given twice.');
          const number = serial++;
          const outputs = number % 97 === 0 ? new Map() : undefined;
          const times = { scoredAtMs: number + 0.5, featuresAsOfMs: -number, keptUntilMs: 2 * number };
          const stored = aScore({ score: number, label: -number, outputs, job: job(number % 65_000), ...times });
          slots.write(slot, stored, number % 65_000, number + 1, number);
          held.set(slot, { stored, size: number + 1 });
        }
        const going = [...held.keys()].filter((_, at) => (at * stride) % 3 !== 0).slice(0, Math.max(0, -count));
        for (const slot of going) {
          held.delete(slot);
          slots.free(slot);
        }
      }
      let wrong = 0;
      for (const [slot, { stored, size }] of held) {
        const found = slots.read(slot, job);
        const keys = Object.keys(stored) as (keyof StoredScore)[];
        const number = stored.score;
        const same =
          keys.every((key) => found[key] === stored[key]) &&
          slots.size(slot) === size &&
          slots.scoredAtMs(slot) === stored.scoredAtMs &&
          slots.featuresAsOfMs(slot) === stored.featuresAsOfMs &&
          slots.endsMs(slot) === (trusted ? number : stored.keptUntilMs);
        if (!same) wrong++;
      }
      expect(wrong).toBe(0);
    }),
    { numRuns: 25 },
  );
});

it('outputs go with their entry', () => {
  const slots = new EntrySlots(false);
  const [kept, gone] = [slots.take(), slots.take()];
  for (const slot of [kept, gone]) slots.write(slot, aScore({ outputs: new Map() }), 0, 1, 0);
  slots.free(gone);
  expect(slots.read(kept, job).outputs).toEqual(new Map());
  expect(slots.read(gone, job).outputs).toBeUndefined();
});

it('slots of entries that went are used again', () => {
  const slots = new EntrySlots(false);
  let highest = 0;
  for (let round = 0; round < 5; round++) {
    const taken = Array.from({ length: 20_000 }, () => slots.take());
    highest = Math.max(highest, ...taken);
    for (const slot of taken) slots.free(slot);
  }
  expect(highest).toBeLessThan(3 * 8192);
});
