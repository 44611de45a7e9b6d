import { describe, expect, it } from 'vitest';
import type { ScorewireError } from '../../../src/errors.ts';
import { ModelRegistry } from '../../../src/scoring/model-registry.ts';
import type { ServedModel } from '../../../src/scoring/served-model.ts';
import { fakeModel } from '../../support/fake-model.ts';

const model = (name: string, version: number): ServedModel => fakeModel({ name, version });

function registryOf(...models: ServedModel[]): ModelRegistry {
  const registry = new ModelRegistry();
  for (const model of models) registry.add(model);
  return registry;
}

function refusal(registry: ModelRegistry, name: string, version?: number | bigint): ScorewireError {
  try {
    registry.get(name, version);
  } catch (error) {
    return error as ScorewireError;
  }
  throw new Error('it was found');
}

describe('the version asked for', () => {
  const [one, two, ten] = [model('churn', 1), model('churn', 2), model('churn', 10)];
  const registry = registryOf(ten, one, model('price', 3), two);

  it('is the largest number where none is asked for, whatever order they came in', () => {
    expect(registry.get('churn')).toBe(ten);
  });

  it.each([
    [1n, one],
    [2, two],
    [10n, ten],
  ])('is found by its number: %s', (version, expected) => {
    expect(registry.get('churn', version)).toBe(expected);
  });

  it.each([0n, 3n, -1n, 2n ** 63n - 1n])('is not found: %s', (version) => {
    const error = refusal(registry, 'churn', version);
    expect([error.kind, error.reason]).toEqual(['not_found', 'VERSION_NOT_FOUND']);
    expect(error.message).toBe(`model "churn" has no version ${version}; it has 1, 2, 10`);
    expect(error.details.metadata).toEqual({ model: 'churn', version: String(version) });
  });

  it('is not another one because of rounding', () => {
    expect(refusal(registryOf(model('churn', 2 ** 53)), 'churn', 2n ** 53n + 1n).reason).toBe('VERSION_NOT_FOUND');
  });

  it('a new version is live from when it is added', () => {
    const registry = registryOf(one);
    expect(registry.isLive(one)).toBe(true);
    registry.add(two);
    expect([registry.isLive(one), registry.isLive(two)]).toEqual([false, true]);
    expect(registry.get('churn', 1n)).toBe(one);
    expect(registry.isLive(model('other', 1))).toBe(false);
  });
});

describe('the live version by choice', () => {
  const [one, two, three] = [model('churn', 1), model('churn', 2), model('churn', 3)];

  it('is the chosen one from the start, where there is a choice', () => {
    const registry = new ModelRegistry(new Map([['churn', 1]]));
    for (const each of [one, two, model('price', 1), model('price', 2)]) registry.add(each);
    expect(registry.get('churn')).toBe(one);
    expect(registry.versions('churn').map((each) => registry.isLive(each))).toEqual([true, false]);
    expect(registry.get('price').spec.version).toBe(2);
  });

  it('switches at once, there and back, and what a caller has stays as it is', () => {
    const registry = registryOf(one, two);
    const underWay = registry.get('churn');
    registry.promote('churn', 1n);
    expect(registry.get('churn')).toBe(one);
    expect([registry.isLive(one), registry.isLive(two)]).toEqual([true, false]);
    expect(underWay).toBe(two);
    expect(registry.get('churn', 2n)).toBe(two);
    registry.promote('churn', 2);
    expect(registry.get('churn')).toBe(two);
  });

  it('stays when a higher one comes, until the highest is asked for again', () => {
    const registry = registryOf(one, two);
    registry.promote('churn', 2);
    registry.add(three);
    expect(registry.get('churn')).toBe(two);
    expect(registry.highest('churn')).toBe(three);
    registry.promote('churn');
    expect(registry.get('churn')).toBe(three);
    const four = model('churn', 4);
    registry.add(four);
    expect(registry.get('churn')).toBe(four);
  });

  it('is one that there is, else all stays as it was', () => {
    const registry = registryOf(one, two);
    registry.promote('churn', 1);
    expect(() => registry.promote('churn', 7)).toThrow(expect.objectContaining({ reason: 'VERSION_NOT_FOUND' }));
    expect(() => registry.promote('chum', 1)).toThrow(expect.objectContaining({ reason: 'MODEL_NOT_FOUND' }));
    expect(() => registry.promote('chum')).toThrow(expect.objectContaining({ reason: 'MODEL_NOT_FOUND' }));
    expect(registry.get('churn')).toBe(one);
  });
});

