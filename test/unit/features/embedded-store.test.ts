// Features in files: what columns become, which row of an entity counts, and what happens when the files change.
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { FileStoreDefinition } from '../../../src/config/feature-stores-file.ts';
import { EmbeddedStore } from '../../../src/features/embedded-store.ts';
import { nobody } from '../../../src/features/feature-store.ts';
import type { WantedFeature } from '../../../src/features/wanted-features.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { wantedOf } from '../../contract/feature-store.ts';
import { eventually } from '../../support/concurrently.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { tempFolder } from '../../support/model-folder.ts';
import { writeRows, writeSelect } from '../../support/write-table.ts';

const INCOME = wantedOf('income', 'number');

type Opened = { store: EmbeddedStore; clock: FakeClock; loads: boolean[]; logged: () => Record<string, unknown>[] };

async function opened(
  part: Partial<FileStoreDefinition> & { files: readonly string[] },
  wanted: readonly WantedFeature[] = [INCOME],
): Promise<Opened> {
  const clock = new FakeClock();
  const loads: boolean[] = [];
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) } as never;
  const store = await EmbeddedStore.open({
    name: 'customers',
    definition: { kind: 'files', entity: undefined, asOf: undefined, columns: new Map(), ...part },
    wanted,
    reloadMs: 5000,
    log: createLogger({ level: 'warn', format: 'json' } as never, stream),
    observer: { ...nobody, loaded: (_store, isRead) => loads.push(isRead) },
    after: (ms, callback) => clock.after(ms, callback),
    nowMs: () => clock.nowMs(),
  });
  return { store, clock, loads, logged: () => lines.map((line) => JSON.parse(line)) };
}

function incomeOf(store: EmbeddedStore, entity: string): unknown {
  return store.get(entity)?.values.get('income');
}

/** One more look at the files, up to its end. */
async function look({ clock }: Opened): Promise<void> {
  await clock.advance(5000);
  await eventually(() => clock.nextTimerMs !== undefined);
}

describe('columns', () => {
  test('of Parquet are cast as those of a job are', async () => {
    const path = join(await tempFolder(), 'a.parquet');
    await writeSelect(
      `SELECT 42.0::DOUBLE AS customer_id, 3::UTINYINT AS income, 5.0::DECIMAL(5, 2) AS visits, 'basic' AS plan, 1 AS vip`,
      path,
    );
    const { store } = await opened({ files: [path] }, [
      INCOME,
      wantedOf('visits', 'integer'),
      wantedOf('plan', 'text'),
      wantedOf('vip', 'flag'),
    ]);
    // 42.0, as pandas writes an integer that may be missing, is the entity 42.
    expect(Object.fromEntries(store.get('42')?.values ?? [])).toEqual({
      income: 3,
      visits: 5n,
      plan: 'basic',
      vip: true,
    });
    await store.close();
  });

  test('may have other names than their features, and another one may be the entity', async () => {
    const path = await writeRows([{ who: 'anna', monthly: 7, income: 1 }], 'a.parquet');
    const { store } = await opened({ files: [path], entity: 'who', columns: new Map([['income', 'monthly']]) });
    expect(incomeOf(store, 'anna')).toBe(7);
    await store.close();
  });

  test.each([
    ["SELECT 1 AS id, 'much' AS income", 'column income is VARCHAR, and income is a number'],
    ['SELECT 1 AS id, 3 AS age', 'has no column income, and model churn has no default for it'],
    ['SELECT 1 AS name, 3 AS income', 'entity: say which column has the entity id'],
    ['SELECT 1 AS id, 3 AS income, true AS updated', 'as_of: column updated is BOOLEAN; allowed is a time'],
  ])('that can never fit are a mistake: %s', async (select, message) => {
    const path = join(await tempFolder(), 'a.parquet');
    await writeSelect(select, path);
    const asOf = message.startsWith('as_of') ? 'updated' : undefined;
    const failure = opened({ files: [path], asOf }, [{ ...INCOME, neededBy: 'churn' }]);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toThrow(/^feature store customers: \S*a\.parquet/);
  });

  test('that no model needs may be missing', async () => {
    const path = await writeRows([{ id: 'anna', income: 3 }], 'a.parquet');
    const { store } = await opened({ files: [path] }, [
      INCOME,
      wantedOf('plan', 'text'),
      wantedOf('visits', 'integer'),
    ]);
    expect([...(store.get('anna')?.values.keys() ?? [])]).toEqual(['income']);
    const { columns } = store.getMany(['anna'], ['plan', 'visits']);
    expect([...columns.values()].map(({ nulls }) => nulls?.[0])).toEqual([1, 1]);
    await store.close();
  });
});

