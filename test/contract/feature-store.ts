// What every feature store does, whatever it keeps its records in.
import { describe, expect, test } from 'vitest';
import { recordAt } from '../../src/features/add-stored.ts';
import type { FeatureObserver, FeatureRecords, FeatureStore, LookUp } from '../../src/features/feature-store.ts';
import type { WantedFeature } from '../../src/features/wanted-features.ts';
import type { Feature, FeatureType } from '../../src/models/model.ts';
import type { DataType } from '../../src/tensor.ts';

/** Texts, as CSV and Redis have all values; what is not there is absent. */
export type TextRecord = Readonly<Record<string, string>>;

export type OpenStore = (parts: {
  records: Readonly<Record<string, TextRecord>>;
  wanted: readonly WantedFeature[];
  /** The name of the field with the time of a record. */
  asOf: string | undefined;
  observer: FeatureObserver;
}) => Promise<FeatureStore>;

const DATA_TYPES: Record<FeatureType, DataType> = { number: 'float32', integer: 'int64', text: 'string', flag: 'bool' };

export function wantedOf(name: string, type: FeatureType, part: Partial<Feature> = {}): WantedFeature {
  const feature: Feature = { name, type, dataType: DATA_TYPES[type], input: 0, column: 0, allowNan: false, ...part };
  return { name, type, taken: [feature], neededBy: undefined };
}

const WANTED = [
  wantedOf('income', 'number'),
  wantedOf('visits', 'integer'),
  wantedOf('plan', 'text'),
  wantedOf('vip', 'flag'),
];

const ANNA = { income: '1234.5', visits: '12', plan: 'größer', vip: 'true', updated: '2026-03-04T05:06:07Z' };

/** Values of the record at a place, null where there is none. */
function at({ columns }: FeatureRecords, place: number): Record<string, unknown> {
  return Object.fromEntries(
    [...columns].map(([name, { values, nulls }]) => [name, nulls?.[place] === 1 ? null : values[place]]),
  );
}

