import { expect, test } from 'vitest';
import { allModelsReady, isModelReady } from '../../../src/inference/readiness.ts';
import { ModelRegistry, UNLOADED } from '../../../src/scoring/model-registry.ts';
import { fakeModel } from '../../support/fake-model.ts';

function registry(): ModelRegistry {
  const models = new ModelRegistry();
  models.add(fakeModel({ name: 'churn', version: 1 }));
  models.setFolders(['churn', 'never_loaded']);
  return models;
}

test('ready: what is served, and what nobody loaded', () => {
  expect(allModelsReady(registry())).toBe(true);
});

test('not ready: a model of which no version could be loaded', () => {
  const models = registry();
  models.note('fraud', 1, 'UNAVAILABLE', 'not ONNX');
  expect(allModelsReady(models)).toBe(false);
  models.note('fraud', 1, 'LOADING');
  expect(allModelsReady(models)).toBe(true);
  models.note('fraud', undefined, 'UNAVAILABLE', 'config.pbtxt can not be read');
  expect(allModelsReady(models)).toBe(false);
});

test('ready: a model whose new version could not be loaded, while an older one is served', () => {
  const models = registry();
  models.note('churn', 2, 'UNAVAILABLE', 'not ONNX');
  expect(allModelsReady(models)).toBe(true);
});

test('ready: a model that was unloaded', () => {
  const models = registry();
  models.note('fraud', 1, 'UNAVAILABLE', UNLOADED);
  expect(allModelsReady(models)).toBe(true);
});

test('a model is ready where the version asked for is served', () => {
  const models = registry();
  models.note('churn', 2, 'LOADING');
  models.note('fraud', 1, 'UNAVAILABLE', 'not ONNX');
  const ready = (name: string, version: string) => isModelReady(() => models, name, version);
  expect(ready('churn', '')).toBe(true);
  expect(ready('churn', '1')).toBe(true);
  expect(ready('churn', '2')).toBe(false);
  expect(ready('fraud', '')).toBe(false);
  expect(ready('never_loaded', '')).toBe(false);
  expect(() => ready('churn', 'one')).toThrow(/failed to get model version/);
});