describe('files', () => {
  test('are all of a glob and of a list, whatever their formats', async () => {
    const parquet = await writeRows([{ id: 'anna', income: 1 }], 'a.parquet');
    const csv = await writeRows([{ id: 'bert', income: 2 }], 'b.csv');
    const lines = await writeRows([{ id: 'carl', income: 3 }], 'c.jsonl');
    const { store } = await opened({ files: [join(dirname(parquet), '*.parquet'), csv, lines] });
    expect(['anna', 'bert', 'carl'].map((entity) => incomeOf(store, entity))).toEqual([1, 2, 3]);
    await store.close();
  });

  test.each([
    ['nowhere/*.parquet', 'files: nowhere/*.parquet: no such file'],
    ['.', 'is a folder'],
  ])('that are none are a mistake: %s', async (pattern, message) => {
    await expect(opened({ files: [pattern] })).rejects.toThrow(message);
  });

  test('of another ending are a mistake', async () => {
    const path = join(await tempFolder(), 'a.xls');
    await writeFile(path, '');
    await expect(opened({ files: [path] })).rejects.toThrow('an ending that names no format');
  });

  test('that are no Parquet are said in one line', async () => {
    const path = join(await tempFolder(), 'a.parquet');
    await writeFile(path, 'nothing of the kind');
    const failure = opened({ files: [path] });
    await expect(failure).rejects.toThrow(/^feature store customers: \S*a\.parquet: .*$/);
  });

  test('have rows that are passed over: those of nobody, and lines that are none', async () => {
    const path = join(await tempFolder(), 'a.jsonl');
    await writeFile(path, '{"id": "anna", "income": 1}\n{"id": null, "income": 2}\nnonsense\n');
    const { store, logged } = await opened({ files: [path] });
    expect(store.entities).toBe(1);
    expect(logged()).toMatchObject([{ store: 'customers', rows: 2 }]);
    await store.close();
  });
});

describe('of several rows of an entity', () => {
  test('the one counts that holds since the latest time, wherever it is', async () => {
    const path = await writeRows(
      [
        { id: 'anna', income: 1, updated: '2026-01-02 00:00:00' },
        { id: 'anna', income: 2, updated: '2026-01-03 00:00:00' },
        { id: 'anna', income: 3, updated: '2026-01-01 00:00:00' },
      ],
      'a.parquet',
    );
    const { store } = await opened({ files: [path], asOf: 'updated' });
    expect(store.get('anna')).toEqual({ values: new Map([['income', 2]]), asOfMs: Date.UTC(2026, 0, 3) });
    expect(store.entities).toBe(1);
    await store.close();
  });

  test('the last one counts where they hold since the same time, which is when the file was changed', async () => {
    const path = await writeRows(
      [
        { id: '42', income: 1 },
        { id: '42.0', income: 2 },
      ],
      'a.csv',
    );
    await utimes(path, 1000, 1000);
    const { store } = await opened({ files: [path] });
    expect(store.get('42')).toEqual({ values: new Map([['income', 2]]), asOfMs: 1_000_000 });
    await store.close();
  });

  test('one that can not be read counts as absent if it is the latest, and not if it is not', async () => {
    const rows = (income: [string, string]) =>
      income.map((value, day) => ({ id: 'anna', income: value, updated: `2026-01-0${day + 1}` }));
    for (const [values, expected] of [
      [['1', 'much'], undefined],
      [['much', '2'], 2],
    ] as [[string, string], unknown][]) {
      const { store } = await opened({ files: [await writeRows(rows(values), 'a.csv')], asOf: 'updated' });
      expect(incomeOf(store, 'anna')).toBe(expected);
      await store.close();
    }
  });
});