describe('an unknown model', () => {
  const registry = registryOf(model('churn', 1), model('churns', 1), model('price', 1));

  it('is not found, and the nearest name is offered', () => {
    const error = refusal(registry, 'churnss');
    expect([error.kind, error.reason]).toEqual(['not_found', 'MODEL_NOT_FOUND']);
    expect(error.message).toBe('no model is called "churnss"; did you mean "churns"?');
    expect(error.details.metadata).toEqual({ model: 'churnss' });
  });

  it('is offered what there is, where nothing is near', () => {
    expect(refusal(registry, 'recommendation').message).toBe(
      'no model is called "recommendation"; there are churn, churns, price',
    );
  });

  it('is offered at most twenty', () => {
    const many = registryOf(...Array.from({ length: 30 }, (_, i) => model(`model${String(i).padStart(2, '0')}`, 1)));
    expect(refusal(many, 'recommendation').message).toMatch(/there are model00, .*model19$/);
  });

  it('without a name is asked for one', () => {
    expect(refusal(registry, '').message).toMatch(/^model: expected a model's name; /);
  });

  it('of megabytes is cut short', () => {
    const { message, details } = refusal(registry, 'c'.repeat(4_000_000));
    expect(message.length).toBeLessThan(300);
    expect(details.metadata?.model?.length).toBe(100);
  });

  it('is not one of those that every object has', () => {
    for (const name of ['constructor', '__proto__', 'toString'])
      expect(refusal(registry, name).reason).toBe('MODEL_NOT_FOUND');
  });
});

it('lists models by name, then by version', () => {
  const registry = registryOf(model('b', 2), model('a', 10), model('a', 9), model('b', 1));
  expect(registry.all().map(({ spec }) => `${spec.name} ${spec.version}`)).toEqual(['a 9', 'a 10', 'b 1', 'b 2']);
  expect([registry.has('a'), registry.has('c')]).toEqual([true, false]);
});

describe('versions that are not ready', () => {
  const [one, two] = [model('churn', 1), model('churn', 2)];

  it('are refused as not ready while they are loaded and unloaded, and as not there after it', () => {
    const registry = registryOf(one);
    registry.note('churn', 2, 'LOADING');
    expect(refusal(registry, 'churn', 2)).toMatchObject({ kind: 'unavailable', reason: 'MODEL_NOT_READY' });
    expect(registry.get('churn')).toBe(one);
    registry.add(two);
    expect(registry.get('churn', 2)).toBe(two);
    const released = registry.remove(two);
    expect(refusal(registry, 'churn', 2)).toMatchObject({ kind: 'unavailable', reason: 'MODEL_NOT_READY' });
    released();
    expect(refusal(registry, 'churn', 2)).toMatchObject({ kind: 'not_found', reason: 'VERSION_NOT_FOUND' });
    expect(registry.get('churn')).toBe(one);
  });

  it.each([
    ['LOADING', '', 'unavailable', 'MODEL_NOT_READY'],
    ['UNLOADING', '', 'unavailable', 'MODEL_NOT_READY'],
    ['UNAVAILABLE', 'unloaded', 'not_found', 'MODEL_UNLOADED'],
    ['UNAVAILABLE', 'no such operator', 'not_found', 'MODEL_NOT_LOADED'],
  ] as const)('a model of which nothing else is known: %s %s', (state, reason, kind, expected) => {
    const registry = registryOf();
    registry.note('churn', 1, state, reason);
    for (const version of [undefined, 1]) {
      const error = refusal(registry, 'churn', version);
      expect([error.kind, error.reason]).toEqual([kind, expected]);
      // Why is for those who run the server.
      expect(error.message).not.toContain('operator');
    }
    expect(registry.find('churn')).toBeUndefined();
    expect(registry.has('churn')).toBe(false);
    expect(registry.state('churn', 1)).toBe(state);
  });

  it('a folder that was never loaded is not loaded; one that nobody knows is unknown', () => {
    const registry = registryOf(one);
    registry.setFolders(['churn', 'later']);
    expect(refusal(registry, 'later').reason).toBe('MODEL_UNLOADED');
    expect(refusal(registry, 'other').reason).toBe('MODEL_NOT_FOUND');
    expect(registry.index()).toEqual([
      { name: 'churn', version: 1, state: 'READY', reason: '' },
      { name: 'later', version: undefined, state: undefined, reason: '' },
    ]);
    expect(registry.index('other')).toEqual([]);
  });

  it('are in the index with their reasons, in the order of their numbers; ready ones say what was not taken', () => {
    const registry = registryOf(two);
    registry.note('churn', 10, 'UNAVAILABLE', 'too large');
    registry.note('churn', 1, 'LOADING');
    registry.note('churn', 2, 'UNAVAILABLE', 'the new file is broken');
    expect(registry.index('churn').map(({ version, state, reason }) => [version, state, reason])).toEqual([
      [1, 'LOADING', ''],
      [2, 'READY', 'the new file is broken'],
      [10, 'UNAVAILABLE', 'too large'],
    ]);
    registry.add(model('churn', 2));
    expect(registry.index('churn')[1]).toMatchObject({ state: 'READY', reason: '' });
    registry.forget('churn', (_, state) => state === 'LOADING');
    expect(registry.index('churn').map(({ version }) => version)).toEqual([1, 2]);
  });

  it('another file under the same number takes its place at once; the one before is given back', () => {
    const registry = registryOf(one, two);
    const other = model('churn', 2);
    expect(registry.add(other)).toBe(two);
    expect(registry.versions('churn')).toEqual([one, other]);
    expect([registry.isLive(other), registry.isLive(two)]).toEqual([true, false]);
  });

  it('the release of one that came again since changes nothing', () => {
    const registry = registryOf(one);
    const released = registry.remove(one);
    const again = model('churn', 1);
    registry.add(again);
    released();
    expect(registry.index()).toEqual([{ name: 'churn', version: 1, state: 'READY', reason: '' }]);
    const last = registry.remove(again);
    released();
    expect(registry.state('churn', 1)).toBe('UNLOADING');
    last();
    expect(registry.state('churn', 1)).toBe('UNAVAILABLE');
  });

  it('without the chosen one the highest is live, until it is there', () => {
    const registry = registryOf(one);
    registry.choose('churn', 2);
    expect(registry.get('churn')).toBe(one);
    registry.add(two);
    registry.add(model('churn', 3));
    expect(registry.get('churn')).toBe(two);
  });
});
