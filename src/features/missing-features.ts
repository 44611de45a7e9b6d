import { type FieldViolation, ScorewireError } from '../errors.ts';
import type { Feature } from '../models/model.ts';
import type { FeatureRecord } from './feature-store.ts';
import { shownName } from './shown-name.ts';

/** Features that one answer names at most. */
const MAX_VIOLATIONS = 16;

/** An entity alone for which not all features can be found. */
export function missingFeatures(
  model: string,
  store: string,
  entity: string,
  missing: readonly Feature[],
  record: FeatureRecord | undefined,
): ScorewireError {
  const violations = missing.slice(0, MAX_VIOLATIONS).map(
    (feature): FieldViolation => ({
      field: `features[${shownName(feature.name)}]`,
      description: why(feature, store, record),
    }),
  );
  const whom = entity === '' ? 'no entity was given' : `entity ${shownName(entity)}`;
  const unknown = record === undefined && entity !== '' ? `, of which feature store ${store} has no record,` : '';
  const text = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  const more = missing.length > MAX_VIOLATIONS ? '; and more' : '';
  return new ScorewireError(
    'invalid_argument',
    'MISSING_FEATURES',
    `${model}: ${whom}${unknown} lacks ${text}${more}`,
    {
      violations,
      metadata: { model, store },
    },
  );
}

function why(feature: Feature, store: string, record: FeatureRecord | undefined): string {
  if (feature.source === undefined) return 'it comes from the request alone, which has no row, and there is no default';
  if (record?.values.has(feature.name)) {
    return `feature store ${store} has none that is at most ${feature.maxAgeSeconds} s old, and there is no default`;
  }
  return `neither the request nor feature store ${store} has it, and there is no default`;
}