test('records that can not be read are logged when they are read, and once a minute when they are asked for', async () => {
  const path = await writeRows([{ id: 'anna', income: 'much' }], 'a.csv');
  const { store, clock, logged } = await opened({ files: [path] });
  expect(logged()).toMatchObject([
    { records: 1, first: { entity: 'anna', feature: 'income', problem: 'expected a number, found text "much"' } },
  ]);
  for (let i = 0; i < 3; i++) store.get('anna');
  expect(logged()).toHaveLength(2);
  clock.skip(59_999);
  store.get('anna');
  expect(logged()).toHaveLength(2);
  clock.skip(1);
  store.get('anna');
  expect(logged().slice(1)).toMatchObject([
    { records: 1, entity: 'anna' },
    { records: 4, entity: 'anna' },
  ]);
  await store.close();
});

describe('a change of the files', () => {
  async function changing() {
    const path = join(await tempFolder(), 'a.csv');
    const write = async (text: string, seconds: number): Promise<void> => {
      await writeFile(path, text);
      await utimes(path, seconds, seconds);
    };
    await write('id,income\nanna,1\n', 1000);
    return { path, write, ...(await opened({ files: [join(dirname(path), '*.csv')] })) };
  }

  test('is seen, be it a file that is written again, one that comes or one that goes', async () => {
    const parts = await changing();
    const { path, write, store, loads } = parts;
    await look(parts);
    expect(loads).toEqual([]);
    await write('id,income\nanna,2\n', 2000);
    expect(incomeOf(store, 'anna')).toBe(1);
    await look(parts);
    expect(incomeOf(store, 'anna')).toBe(2);
    const other = join(dirname(path), 'b.csv');
    await writeFile(other, 'id,income\nbert,3\n');
    await look(parts);
    expect([incomeOf(store, 'anna'), incomeOf(store, 'bert')]).toEqual([2, 3]);
    await rm(other);
    await look(parts);
    expect(incomeOf(store, 'bert')).toBeUndefined();
    expect(loads).toEqual([true, true, true]);
    await store.close();
  });

  test('to what can not be read leaves what was read before, and is said once', async () => {
    const parts = await changing();
    const { write, store, loads, logged } = parts;
    await write('name\nanna\n', 2000);
    await look(parts);
    await look(parts);
    expect(incomeOf(store, 'anna')).toBe(1);
    expect(store.problem()).toContain('entity: say which column');
    expect(loads).toEqual([false]);
    expect(logged()).toHaveLength(1);
    await write('id,income\nanna,9\n', 3000);
    await look(parts);
    expect(incomeOf(store, 'anna')).toBe(9);
    expect(store.problem()).toBeUndefined();
    expect(loads).toEqual([false, true]);
    await store.close();
  });

  test('that takes all files away is a problem until they are back', async () => {
    const parts = await changing();
    const { path, write, store, loads } = parts;
    await rm(path);
    await look(parts);
    await look(parts);
    expect(incomeOf(store, 'anna')).toBe(1);
    expect(store.problem()).toContain('no such file');
    expect(loads).toEqual([false]);
    await mkdir(dirname(path), { recursive: true });
    await write('id,income\nanna,1\n', 1000);
    await look(parts);
    expect(store.problem()).toBeUndefined();
    await store.close();
  });

  test('that is being read when the store is closed is left', async () => {
    const { write, store, clock } = await changing();
    await write('id,income\nanna,2\n', 2000);
    await clock.advance(5000);
    await store.close();
    expect(clock.nextTimerMs).toBeUndefined();
  });
});