export function featureStoreContract(name: string, open: OpenStore): void {
  describe(name, () => {
    async function opened(
      records: Readonly<Record<string, TextRecord>>,
      wanted: readonly WantedFeature[] = WANTED,
      asOf: string | null = 'updated',
    ) {
      const counts: Partial<Record<LookUp, number>> = {};
      const observer: FeatureObserver = {
        looked: (_store, outcome, entities) => {
          counts[outcome] = (counts[outcome] ?? 0) + entities;
        },
        loaded: () => {},
        used: () => {},
      };
      return { store: await open({ records, wanted, asOf: asOf ?? undefined, observer }), counts };
    }

    test('has the values of a record as their features are, and since when they hold', async () => {
      const { store, counts } = await opened({ anna: ANNA });
      const record = await store.get('anna', 1000);
      expect(Object.fromEntries(record?.values ?? [])).toEqual({
        income: 1234.5,
        visits: 12n,
        plan: 'größer',
        vip: true,
      });
      expect(record?.asOfMs).toBe(Date.UTC(2026, 2, 4, 5, 6, 7));
      expect(counts).toEqual({ hit: 1 });
      expect(store.problem()).toBeUndefined();
      await store.close();
    });

    test('says of an entity that it does not know that there is nothing', async () => {
      const { store, counts } = await opened({ anna: ANNA });
      for (const entity of ['bert', 'ann', 'annaa', 'ANNA', ' anna']) {
        expect(await store.get(entity, 1000)).toBeUndefined();
      }
      expect(counts).toEqual({ miss: 5 });
      await store.close();
    });

    test('leaves out what a record does not have', async () => {
      const { store } = await opened({ anna: { plan: 'basic', updated: ANNA.updated }, bert: ANNA });
      const record = await store.get('anna', 1000);
      expect([...(record?.values ?? [])]).toEqual([['plan', 'basic']]);
      await store.close();
    });

    test('has many at once, in their order, and nobody for no entity', async () => {
      const { store, counts } = await opened({
        anna: ANNA,
        bert: { ...ANNA, income: '-1', visits: '9007199254740993', vip: '0' },
        carl: { plan: 'basic', updated: '2026-01-01T00:00:00Z' },
      });
      const names = ['visits', 'plan', 'income', 'vip'];
      const records = await store.getMany(['bert', '', 'nobody', 'carl', 'bert', 'anna'], names, 1000);
      expect([...records.columns.keys()]).toEqual(names);
      expect([...records.found]).toEqual([1, 0, 0, 1, 1, 1]);
      expect(at(records, 0)).toEqual({ visits: 9007199254740993n, plan: 'größer', income: -1, vip: 0 });
      expect(at(records, 1)).toEqual({ visits: null, plan: null, income: null, vip: null });
      expect(at(records, 2)).toEqual(at(records, 1));
      expect(at(records, 3)).toEqual({ visits: null, plan: 'basic', income: null, vip: null });
      expect(at(records, 4)).toEqual(at(records, 0));
      expect(at(records, 5)).toEqual({ visits: 12n, plan: 'größer', income: 1234.5, vip: 1 });
      expect(records.asOfMs[3]).toBe(Date.UTC(2026, 0, 1));
      expect(counts.miss).toBe(1);
      await store.close();
    });

    test('says the same of one and of many, to callers who wait for ever too', async () => {
      const { store } = await opened({
        anna: ANNA,
        bert: { ...ANNA, income: 'much' },
        carl: { plan: '', vip: 'false', updated: '2026-01-01' },
      });
      const entities = ['anna', 'bert', 'carl', 'nobody'];
      const records = await store.getMany(entities, ['income', 'visits', 'plan', 'vip'], Number.POSITIVE_INFINITY);
      for (const [place, entity] of entities.entries()) {
        expect(recordAt(records, place)).toEqual(await store.get(entity, Number.POSITIVE_INFINITY));
      }
      await store.close();
    });

    test('has nobody of nobody', async () => {
      const { store } = await opened({ anna: ANNA });
      const records = await store.getMany([], ['plan', 'income'], 1000);
      expect(records.found).toHaveLength(0);
      expect([...records.columns.values()].map(({ values }) => values.length)).toEqual([0, 0]);
      await store.close();
    });

    const broken: [string, TextRecord][] = [
      ['a text in the place of a number', { income: 'much' }],
      ['NaN where it is no value', { income: 'nan' }],
      ['an infinite number', { income: 'inf' }],
      ['a number beyond 32 bits for a 32-bit input', { income: '1e39' }],
      ['half a visit', { visits: '1.5' }],
      ['something between true and false', { vip: '2' }],
      ['a time that is none', { updated: 'yesterday' }],
    ];
    test.each(broken)('takes a record with %s for absent, and counts it', async (_name, part) => {
      const { store, counts } = await opened({ anna: ANNA, bert: { ...ANNA, ...part } });
      expect(await store.get('bert', 1000)).toBeUndefined();
      const records = await store.getMany(['bert', 'anna'], ['plan'], 1000);
      expect([...records.found]).toEqual([0, 1]);
      expect(at(records, 0)).toEqual({ plan: null });
      expect(counts).toEqual({ corrupt: 2, hit: 1 });
      await store.close();
    });

    test('has NaN where it is a value', async () => {
      const { store } = await opened({ anna: { ...ANNA, income: 'nan' } }, [
        wantedOf('income', 'number', { allowNan: true }),
      ]);
      expect((await store.get('anna', 1000))?.values.get('income')).toBeNaN();
      expect(at(await store.getMany(['anna'], ['income'], 1000), 0)).toEqual({ income: Number.NaN });
      await store.close();
    });

    test.each([
      ['seconds', '1772600767', Date.UTC(2026, 2, 4, 5, 6, 7)],
      ['milliseconds', '1772600767123', Date.UTC(2026, 2, 4, 5, 6, 7, 123)],
      ['a date', '2026-03-04', Date.UTC(2026, 2, 4)],
      ['no zone, which is UTC', '2026-03-04 05:06:07', Date.UTC(2026, 2, 4, 5, 6, 7)],
      ['another zone', '2026-03-04T07:06:07+02:00', Date.UTC(2026, 2, 4, 5, 6, 7)],
    ])('reads a time in %s', async (_name, updated, expected) => {
      const { store } = await opened({ anna: { ...ANNA, updated } });
      expect((await store.get('anna', 1000))?.asOfMs).toBe(expected);
      await store.close();
    });

    test('knows many entities, of all kinds of names', async () => {
      const names = Array.from({ length: 3000 }, (_, index) => `${index % 3 === 0 ? 'kunde ü' : 'c'}${index}`);
      const records = Object.fromEntries(names.map((entity, index) => [entity, { income: String(index) }]));
      const { store } = await opened(records, [wantedOf('income', 'number')], null);
      const found = await store.getMany([...names].reverse(), ['income'], 5000);
      expect([...(found.columns.get('income')?.values ?? [])]).toEqual(names.map((_, index) => index).reverse());
      expect((await store.get('kunde ü2997', 1000))?.values.get('income')).toBe(2997);
      await store.close();
    });
  });
}
