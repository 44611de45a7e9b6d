import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readFeatureStores } from '../../../src/config/feature-stores-file.ts';
import { folderOf } from '../../support/model-folder.ts';

async function stores(text: string): Promise<() => ReturnType<typeof readFeatureStores>> {
  const folder = await folderOf({ 'features.yaml': text });
  return () => readFeatureStores(join(folder, 'features.yaml'));
}

test('stores have what they say', async () => {
  const read = await stores(`
customers:
  files: [data/customers/*.parquet, data/more.csv]
  entity: customer_id
  as_of: updated_at
  columns: { income: monthly_income }
plain: { files: a.csv }
live:
  redis: { key: "customer:{entity}", as_of: updated_at }
  fields: { income: inc }
`);
  expect(Object.fromEntries(read())).toEqual({
    customers: {
      kind: 'files',
      files: ['data/customers/*.parquet', 'data/more.csv'],
      entity: 'customer_id',
      asOf: 'updated_at',
      columns: new Map([['income', 'monthly_income']]),
    },
    plain: { kind: 'files', files: ['a.csv'], entity: undefined, asOf: undefined, columns: new Map() },
    live: { kind: 'redis', key: 'customer:{entity}', asOf: 'updated_at', fields: new Map([['income', 'inc']]) },
  });
});

test.each([
  ['a: { files: [] }', 'a.files: found []; allowed is a path, a glob, or a list of these'],
  ['a: { entity: x }', 'a: found {"entity":"x"}; allowed is either files or redis'],
  ['a: { files: x, redis: { key: "{entity}" } }', 'allowed is either files or redis'],
  ['a: x.parquet', 'a: found "x.parquet"; allowed is a map with files, or one with redis'],
  ['a: { files: x, asof: y }', 'a.asof: found "y"; allowed is one of files, entity, as_of, columns'],
  ['a: { files: x, columns: { income: 3 } }', 'a.columns.income: found 3; allowed is the name of a column'],
  ['a: { redis: { key: customer } }', 'a.redis.key: found "customer"; allowed is text with {entity} in it'],
  ['a: { redis: {} }', 'a.redis.key: found nothing; allowed is text with {entity}'],
  ['a: { redis: { key: "{entity}", field: x } }', 'a.redis.field: found "x"; allowed is one of key, as_of'],
  ['"a b": { files: x }', '"a b": allowed in a name are letters, digits, . _ and -'],
  ['[1]', 'found [1]; allowed is a map of feature stores by name'],
  ['a: {', "can't be read"],
])('a mistake is said: %s', async (text, message) => {
  expect(await stores(text)).toThrow(message);
});

test('all mistakes are said at once, one a line', async () => {
  const read = await stores('a: { files: 1, entity: 2 }\nb: 3');
  let lines: string[] = [];
  try {
    read();
  } catch (error) {
    lines = (error as Error).message.split('\n');
  }
  expect(lines).toHaveLength(3);
});
