// `scorewire features export` and `scorewire check --skew`: what a server would feed a model, to train on and to compare with.
import { existsSync, readdirSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { EXAMPLES, folderOf, tempFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { customers, sql } from '../support/tables.ts';

/** Friday, 23:30 in Zurich. */
const AT = '2026-07-03T21:30:00Z';

const MANIFEST = `
features:
  - { name: income, default: -1 }
  - { name: age, max_age_seconds: 86400 }
  - { name: visits, allow_nan: true }
  - { name: amount, source: request, default: 5 }
  - { name: hour_of_day, source: computed }
feature_view: { store: customers, time_zone: Europe/Zurich }
`;

const FEATURES = ['income', 'age', 'visits', 'amount', 'hour_of_day'];

let folder: string;
let models: string;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await tempFolder();
  models = await folderOf({ 'risk/1/model.onnx': linear([1, 1, 1, 1, 1], 0), 'risk/model.yaml': MANIFEST });
  await sql(
    `COPY (SELECT i AS customer_id, CASE WHEN i % 10 > 0 THEN i / 4 END AS money, i % 90 AS age,
        CASE WHEN i % 7 > 0 THEN i END AS visits,
        CASE WHEN i = 3 THEN TIMESTAMP '2026-06-01' ELSE TIMESTAMP '2026-07-03' END AS updated
      FROM range(1, 5001) t(i)) TO '${at('customers.parquet')}'`,
    `COPY (SELECT i AS customer_id, i % 2 AS churned FROM range(1, 5001) t(i)) TO '${at('labels.parquet')}'`,
    `COPY (SELECT i AS customer_id, 7.5 AS amount, CASE WHEN i = 2 THEN 99 END AS income
      FROM range(1, 5) t(i) UNION ALL SELECT 90001, 1, 1 UNION ALL SELECT NULL, 1, 1) TO '${at('some.csv')}' (HEADER)`,
  );
  await writeFile(
    at('features.yaml'),
    `customers: { files: ${at('customers.parquet')}, as_of: updated, columns: { income: money } }`,
  );
});

const command = (words: readonly string[], args: readonly string[]) =>
  runCommand([...words, '--models', models, '--features', at('features.yaml'), ...args]);
const exported = (...args: string[]) => command(['features', 'export'], ['--at', AT, ...args]);
const skew = (...args: string[]) => command(['check'], ['--skew', ...args]);

