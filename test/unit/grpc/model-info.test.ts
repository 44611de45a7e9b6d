import { expect, test } from 'vitest';
import { toModelInfo } from '../../../src/grpc/model-info.ts';
import type { Feature, FeatureView } from '../../../src/models/model.ts';
import { fakeModel } from '../../support/fake-model.ts';

function infoOf(features: readonly Partial<Feature>[], featureView: FeatureView) {
  const inputs = features.map(({ name = 'x' }) => ({ name, type: 'float32' as const, rowDims: [1], width: 1 }));
  const all = features.map(
    (feature, input): Feature => ({
      name: 'x',
      type: 'number',
      dataType: 'float32',
      input,
      column: 0,
      allowNan: false,
      ...feature,
    }),
  );
  const rows = { kind: 'features' as const, features: all, inputs, dense: true, named: true };
  return toModelInfo(fakeModel({ rows, featureView }), true);
}

test('where features come from', () => {
  const info = infoOf(
    [
      { name: 'age', source: 'store', maxAgeSeconds: 0.5 },
      { name: 'plan', source: 'store' },
      { name: 'amount' },
      { name: 'hour_of_day', source: 'computed' },
    ],
    { store: 'customers', timeZone: 'Europe/Berlin' },
  );
  expect(info.features.map(({ name, source, maxAgeSeconds }) => [name, source, maxAgeSeconds])).toEqual([
    ['age', 'store', 0.5],
    ['plan', 'store', undefined],
    ['amount', 'request', undefined],
    ['hour_of_day', 'computed', undefined],
  ]);
  expect([info.featureStore, info.timeZone]).toEqual(['customers', 'Europe/Berlin']);
});

test('no time zone where nothing is computed, and no feature store where there is none', () => {
  const { featureStore, timeZone } = infoOf([{ name: 'amount' }], { timeZone: 'UTC' });
  expect([featureStore, timeZone]).toEqual(['', '']);
});
