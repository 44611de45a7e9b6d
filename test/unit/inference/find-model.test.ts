import { describe, expect, it } from 'vitest';
import type { ScorewireError } from '../../../src/errors.ts';
import { findModel } from '../../../src/inference/find-model.ts';
import { type IndexEntry, ModelRegistry } from '../../../src/scoring/model-registry.ts';
import type { ServedModel } from '../../../src/scoring/served-model.ts';
import { fakeModel } from '../../support/fake-model.ts';

const model = (name: string, version: number): ServedModel => fakeModel({ name, version });

/** With versions beside those that are served. */
class WithOthers extends ModelRegistry {
  readonly others: IndexEntry[] = [];

  override index(): IndexEntry[] {
    return [...super.index(), ...this.others];
  }
}

const [one, three] = [model('churn', 1), model('churn', 3)];
const registry = new WithOthers();
registry.add(one);
registry.add(three);
registry.others.push(
  { name: 'churn', version: 2, state: 'LOADING', reason: '' },
  { name: 'gone', version: 1, state: 'UNAVAILABLE', reason: 'unloaded' },
  { name: 'never', version: undefined, state: undefined, reason: '' },
);

function refusal(name: string, version: string): Pick<ScorewireError, 'kind' | 'message' | 'reason'> {
  try {
    findModel(registry, name, version);
  } catch (error) {
    const { kind, message, reason } = error as ScorewireError;
    return { kind, message, reason };
  }
  throw new Error('it was found');
}

describe('the version that a request means', () => {
  it('is the live one where it names none', () => {
    expect(findModel(registry, 'churn', '')).toBe(three);
    const promoted = new ModelRegistry(new Map([['churn', 1]]));
    promoted.add(one);
    promoted.add(three);
    expect(findModel(promoted, 'churn', '')).toBe(one);
  });

  it.each([
    ['1', one],
    ['3', three],
    [' 03', three],
    ['+1', one],
  ])('is found by its number: %j', (version, expected) => {
    expect(findModel(registry, 'churn', version)).toBe(expected);
  });

  it.each([
    ['price', '', "Request for unknown model: 'price' is not found"],
    ['price', '1', "Request for unknown model: 'price' is not found"],
    ['', '', "Request for unknown model: '' is not found"],
    ['never', '', "Request for unknown model: 'never' is not found"],
    ['gone', '', "Request for unknown model: 'gone' has no available versions"],
    ['churn', '7', "Request for unknown model: 'churn' version 7 is not found"],
    ['churn', '0', "Request for unknown model: 'churn' version 0 is not found"],
    ['churn', '9223372036854775807', "Request for unknown model: 'churn' version 9223372036854775807 is not found"],
  ])('is not found: %j version %j', (name, version, message) => {
    expect(refusal(name, version)).toMatchObject({ kind: 'not_found', message });
  });

  it.each([
    ['churn', '2', "Request for unknown model: 'churn' version 2 is not at ready state"],
    ['gone', '1', "Request for unknown model: 'gone' version 1 is not at ready state"],
  ])('is known and not ready: %j version %j', (name, version, message) => {
    expect(refusal(name, version)).toEqual({ kind: 'unavailable', reason: 'VERSION_NOT_READY', message });
  });

  it.each(['x', '1.5', '1x', '--1', ' ', '9223372036854775808', '-9223372036854775809', '9'.repeat(5000)])(
    'is no version: %j',
    (version) => {
      const { kind, message } = refusal('churn', version);
      expect(kind).toBe('invalid_argument');
      expect(message).toBe(
        `failed to get model version from specified version string '${version.slice(0, 200)}' (details: stol), version should be an integral value > 0`,
      );
    },
  );

  it('is not negative', () => {
    expect(refusal('nobody', '-1')).toEqual({
      kind: 'invalid_argument',
      reason: 'INVALID_FIELD',
      message: "invalid model version specified '-1' , version should be an integral value > 0",
    });
  });
});