describe('features export', () => {
  test('writes what the pipeline gives: request, computed, store, default, as the model takes them', async () => {
    const { code, stdout, stderr } = await exported('--input', at('some.csv'), '--output', at('some.parquet'));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(await sql(`SELECT * FROM '${at('some.parquet')}'`)).toEqual([
      { entity_id: '1', income: 0.25, age: 1, visits: 1, amount: 7.5, hour_of_day: 23 },
      { entity_id: '2', income: 99, age: 2, visits: 2, amount: 7.5, hour_of_day: 23 },
      { entity_id: '4', income: 1, age: 4, visits: 4, amount: 7.5, hour_of_day: 23 },
    ]);
    expect(await sql(`SELECT column_name, column_type FROM (DESCRIBE FROM '${at('some.parquet')}')`)).toEqual([
      { column_name: 'entity_id', column_type: 'VARCHAR' },
      ...FEATURES.map((name) => ({ column_name: name, column_type: 'FLOAT' })),
    ]);
    // Customer 3's age is too old, 90001 is nobody, and one row is of nobody.
    expect(stdout).toMatch(/^written +3$/m);
    expect(stdout).toMatch(/^rejected +3$/m);
    expect(stdout).toMatch(/^ +INVALID_ROW +2, such as entity 3: .*"age".*found nothing$/m);
    expect(stdout).toMatch(/^ +NO_ENTITY +1, such as/m);
  });

  test('of entities alone, with null and NaN where the store has none', async () => {
    const { code, stderr, stdout } = await exported('--input', at('labels.parquet'), '--output', at('all.parquet'));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^written +4,999$/m);
    expect(stdout).toMatch(/^ +MISSING_FEATURES +1, such as entity 3: .*features\["age"\].*at most 86400 s old/m);
    const [sums] = await sql(`SELECT count(*)::INTEGER AS n, count(*) FILTER (income = -1)::INTEGER AS defaults,
        count(*) FILTER (isnan(visits))::INTEGER AS nans, min(amount) AS amount FROM '${at('all.parquet')}'`);
    expect(sums).toEqual({ n: 4999, defaults: 500, nans: 714, amount: 5 });
    // In the order of the input, and nothing is left behind.
    const [order] = await sql(
      `SELECT bool_and(entity_id::INTEGER = n + (n > 2)::INTEGER)::BOOLEAN AS ok FROM (SELECT entity_id, row_number() OVER () AS n FROM '${at('all.parquet')}')`,
    );
    expect(order).toEqual({ ok: true });
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('of a query, to CSV', async () => {
    const { code } = await exported(
      '--query',
      `SELECT customer_id FROM '${at('labels.parquet')}' WHERE customer_id < 3`,
      '--output',
      at('query.csv'),
    );
    expect(code).toBe(0);
    expect(await readFile(at('query.csv'), 'utf8')).toBe(
      'entity_id,income,age,visits,amount,hour_of_day\n1,0.25,1.0,1.0,5.0,23.0\n2,0.5,2.0,2.0,5.0,23.0\n',
    );
  });

  test('of all kinds of features, as their columns are', async () => {
    const folderOfChurn = await tempFolder();
    await cp(join(EXAMPLES, 'churn'), join(folderOfChurn, 'churn'), { recursive: true });
    const manifest = join(folderOfChurn, 'churn', 'model.yaml');
    const text = (await readFile(manifest, 'utf8')).replace('{ store: customers }', '{ store: people }');
    await writeFile(manifest, text);
    await sql(`COPY (${customers(3000)}) TO '${at('people.parquet')}'`);
    await writeFile(at('people.yaml'), `people: { files: ${at('people.parquet')} }`);
    const set = ['--models', folderOfChurn, '--features', at('people.yaml')];
    const { code, stderr } = await runCommand([
      ...['features', 'export', ...set, '--output', at('churn.parquet')],
      ...['--query', `SELECT customer_id FROM '${at('people.parquet')}'`],
    ]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [first] = await sql(`SELECT * FROM '${at('churn.parquet')}'`);
    expect(first).toMatchObject({ entity_id: '1', plan: 'standard', paperless_billing: false, support_calls: '1' });
    // What was exported, and what it was exported from, is what the server feeds.
    for (const frame of ['churn.parquet', 'people.parquet']) {
      const checked = await runCommand(['check', ...set, '--skew', at(frame)]);
      expect(checked).toMatchObject({ code: 0 });
      expect(checked.stdout).toMatch(/^11 features agree in all rows that were compared$/m);
    }
  });

  test.each([
    [['--output', 'x.parquet'], '--input: either this or --query'],
    [['--input', 'nowhere.parquet', '--output', 'x.parquet'], 'input: nowhere.parquet: no such file'],
    [['--query', 'SELECT 1 AS id', '--output', 'x.xls'], 'an ending that names no format'],
    [['--query', 'SELECT 1 AS name', '--output', 'x.csv'], 'entity: say which column has the entity id'],
    [['--query', 'SELECT 1 AS id', '--output', 'x.csv', '--model', 'churn'], 'has no model churn; it has risk'],
  ])('says what is wrong in one line: %s', async (args, message) => {
    const to = args.map((arg) => (arg.startsWith('x.') ? at(arg) : arg));
    const { code, stderr } = await exported(...to);
    expect(code).toBe(1);
    const [last = '', ...progress] = stderr.trimEnd().split('\n').reverse();
    expect(last).toContain(message);
    expect(progress.filter((line) => line !== 'reading the input')).toEqual([]);
    expect(existsSync(at('x.parquet')) || existsSync(at('x.csv'))).toBe(false);
  });
});

describe('check --skew', () => {
  test('passes what was exported at the same time, and says what it did not compare', async () => {
    await exported('--input', at('some.csv'), '--output', at('same.parquet'));
    await sql(
      `COPY (SELECT *, 1 AS label FROM '${at('same.parquet')}' WHERE entity_id <> '2') TO '${at('same2.parquet')}'`,
    );
    const { code, stdout } = await skew(at('same2.parquet'), '--at', AT);
    expect({ code, stdout }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^as requests bring them, not compared: amount$/m);
    expect(stdout).toMatch(/^columns that are no features: label$/m);
    expect(stdout).toMatch(/^4 features agree in all rows that were compared$/m);
  });

  test('names what differs: how often, by how much, and for whom', async () => {
    await sql(
      `COPY (SELECT customer_id, CASE WHEN customer_id % 100 = 1 THEN money + 0.5 ELSE coalesce(money, -1) END AS income,
          age + 0.00000001 AS age, CASE WHEN customer_id = 5 THEN NULL ELSE visits END AS visits
        FROM '${at('customers.parquet')}' WHERE customer_id <> 3) TO '${at('other.parquet')}'`,
    );
    const { code, stdout } = await skew(at('other.parquet'), '--at', AT);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^features that the frame has no column of: amount, hour_of_day$/m);
    expect(stdout).toMatch(/^1 of 3 features agree$/m);
    expect(stdout).toMatch(/^income +store +50 +1\.00 % +0\.500 +1: 0\.75 trained, 0\.25 served; 101: /m);
    expect(stdout).toMatch(/^visits +store +1 +0\.02 % +- +5: NaN trained, 5 served$/m);
  });

  test('lets numbers differ by so much', async () => {
    await sql(
      `COPY (SELECT customer_id, age * 1.001 AS age FROM '${at('customers.parquet')}' WHERE customer_id <> 3) TO '${at('near.parquet')}'`,
    );
    expect((await skew(at('near.parquet'), '--at', AT)).code).toBe(1);
    expect((await skew(at('near.parquet'), '--at', AT, '--tolerance', '0.01')).code).toBe(0);
  });

  test('fails for rows that a server could not feed, and for rows that are none', async () => {
    await writeFile(at('odd.csv'), 'id,age\n1,1\n3,3\n4,four\n');
    const { code, stdout } = await skew(at('odd.csv'), '--at', AT);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^rows that a server could not feed the model: 1\n {2}entity 3: .*age/m);
    expect(stdout).toMatch(/^rows that the model can not be fed as they are: 1\n {2}entity 4: .*text "four"$/m);
  });

  test('says where there is nothing to compare, or nothing to compare with', async () => {
    await writeFile(at('none.csv'), 'id,amount\n1,1\n');
    expect((await skew(at('none.csv'))).stderr).toContain('nothing to compare');
    const without = await runCommand(['check', '--models', models, '--skew', at('none.csv')]);
    expect(without.stderr).toContain('no file says what customers is; set features.file (--features)');
    const alone = await runCommand(['check', '--models', models, '--model', 'risk']);
    expect(alone.stderr).toContain('--model: only with --skew');
  });
});
