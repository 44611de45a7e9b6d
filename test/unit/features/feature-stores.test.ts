// The feature stores of a server: those that its models take from, and what is said where they don't go together.
import { afterEach, expect, test } from 'vitest';
import type { FeatureStoreDefinition } from '../../../src/config/feature-stores-file.ts';
import { FeatureStores } from '../../../src/features/feature-stores.ts';
import { wantedFeatures } from '../../../src/features/wanted-features.ts';
import type { Feature, FeatureType, ModelSpec } from '../../../src/models/model.ts';
import type { DataType } from '../../../src/tensor.ts';
import { writeRows } from '../../support/write-table.ts';

const DATA_TYPES: Record<FeatureType, DataType> = { number: 'float32', integer: 'int64', text: 'string', flag: 'bool' };

type Sketch = Partial<Feature> & { name: string };

/** As much of a model as feature stores look at. */
function model(name: string, store: string | undefined, ...sketches: Sketch[]): ModelSpec {
  const features = sketches.map((sketch, input): Feature => {
    const type = sketch.type ?? 'number';
    return { type, dataType: DATA_TYPES[type], input, column: 0, allowNan: false, source: 'store', ...sketch };
  });
  const inputs = features.map(({ name: own, dataType }) => ({ name: own, type: dataType, rowDims: [1], width: 1 }));
  return {
    name,
    rows: { kind: 'features', features, inputs, dense: true, named: true },
    featureView: { timeZone: 'UTC', ...(store === undefined ? {} : { store }) },
  } as unknown as ModelSpec;
}

function inFile(path: string): FeatureStoreDefinition {
  return { kind: 'files', files: [path], entity: undefined, asOf: undefined, columns: new Map() };
}

const opened: FeatureStores[] = [];

afterEach(async () => {
  for (const stores of opened.splice(0)) await stores.close();
});

async function open(specs: ModelSpec[], definitions?: Record<string, FeatureStoreDefinition>): Promise<FeatureStores> {
  const stores = await FeatureStores.open({
    definitions: definitions && new Map(Object.entries(definitions)),
    file: definitions && 'features.yaml',
    specs,
    redisUrl: 'redis://127.0.0.1:1',
    reloadMs: 60_000,
  });
  opened.push(stores);
  return stores;
}

test('models share a store, each with its own features', async () => {
  const path = await writeRows([{ id: 'anna', income: 3, plan: 'basic' }], 'a.parquet');
  const [churn, fraud] = [
    model('churn', 'customers', { name: 'income' }),
    model('fraud', 'customers', { name: 'plan', type: 'text' }, { name: 'income', type: 'integer' }),
  ];
  const stores = await open([churn, fraud], { customers: inFile(path) });
  const values = (spec: ModelSpec) => {
    const complete = stores.pipeline(spec).complete(undefined, 'anna', 0, 5);
    return 'row' in complete && complete.row.form === 'named' ? Object.fromEntries(complete.row.values) : undefined;
  };
  expect(values(churn)).toEqual({ income: 3 });
  expect(values(fraud)).toEqual({ plan: 'basic', income: 3 });
  expect(stores.problems()).toEqual(new Map());
});

test('a store that no model takes from is not opened', async () => {
  const stores = await open([model('churn', undefined, { name: 'income' })], { unused: inFile('nowhere.parquet') });
  expect(stores.pipeline(model('churn', undefined, { name: 'income' })).byEntity).toBe(false);
});

test('a store that is not there is said, of all models at once', async () => {
  const specs = [model('churn', 'customers', { name: 'income' }), model('fraud', 'other', { name: 'income' })];
  await expect(open(specs)).rejects.toThrow(
    /^model churn: feature_view.store: no file says what customers is; set features.file \(--features\)\nmodel fraud: .*$/,
  );
  await expect(open(specs, { customers: inFile('a.parquet') })).rejects.toThrow(
    'model fraud: feature_view.store: features.yaml has no feature store other; it has customers',
  );
});

test('a feature without a column and without a default names model, feature, store and file', async () => {
  const path = await writeRows([{ id: 'anna', income: 3 }], 'a.parquet');
  const spec = model('churn', 'customers', { name: 'income' }, { name: 'age', default: 3 }, { name: 'visits' });
  await expect(open([spec], { customers: inFile(path) })).rejects.toThrow(
    `feature store customers: ${path} has no column visits, and model churn has no default for it`,
  );
});

test('a Redis that is not there is a problem, and keeps nothing from starting', async () => {
  const definition: FeatureStoreDefinition = { kind: 'redis', key: '{entity}', asOf: undefined, fields: new Map() };
  const spec = model('churn', 'live', { name: 'income' });
  const stores = await open([spec], { live: definition });
  expect([...stores.problems().keys()]).toEqual(['live']);
  await expect(stores.pipeline(spec).complete(undefined, 'anna', 0, 5)).rejects.toMatchObject({
    reason: 'FEATURES_UNAVAILABLE',
  });
});

test('a text and a number of one name do not go together; numbers of several kinds do', () => {
  const specs = [model('a', 's', { name: 'x', type: 'integer' }), model('b', 's', { name: 'x' })];
  expect(wantedFeatures('s', specs)).toMatchObject([{ name: 'x', type: 'number', neededBy: 'a' }]);
  expect(() => wantedFeatures('s', [...specs, model('c', 's', { name: 'x', type: 'text' })])).toThrow(
    'feature store s: x is text for model c, and integer for model a',
  );
});

test('models that come later: a store with more in it for them, and the one that they had for those before', async () => {
  const path = await writeRows([{ id: 'anna', income: 3, plan: 'basic', visits: 7 }], 'a.parquet');
  const churn = model('churn', 'customers', { name: 'income' });
  const stores = await open([churn], { customers: inFile(path) });
  const before = stores.pipeline(churn);
  const later = model('fraud', 'customers', { name: 'visits' }, { name: 'income' });
  const [lost, odd] = [
    model('lost', 'other', { name: 'income' }),
    model('odd', 'customers', { name: 'income', type: 'text' }),
  ];
  const refused = await stores.admit([lost, later, odd]);
  expect([...refused.keys()]).toEqual([lost, odd]);
  expect(refused.get(lost)).toContain('features.yaml has no feature store other');
  expect(refused.get(odd)).toContain('income is text for model odd');
  const values = (pipeline: ReturnType<typeof stores.pipeline>) => {
    const complete = pipeline.complete(undefined, 'anna', 0, 5);
    return 'row' in complete && complete.row.form === 'named' ? Object.fromEntries(complete.row.values) : undefined;
  };
  expect(values(stores.pipeline(later))).toEqual({ visits: 7, income: 3 });
  expect(values(before)).toEqual({ income: 3 });
  // What goes makes no claims any more.
  await stores.release(churn);
  await stores.release(later);
  const last = model('last', 'customers', { name: 'plan', type: 'text' });
  expect(await stores.admit([last])).toEqual(new Map());
  expect(values(stores.pipeline(last))).toEqual({ plan: 'basic' });
});
